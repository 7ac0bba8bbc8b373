//! Holds direct reads against the bytes that were written, at every kind of offset and on file systems of
//! two kinds.

import Foundation
import TestSupport
import Testing

@testable import ModelFile

/// A file of random bytes in a folder of its own.
private struct RandomFile {
    private let folder: URL
    let path: String
    let bytes: [UInt8]

    /// Makes the file in a folder under `place`, a folder of the file system that is meant.
    init(_ byteCount: Int, in place: URL = FileManager.default.temporaryDirectory) throws {
        folder = place.appending(path: "thimble-test-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
        path = folder.appending(path: "file").path
        bytes = SampleModel.bytes(byteCount, seed: UInt64(byteCount), mask: 0xFF)
        try Data(bytes).write(to: URL(filePath: path))
    }

    func remove() { try? FileManager.default.removeItem(at: folder) }

    /// The bytes of `range`, read directly.
    func read(_ range: Range<Int>, by file: DirectFile) throws -> [UInt8] {
        let count = DirectFile.bufferByteCount(for: range.count)
        let buffer = try HostBuffer(byteCount: count, for: "a test", of: path)
        return unsafe Array(try file.read(range, into: buffer.bytes))
    }

    /// Whether the file system takes an aligned direct read, asked without the reader's help.
    var takesDirectReads: Bool {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | DirectFile.openFlag)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var memory: UnsafeMutableRawPointer?
        guard unsafe posix_memalign(&memory, 4096, 4096) == 0 else { return false }
        defer { unsafe free(memory) }
        return unsafe pread(descriptor, memory, 4096, 0) >= 0
    }
}

/// The system's folder for temporary files, on a disk as a rule, and one in memory.
private let places = [
    FileManager.default.temporaryDirectory, URL(filePath: "/dev/shm", directoryHint: .isDirectory),
].filter { FileManager.default.isWritableFile(atPath: $0.path) }

@Suite struct DirectFileTests {
    /// Around the edges of blocks, and of the file, whose last block is whole, nearly whole, or begun.
    @Test(arguments: places, [1, 4095, 4096, 4097, 65_536, 100_001])
    func anyRangeIsReadAsItWasWritten(place: URL, byteCount: Int) throws {
        let random = try RandomFile(byteCount, in: place)
        defer { random.remove() }
        let file = DirectFile(try InputFile(path: random.path))
        let edges = [0, 1, 511, 512, 4095, 4096, 4097, 8191, 8192, 40_000, byteCount - 1, byteCount]
            .filter { (0...byteCount).contains($0) }
        for lower in edges {
            for upper in edges where upper > lower {
                #expect(try random.read(lower..<upper, by: file) == Array(random.bytes[lower..<upper]))
            }
        }
        #expect(file.isDirect == random.takesDirectReads)
    }

    @Test func aBufferHasRoomForTheRangeWhereverItBegins() {
        for count in [1, 2, 4095, 4096, 4097, 262_144] {
            let most = (0..<4096).map { (start: Int) in
                (start + count + 4095) / 4096 * 4096
            }.max()
            #expect(DirectFile.bufferByteCount(for: count) == most)
        }
    }

    @Test func whatLiesBehindTheEndIsAnError() throws {
        let random = try RandomFile(10_000)
        defer { random.remove() }
        let file = DirectFile(try InputFile(path: random.path))
        for range in [0..<10_001, 9_999..<20_000, 10_000..<10_001, 12_288..<12_290, 8_192..<12_288] {
            let error = #expect(throws: InputFault.self) { try random.read(range, by: file) }
            guard case .ended = error else {
                Issue.record("\(range): \(String(describing: error))")
                continue
            }
        }
        #expect(try random.read(9_990..<10_000, by: file) == Array(random.bytes[9_990...]))
    }

    @Test func aFileThatIsCutIsAnError() throws {
        let random = try RandomFile(50_000)
        defer { random.remove() }
        let file = DirectFile(try InputFile(path: random.path))
        try #require(unsafe truncate(random.path, 20_000) == 0)
        #expect(throws: InputFault.ended(size: 20_000)) { try random.read(12_000..<30_000, by: file) }
        #expect(try random.read(12_000..<20_000, by: file) == Array(random.bytes[12_000..<20_000]))
    }

    /// What is read is what was opened: neither another file of the name, nor nothing.
    @Test func aFileThatLostItsNameIsRead() throws {
        let random = try RandomFile(9_000)
        let input = try InputFile(path: random.path)
        random.remove()
        let file = DirectFile(input)
        #expect(try random.read(10..<9_000, by: file) == Array(random.bytes[10...]))
    }

    /// What was written a moment ago and is not on the disk yet is read all the same.
    @Test func whatWasJustWrittenIsRead() throws {
        let random = try RandomFile(30_000)
        defer { random.remove() }
        let file = DirectFile(try InputFile(path: random.path))
        let handle = try FileHandle(forUpdating: URL(filePath: random.path))
        for round in 0..<8 {
            let written = SampleModel.bytes(5_000, seed: UInt64(round), mask: 0xFF)
            try handle.seek(toOffset: 11_000)
            try handle.write(contentsOf: written)
            #expect(try random.read(11_000..<16_000, by: file) == written)
        }
        try handle.close()
    }
}
