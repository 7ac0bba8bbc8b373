//! `thimble run`: prompts, streams and signals.

import Foundation
import TestSupport
import Testing

@Test func aPromptFromStandardInputIsThePrompt() throws {
    let model = try TinyModel()
    let direct = try ProgramRun.of("run", model.path, "One, two.", "-n", "6")
    let piped = try ProgramRun.of("run", model.path, "-n", "6", input: "One, two.\n")
    let dashed = try ProgramRun.of("run", model.path, "-", "-n", "6", input: "One, two.\n")
    #expect(direct.status == 0 && !direct.output.isEmpty && direct.errors.isEmpty, "\(direct)")
    #expect(piped.output == direct.output && dashed.output == direct.output)
}

@Test func specialTokensCountOnlyInRawPrompts() throws {
    let model = try TinyModel()
    func tokens(_ arguments: String...) throws -> Int {
        let run = try ProgramRun.Running(["run", model.path, "-n", "1", "--json"] + arguments).finish()
        return try #require((try run.json()["usage"] as? [String: Int])?["prompt_tokens"], "\(run)")
    }
    #expect(try tokens("<|user|>", "--raw") == 1)
    #expect(try tokens("<|user|>") > tokens("u"))
}

@Test func theSameSeedDrawsTheSameText() throws {
    let model = try TinyModel()
    func text(_ seed: String) throws -> String {
        try ProgramRun.of("run", model.path, "Tell.", "-n", "12", "--temp", "1.5", "--seed", seed).output
    }
    #expect(try text("1") == text("1"))
    #expect(try text("1") != text("2"))
}

@Test func anImageIsSeen() throws {
    let model = try TinyModel()
    let image = ReferenceCase(name: "one-image").folder.appending(path: "image-0.png").path
    let run = try ProgramRun.of("run", model.path, "What?", "--image", image, "-n", "2", "--json")
    #expect((try run.json()["usage"] as? [String: Int])?["image_tokens"] ?? 0 > 0, "\(run)")
}

// Of the three likeliest tokens, none ends an answer of random weights: these go on until they are stopped.

@Test(arguments: [(SIGINT, Int32(130)), (SIGTERM, Int32(143))])
func aSignalEndsAnAnswerCleanly(signal: Int32, status: Int32) throws {
    let model = try TinyModel()
    let run = try ProgramRun.Running(["run", model.path, "Go on.", "--top-k", "3", "--seed", "4"])
    while run.outputSoFar.count < 8, run.process.isRunning { usleep(2000) }
    kill(run.process.processIdentifier, signal)
    let result = try run.finish()
    #expect(result.status == status, "\(result)")
    #expect(result.output.hasSuffix("\n") && result.errors.isEmpty, "\(result)")
}

@Test func aReaderThatLeavesEndsTheProgramQuietly() throws {
    let model = try TinyModel()
    let shell = Process()
    let (output, errors) = (Pipe(), Pipe())
    shell.executableURL = URL(filePath: "/bin/sh")
    shell.arguments = [
        "-c", "{ \"$0\" run \"$1\" Go --top-k 3 --seed 4; echo \"status $?\" >&2; } | head -c 4 >/dev/null",
        ProgramRun.executable.path, model.path,
    ]
    (shell.standardOutput, shell.standardError) = (output, errors)
    try shell.run()
    let text = String(decoding: try errors.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
    shell.waitUntilExit()
    #expect(text == "status 141\n")
}

@Test func aFullStandardOutputIsAnError() throws {
    let shell = Process()
    let errors = Pipe()
    shell.executableURL = URL(filePath: "/bin/sh")
    shell.arguments = ["-c", "exec \"$0\" --help > /dev/full", ProgramRun.executable.path]
    shell.standardError = errors
    try shell.run()
    let text = String(decoding: try errors.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
    shell.waitUntilExit()
    #expect(shell.terminationStatus == 74 && shell.terminationReason == .exit)
    #expect(text.hasPrefix("thimble: standard output"), "\(text)")
}

@Test func aBudgetsFolderForKeysAndValuesIsTakenWithoutANote() throws {
    let model = try TinyModel()
    let folder = model.directory.path("spill")
    let budget = try model.directory.write(
        "[spill]\nfolder = \"\(folder)\"\nsize = \"1MiB\"\n".utf8, to: "b.toml")
    let run = try ProgramRun.of("run", model.path, "One", "-n", "2", "--json", "--budget", budget)
    #expect(run.status == 0 && run.errors.isEmpty, "\(run)")
    let entries = try (run.json()["memory"] as? [String: Any])?["entries"] as? [[String: Any]]
    #expect(entries?.contains { $0["name"] as? String == "pages on their way" } == true, "\(run)")
    // What lay there is gone with the process.
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
}
