//! Features kept on a bad disk, a full one, and one that may not be written: each call fails in turn, and
//! what comes of it is time, never an error and never a wrong number.

import CFaultInjection
import FeatureFiles
import Foundation
import TestSupport
import Testing
import Thimble

private let shape = FeatureShape(height: 40, width: 30, columns: 100)

/// Features of the images 0 to 3.
private let all: [[UInt8]] = (0..<4 as Range<UInt64>).map { image in
    var random = SeededGenerator(seed: image)
    return (0..<shape.byteCount).map { _ in UInt8(truncatingIfNeeded: random.next()) }
}

/// The features of an image, as they would be computed.
private func computed(_ image: UInt128) -> [UInt8] { all[Int(image)] }

/// Looks for the features of an image, else computes and keeps them; what comes of it, and whether it was
/// found.
private func obtain(_ image: UInt128, _ folder: FeatureFolder?) -> (bytes: [UInt8], isFound: Bool) {
    var bytes = [UInt8](repeating: 0, count: shape.byteCount)
    let rowByteCount = shape.byteCount / shape.rows
    let isFound = unsafe bytes.withUnsafeMutableBytes { bytes in
        unsafe folder?.read(image, shape) { rows, fill in
            let range = rows.lowerBound * rowByteCount..<rows.upperBound * rowByteCount
            unsafe fill(UnsafeMutableRawBufferPointer(rebasing: bytes[range]))
        }
    }
    if isFound == true { return (bytes, true) }
    bytes = computed(image)
    unsafe bytes.withUnsafeBytes { bytes in
        unsafe folder?.write(image, shape) { rows, take in
            let range = rows.lowerBound * rowByteCount..<rows.upperBound * rowByteCount
            unsafe take(UnsafeRawBufferPointer(rebasing: bytes[range]))
        }
    }
    return (bytes, false)
}

/// What a disk and the limits of a process may make of a call; none may be seen.
private let faults: [Fault] = [
    .error(FAULT_OPEN, EIO, .success), .error(FAULT_OPEN, EMFILE, .success),
    .error(FAULT_OPEN, EACCES, .success), .error(FAULT_OPEN, EROFS, .success),
    .error(FAULT_OPEN, ENOSPC, .success), .error(FAULT_OPEN, EINTR, .success),
    .error(FAULT_READ, EIO, .success), .error(FAULT_READ, EINTR, .success), .short(FAULT_READ),
    .error(FAULT_WRITE, EIO, .success), .error(FAULT_WRITE, ENOSPC, .success),
    .error(FAULT_WRITE, EDQUOT, .success), .error(FAULT_WRITE, EINTR, .success), .short(FAULT_WRITE),
    .error(FAULT_RENAME, EIO, .success), .error(FAULT_RENAME, ENOSPC, .success),
    .error(FAULT_RENAME, EROFS, .success), .error(FAULT_STAT, EIO, .success),
    .error(FAULT_CLOSE, EIO, .success),
    Fault(kind: FAULT_READ, manner: FAULT_NOTHING, errorNumber: 0, outcome: .success),
    Fault(kind: FAULT_WRITE, manner: FAULT_NOTHING, errorNumber: 0, outcome: .success),
]

@Suite(.serialized, .enabled(if: fault_injection_is_linked(), "a sanitizer stands before the system calls"))
struct FeatureFolderFaultTests {
    private let folder: TemporaryDirectory
    private var path: String { folder.path("features") }

    init() throws { folder = try TemporaryDirectory() }

    private var names: [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted()
    }

    /// Obtains two images, one of them twice, from a folder that has the first one when `isFresh` is false.
    private func obtaining(isFresh: Bool) -> Scenario {
        Scenario("keep features") {
            try? FileManager.default.removeItem(atPath: path)
            if !isFresh { _ = obtain(1, FeatureFolder(path: path, limit: 1 << 30)) }
            let folder = FeatureFolder(path: path, limit: 1 << 30)
            for image in [1, 2, 1] as [UInt128] {
                guard obtain(image, folder).bytes == computed(image) else { return "wrong numbers" }
            }
            // What a fault has left half-written is gone, or goes when the folder is opened next.
            _ = FeatureFolder(path: path, limit: 1 << 30)
            return names.contains { $0.hasSuffix(".partial") } ? "left over: \(names)" : "right"
        }
    }

    @Test func callsAreSeen() throws {
        let opens = try sweep(obtaining(isFresh: true), .error(FAULT_OPEN, EIO, .success))
        #expect(opens.calls > 10)
        // Of each entry two runs of rows and the head; the secret is written once and read twice.
        #expect(try sweep(obtaining(isFresh: true), .error(FAULT_WRITE, EIO, .success)).calls == 7)
        #expect(try sweep(obtaining(isFresh: true), .error(FAULT_READ, EIO, .success)).calls == 5)
        #expect(try sweep(obtaining(isFresh: true), .error(FAULT_RENAME, EIO, .success)).calls == 2)
        #expect(try sweep(obtaining(isFresh: true), .error(FAULT_STAT, EIO, .success)).calls > 4)
    }

    @Test(arguments: faults.indices, [true, false])
    func everyCallMayFail(fault: Int, isFresh: Bool) throws {
        try sweep(obtaining(isFresh: isFresh), faults[fault])
    }

    /// A write that fails leaves the entry that was there, or none; whole ones are then found again. Of the
    /// calls that open something, the first looks for the entry, and the second looks through the folder.
    @Test(arguments: [
        (FAULT_WRITE, ENOSPC, 0), (FAULT_WRITE, EIO, 0), (FAULT_RENAME, ENOSPC, 0), (FAULT_OPEN, ENOSPC, 2),
    ])
    func aFullDiskCostsTimeAlone(kind: fault_kind, number: Int32, first: Int) throws {
        let features = try #require(FeatureFolder(path: path, limit: 1 << 30))
        #expect(!obtain(1, features).isFound)
        let ((bytes, isFound), report) = withFault(.error(kind, number), from: Int64(first)) {
            obtain(2, features)
        }
        #expect(report.injected > 0 && bytes == computed(2) && !isFound)
        #expect(names.filter { $0 != "secret" }.count == 1)
        #expect(obtain(1, features) == (computed(1), true))
        #expect(obtain(2, features) == (computed(2), false) && obtain(2, features) == (computed(2), true))
    }

    /// An entry that the disk does not give is removed, and kept anew.
    @Test func anUnreadableEntryIsRemoved() throws {
        let features = try #require(FeatureFolder(path: path, limit: 1 << 30))
        // The head, and each of two runs of rows.
        for call in [Int64(0), 1, 2] {
            _ = obtain(1, features)
            let ((bytes, isFound), report) = withFault(.error(FAULT_READ, EIO), from: call, count: 1) {
                obtain(1, features)
            }
            #expect(report.injected == 1 && bytes == computed(1) && !isFound)
            #expect(obtain(1, features).isFound)
        }
    }

    /// The engine's answers, from an engine that finds its images on disk and one that does not.
    @Test(arguments: [
        Fault.error(FAULT_OPEN, EIO, .success), .error(FAULT_READ, EIO, .success), .short(FAULT_READ),
        .error(FAULT_WRITE, ENOSPC, .success), .short(FAULT_WRITE), .error(FAULT_RENAME, EROFS, .success),
        .error(FAULT_OPEN, EMFILE, .success), .error(FAULT_STAT, EIO, .success),
    ])
    func anAnswerIsTheSameOnABadDisk(fault: Fault) throws {
        let model = folder.path("tiny.thimble")
        let configuration = try TinyConfiguration.write(to: folder, contextLength: 512)
        var conversion = ConversionOptions()
        conversion.threadCount = 1
        _ = try convert(.random(configuration: configuration, seed: 5), to: model, conversion)
        var options = EngineOptions()
        options.device = .cpu
        options.threadCount = 1
        // Each prompt's keys and values take the place of those before.
        options.contextLength = 48
        options.featureDisk = 1 << 20
        // Of two images, one has room.
        options.featureMemory = 0
        options.imageTokens = 16
        options.featureFolder = path
        let engine = try Engine(modelPath: model, options: options)
        func answer(_ seed: Int) throws -> String {
            let session = engine.makeSession()
            let pixels = (0..<112 * 112 * 3).map { UInt8($0 * seed % 251) }
            session.append(
                Message(.user, [.image(RGBImage(width: 112, height: 112, pixels: pixels)), .text("What?")]))
            var options = GenerationOptions()
            options.maximumTokens = 3
            options.sampling.temperature = 0
            options.showsSpecialTokens = true
            return try session.generate(options) { _ in }.text
        }
        let result = try sweep(
            Scenario("answer") {
                // One image is encoded and kept, the other is found.
                if let name = names.first(where: { $0.hasSuffix(".features") }) {
                    try? FileManager.default.removeItem(atPath: "\(path)/\(name)")
                }
                return try "\(answer(1)) \(answer(2)) \(answer(1))"
            }, fault)
        #expect(result.calls > 0)
    }
}
