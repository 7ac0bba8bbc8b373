//! Input that is missing, damaged or too much: one line, the right status, nothing half-written.

import Foundation
import TestSupport
import Testing

/// Names of the files in a folder, hidden ones included.
private func names(in folder: URL) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
}

/// A copy of a reference checkpoint's folder, to be spoiled.
private func copy(of name: String, in directory: borrowing TemporaryDirectory) throws -> URL {
    let target = directory.url.appending(path: "checkpoint")
    try FileManager.default.copyItem(at: ReferenceCase(name: name).folder, to: target)
    return target
}

@Suite struct BadModelTests {
    @Test(arguments: ["run", "tokenize", "inspect", "bench"])
    func aMissingModelIsNamed(command: String) throws {
        let arguments = [command, "gone.thimble"] + (["run", "tokenize"].contains(command) ? ["hello"] : [])
        try ProgramRun.Running(arguments).finish().expectError(66, "gone.thimble")
    }

    @Test func aTextIsNoModel() throws {
        let directory = try TemporaryDirectory()
        let path = try directory.write(
            String(repeating: "no model. ", count: 1000).utf8, to: "letter.thimble")
        try ProgramRun.of("run", path, "hello").expectError(65, "letter.thimble", "not a model file")
        try ProgramRun.of("inspect", path).expectError(65, "letter.thimble")
    }

    @Test func aTruncatedModelIsRefused() throws {
        let model = try TinyModel()
        let bytes = try Data(contentsOf: URL(filePath: model.path))
        let path = try model.directory.write(bytes.dropLast(1000), to: "short.thimble")
        try ProgramRun.of("run", path, "hello").expectError(65, "short.thimble")
    }

    @Test func aDamagedModelIsRefused() throws {
        let model = try TinyModel()
        var bytes = try Data(contentsOf: URL(filePath: model.path))
        // The first segment begins behind the header; this byte is one of its blocks.
        bytes[4096 + 100] ^= 0x40
        let path = try model.directory.write(bytes, to: "damaged.thimble")
        try ProgramRun.of("inspect", path, "--verify").expectError(65, "damaged.thimble", "checksum")
        try ProgramRun.of("run", path, "hello").expectError(65, "damaged.thimble")
    }

    @Test func withoutAModelReadSaysHowToNameOne() throws {
        let directory = try TemporaryDirectory()
        let text = try directory.write("Some text.".utf8, to: "a.txt")
        let run = try ProgramRun.of("read", text, "-q", "Who?", "--model", "gone.thimble")
        run.expectError(66, "gone.thimble")
        let other = try ProgramRun.of(
            "read", text, "-q", "Who?", environment: ["THIMBLE_MODEL": "none.thimble"])
        other.expectError(66, "none.thimble")
    }
}

@Suite struct BadCheckpointTests {
    @Test func aFolderWithoutAConfigurationIsNoCheckpoint() throws {
        let directory = try TemporaryDirectory()
        let output = directory.path("model.thimble")
        #expect(try ProgramRun.of("convert", directory.url.path, "-o", output).status == 66)
        #expect(try ProgramRun.of("convert", directory.path("gone"), "-o", output).status == 66)
        #expect(try names(in: directory.url).isEmpty)
    }

    @Test func aMissingShardIsNamed() throws {
        let directory = try TemporaryDirectory()
        let folder = try copy(of: "one-image", in: directory)
        let shard = "model-00002-of-00002.safetensors"
        try FileManager.default.removeItem(at: folder.appending(path: shard))
        try ProgramRun.of("convert", folder.path, "-o", directory.path("model.thimble")).expectError(
            66, shard)
        #expect(try names(in: directory.url) == ["checkpoint"])
    }

    @Test func anUnsupportedArchitectureIsNamed() throws {
        let directory = try TemporaryDirectory()
        let path = try directory.write(
            #"{"architectures": ["LlamaForCausalLM"], "model_type": "llama"}"#.utf8, to: "config.json")
        try ProgramRun.of("convert", "--random", path, "-o", directory.path("model.thimble"))
            .expectError(65, "Llama")
        #expect(try names(in: directory.url) == ["config.json"])
    }

    @Test func aFullDiskLeavesNothingBehind() throws {
        let directory = try TemporaryDirectory()
        let folder = ReferenceCase(name: "text-head64").folder.path
        // A limit on file sizes refuses a write as a full disk does.
        let shell = Process()
        let errors = Pipe()
        shell.executableURL = URL(filePath: "/bin/sh")
        shell.arguments = [
            "-c", "ulimit -f 8; exec \"$0\" convert \"$1\" -o \"$2\"", ProgramRun.executable.path, folder,
            directory.path("model.thimble"),
        ]
        shell.standardError = errors
        // The thread sanitizer begins by writing a file among the temporary ones, where there is a folder for
        // them, and does not survive the limit.
        shell.environment = ProcessInfo.processInfo.environment
            .merging(["TMPDIR": directory.path("none")]) { $1 }
        try shell.run()
        let text = String(decoding: try errors.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        shell.waitUntilExit()
        #expect(shell.terminationReason == .exit && shell.terminationStatus == 74, "\(text)")
        #expect(text.contains("model.thimble") && text.contains("free some space"), "\(text)")
        #expect(try names(in: directory.url).isEmpty)
    }

    @Test func anInterruptedConversionLeavesNothingBehind() throws {
        let model = try TinyModel()
        let configuration = try String(contentsOfFile: model.directory.path("config.json"), encoding: .utf8)
            .replacing("\"num_hidden_layers\": 2", with: "\"num_hidden_layers\": 100")
        let path = try model.directory.write(configuration.utf8, to: "large.json")
        let output = model.directory.path("large.thimble")
        let run = try ProgramRun.Running(["convert", "--random", path, "-o", output])
        while try !names(in: model.directory.url).contains(where: { $0.hasSuffix(".partial") }),
            run.process.isRunning
        { usleep(1000) }
        run.process.interrupt()
        let result = try run.finish()
        #expect(result.status == 130, "\(result)")
        #expect(try names(in: model.directory.url).allSatisfy { !$0.hasPrefix("large.thimble") })
    }
}

@Suite struct BadDocumentTests {
    @Test func anEmptyDocumentIsRefused() throws {
        let model = try TinyModel()
        let path = try model.directory.write([], to: "empty.txt")
        try ProgramRun.of("read", path, "-q", "Who?", "--model", model.path).expectError(65, "empty.txt")
    }

    @Test func textThatIsNotUTF8IsRefused() throws {
        let model = try TinyModel()
        let path = try model.directory.write(Array("caf".utf8) + [0xE9, 0x20, 0x41], to: "latin.txt")
        try ProgramRun.of("read", path, "-q", "Who?", "--model", model.path).expectError(
            65, "latin.txt", "UTF-8")
    }

    @Test func anImageThatLiesAboutItsSizeIsRefused() throws {
        let model = try TinyModel()
        var png = try Data(contentsOf: ReferenceCase(name: "one-image").folder.appending(path: "image-0.png"))
        // Width and height in the IHDR chunk, which then fails its checksum too.
        png.replaceSubrange(16..<24, with: [0x7F, 0xFF, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF])
        let path = try model.directory.write(png, to: "liar.png")
        try ProgramRun.of("run", model.path, "hello", "--image", path).expectError(65, "liar.png")
        try ProgramRun.of("read", path, "-q", "Who?", "--model", model.path).expectError(65, "liar.png")
    }

    @Test func aTextIsNoImage() throws {
        let model = try TinyModel()
        let path = try model.directory.write("words".utf8, to: "words.png")
        try ProgramRun.of("run", model.path, "hello", "--image", path).expectError(65, "words.png")
    }

    @Test func aMissingDocumentIsNamed() throws {
        let model = try TinyModel()
        try ProgramRun.of("read", "gone.txt", "-q", "Who?", "--model", model.path).expectError(66, "gone.txt")
    }

    @Test func aPromptLongerThanTheContextIsNeverCut() throws {
        let model = try TinyModel()
        let words = String(repeating: "word ", count: 400)
        let run = try ProgramRun.of("run", model.path, words, "--context", "100")
        run.expectError(1, "100")
        #expect(run.errors.matches(of: /\d+/).count >= 2, "both counts are told: \(run)")
    }

    @Test func moreContextThanTheModelHasIsRefused() throws {
        let model = try TinyModel(contextLength: 512)
        try ProgramRun.of("run", model.path, "hello", "--context", "513").expectError(64, "513", "512")
    }

    @Test func aTokenOutOfRangeIsNamed() throws {
        let model = try TinyModel()
        let output = model.directory.path("x.npy")
        try ProgramRun.of("logits", model.path, "--tokens", "1,1024", "-o", output).expectError(64, "1024")
        try ProgramRun.of("logits", model.path, "--tokens", "1,-4", "-o", output).expectError(64, "-4")
        try ProgramRun.of("tokenize", model.path, "--decode", "5000").expectError(64, "5000")
        #expect(try names(in: model.directory.url).allSatisfy { !$0.hasPrefix("x.npy") })
    }

    @Test func imagesAndPlaceholdersMustAgree() throws {
        let model = try TinyModel()
        let output = model.directory.path("x.npy")
        try ProgramRun.of("logits", model.path, "--tokens", "1,1018", "-o", output).expectError(64, "1", "0")
        #expect(try names(in: model.directory.url).allSatisfy { !$0.hasPrefix("x.npy") })
    }

    @Test func anOutputThatCannotBeCreatedIsNamed() throws {
        let model = try TinyModel()
        let run = try ProgramRun.of("logits", model.path, "--tokens", "1", "-o", "no/such/folder/x.npy")
        run.expectError(73, "no/such/folder/x.npy")
    }
}
