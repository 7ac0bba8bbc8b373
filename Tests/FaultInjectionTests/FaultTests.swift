//! Every read, write and planned allocation fails in turn: an error each, no leak, nothing half-written, and
//! the next attempt succeeds.

import CFaultInjection
import Foundation
import TestSupport
import Testing

@testable import Thimble

/// A folder with a model of random weights, a checkpoint, a document and an image.
private final class Workplace {
    let folder: TemporaryDirectory
    let model: String
    let checkpoint: URL

    init() throws {
        folder = try TemporaryDirectory()
        model = folder.path("tiny.thimble")
        let configuration = try TinyConfiguration.write(to: folder, contextLength: 512)
        try folder.write("The kettle is copper.\nThe code is 4711.\n".utf8, to: "note.txt")
        try folder.write(Fixtures.bytes("documents/pixel_9.png"), to: "image.png")
        try folder.write(Fixtures.bytes("../../Models/reader.pages.json"), to: "pages.json")
        var options = ConversionOptions()
        options.threadCount = 1
        _ = try convert(
            .random(configuration: configuration, seed: 5), to: model, options)
        checkpoint = folder.url.appending(path: "checkpoint")
        try FileManager.default.copyItem(at: Fixtures.url("checkpoints/glm4v"), to: checkpoint)
        for name in ["tokenizer.json", "chat_template.jinja"] {
            try FileManager.default.copyItem(
                at: folder.url.appending(path: name), to: checkpoint.appending(path: name))
        }
    }

    private func engine(threadCount: Int) throws -> Engine {
        var options = EngineOptions()
        // Without Vulkan, whose loader bears faults in its own ways.
        options.device = .cpu
        options.threadCount = threadCount
        options.contextLength = 256
        // Where nothing is limited, a system that does not tell what the process holds is no error.
        options.programByteCount = 20 << 20
        return try Engine(modelPath: model, options: options)
    }

    private static func answer(_ engine: Engine) throws -> String {
        let session = engine.makeSession()
        let grey = (0..<56 * 56 * 3).map { UInt8($0 % 251) }
        session.append(
            Message(.user, [.image(RGBImage(width: 56, height: 56, pixels: grey)), .text("What is it?")]))
        var options = GenerationOptions()
        options.maximumTokens = 3
        options.sampling.temperature = 0
        options.showsSpecialTokens = true
        return try session.generate(options) { _ in }.text
    }

    /// Opens and loads the model, shows it an image, and lets it answer.
    func loading(threadCount: Int = 1) -> Scenario {
        Scenario("load and answer", in: folder.url) { try Self.answer(self.engine(threadCount: threadCount)) }
    }

    /// Lets a model that stays loaded answer.
    func answering() throws -> Scenario {
        let engine = try engine(threadCount: 1)
        return Scenario("answer") { try Self.answer(engine) }
    }

    func inspecting() -> Scenario {
        Scenario("inspect", in: folder.url) {
            let model = try ModelInspection(modelPath: self.model)
            return "\(try model.verify()) \(model.tensors.count) \(try model.textCodec().encode("kettle"))"
        }
    }

    private func newFolder(_ name: String) throws -> URL {
        let url = folder.url.appending(path: name)
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        return url
    }

    /// Reads and writes on threads of its own.
    func converting() throws -> Scenario {
        let output = try newFolder("converted")
        var options = ConversionOptions()
        options.threadCount = 1
        options.pageSettings = folder.path("pages.json")
        options.name = "converted"
        let path = output.appending(path: "made.thimble").path
        return Scenario("convert", in: output, made: { try Data(contentsOf: URL(filePath: path)) }) {
            let report = try convert(.folder(self.checkpoint.path), to: path, options)
            return "\(report.byteCount) \(report.tensorCount) \(report.notes)"
        }
    }

    func drawing() throws -> Scenario {
        let output = try newFolder("drawn")
        let path = output.appending(path: "page.png").path
        return Scenario("draw", in: output, made: { try Data(contentsOf: URL(filePath: path)) }) {
            let settings = try loadPageSettings(path: self.folder.path("pages.json"))
            let text = try PagedDocument(path: self.folder.path("note.txt"), settings: settings).page(0)
            let image = try PagedDocument(path: self.folder.path("image.png"), settings: settings).page(0)
            let file = try ReplacingFile(path: path)
            try file.write(try encodePNG(image), at: 0)
            try file.commit()
            return "\(text.pixels.hashValue) \(text.width) \(image.pixels.hashValue)"
        }
    }
}

/// Faults of reading: a bad disk is an error, an interruption and a short read are no fault.
private let readFaults: [Fault] = [
    .error(FAULT_READ, EIO), .error(FAULT_READ, EINTR, .success), .short(FAULT_READ),
    .nothing(FAULT_READ), .error(FAULT_OPEN, EIO), .error(FAULT_OPEN, EMFILE),
    .error(FAULT_OPEN, EINTR, .success), .error(FAULT_CLOSE, EIO, .either), .error(FAULT_STAT, EIO),
]

/// Faults of writing.
private let writeFaults: [Fault] = [
    .error(FAULT_WRITE, EIO), .error(FAULT_WRITE, ENOSPC), .error(FAULT_WRITE, EINTR, .success),
    .short(FAULT_WRITE), .nothing(FAULT_WRITE), .error(FAULT_SYNC, EIO), .error(FAULT_SYNC, ENOSPC),
    .error(FAULT_SYNC, EINTR, .success), .error(FAULT_RENAME, EIO), .error(FAULT_RENAME, ENOSPC),
    .error(FAULT_TRUNCATE, EIO), .error(FAULT_OPEN, ENOSPC),
]

@Suite(.serialized, .enabled(if: fault_injection_is_linked(), "a sanitizer stands before the system calls"))
struct FaultTests {
    private let place: Workplace

    init() throws { place = try Workplace() }

    /// Without this, a fault that is never reached would pass for one that was borne.
    @Test func theCallsAreSeen() throws {
        func calls(
            _ scenario: Scenario, _ kind: fault_kind, scope: fault_scope = FAULT_THREAD, prefix: String = ""
        ) throws -> Int64 {
            let none = Fault.error(kind, EIO)
            return try withFault(none, from: .max, scope: scope, prefix: prefix) { _ = try scenario.run() }
                .report.calls
        }
        for (kind, atLeast) in [(FAULT_OPEN, 1), (FAULT_READ, 11), (FAULT_MAP, 11)] as [(fault_kind, Int64)] {
            #expect(try calls(place.loading(), kind) >= atLeast)
        }
        let conversion = try place.converting()
        let files = place.folder.url.path
        for (kind, atLeast) in [(FAULT_READ, 10), (FAULT_WRITE, 10), (FAULT_SYNC, 2), (FAULT_RENAME, 1)] {
            #expect(try calls(conversion, kind, scope: FAULT_FILES, prefix: files) >= atLeast)
        }
        #expect(try calls(place.drawing(), FAULT_READ) >= 3)
    }

    @Test(arguments: readFaults.indices) func everyReadOfALoadMayFail(fault: Int) throws {
        try sweep(place.loading(), readFaults[fault])
    }

    @Test(arguments: [0, 1, 2, 3]) func everyReadOfALoadOnSeveralThreadsMayFail(fault: Int) throws {
        try sweep(
            place.loading(threadCount: 3), readFaults[fault], scope: FAULT_FILES,
            prefix: place.folder.url.path)
    }

    @Test(arguments: readFaults.indices) func everyReadOfAnInspectionMayFail(fault: Int) throws {
        try sweep(place.inspecting(), readFaults[fault])
    }

    @Test(arguments: readFaults.indices) func everyReadOfAConversionMayFail(fault: Int) throws {
        try sweep(
            place.converting(), readFaults[fault], scope: FAULT_FILES, prefix: place.folder.url.path)
    }

    @Test(arguments: writeFaults.indices) func everyWriteOfAConversionMayFail(fault: Int) throws {
        try sweep(
            place.converting(), writeFaults[fault], scope: FAULT_FILES, prefix: place.folder.url.path)
    }

    @Test(arguments: readFaults.indices) func everyReadOfADocumentMayFail(fault: Int) throws {
        try sweep(place.drawing(), readFaults[fault])
    }

    @Test(arguments: writeFaults.indices) func everyWriteOfAPageMayFail(fault: Int) throws {
        try sweep(place.drawing(), writeFaults[fault])
    }

    @Test func everyMemoryOfALoadAndAnAnswerMayBeRefused() throws {
        let result = try sweep(place.loading(), .error(FAULT_MAP, ENOMEM))
        #expect(Array(result.errors.keys) == [.outOfMemory])
    }

    @Test func everyMemoryOfAnInspectionMayBeRefused() throws {
        let result = try sweep(place.inspecting(), .error(FAULT_MAP, ENOMEM))
        #expect(Array(result.errors.keys) == [.outOfMemory])
    }

    @Test func everyMemoryOfAnAnswerMayBeRefused() throws {
        // What an answer computes on is taken when the model is loaded: there is nothing left to refuse.
        let result = try sweep(place.answering(), .error(FAULT_MAP, ENOMEM))
        #expect(Set(result.errors.keys).isSubset(of: [.outOfMemory]))
    }

    @Test func everyMemoryOfAConversionMayBeRefused() throws {
        let result = try sweep(place.converting(), .error(FAULT_MAP, ENOMEM))
        #expect(Array(result.errors.keys) == [.outOfMemory])
        #expect(result.calls > 10)
    }

    @Test func everyMemoryOfADrawnPageMayBeRefused() throws {
        let result = try sweep(place.drawing(), .error(FAULT_MAP, ENOMEM))
        #expect(Array(result.errors.keys) == [.outOfMemory])
        #expect(result.calls > 5)
    }
}
