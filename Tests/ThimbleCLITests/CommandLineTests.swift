//! The command line itself: help, versions, usage errors.

import Foundation
import TestSupport
import Testing

@Test func withoutACommandTheProgramSaysWhatToDoNext() throws {
    let run = try ProgramRun.of()
    #expect(run.status == 0)
    #expect(
        run.output.contains("thimble 0.") && run.output.contains("cpu") && run.output.contains("read FILE"))
    #expect(run.errors.isEmpty)
}

@Test func theVersionIsOneLine() throws {
    let run = try ProgramRun.of("--version")
    #expect(run.status == 0)
    #expect(run.output.wholeMatch(of: /thimble \d+\.\d+\.\d+\n/) != nil, "\(run)")
}

@Test(arguments: ["run", "chat", "read", "convert", "inspect", "tokenize", "logits", "bench", "devices"])
func everyCommandHasHelpWithExamples(command: String) throws {
    let run = try ProgramRun.of(command, "--help")
    #expect(run.status == 0)
    #expect(run.output.contains("Examples:") && run.output.contains("thimble \(command)"), "\(run)")
}

@Test(arguments: [
    ["reed"],
    ["--bogus"],
    ["run"],
    ["run", "m.thimble", "hello", "--temp", "warm"],
    ["run", "m.thimble", "hello", "--temp", "-1"],
    ["run", "m.thimble", "hello", "--top-p", "1.5"],
    ["run", "m.thimble", "hello", "-n", "0"],
    ["run", "m.thimble", "hello", "--think", "maybe"],
    ["run", "m.thimble", "hello", "--raw", "-s", "Be brief."],
    ["read", "-q", "Who?"],
    ["read", "a.txt"],
    ["read", "a.txt", "-q", "Who?", "-o", "pages"],
    ["read", "a.txt", "--render-only"],
    ["read", "a.txt", "-q", "Who?", "--pages", "3-1"],
    ["read", "-", "-", "-q", "Who?"],
    ["convert", "-o", "m.thimble"],
    ["convert", "folder"],
    ["convert", "folder", "--random", "c.json", "-o", "m.thimble"],
    ["convert", "folder", "-o", "m.thimble", "--weights", "q3"],
    ["convert", "folder", "-o", "m.thimble", "--group", "48"],
    ["convert", "folder", "-o", "m.thimble", "--seed", "3"],
    ["logits", "m.thimble", "--tokens", "1,two", "-o", "x.npy"],
    ["tokenize", "m.thimble", "text", "--decode", "1"],
    ["bench", "m.thimble", "-p", "0", "-n", "0"],
    ["bench", "m.thimble", "--images", "3"],
    ["bench", "m.thimble", "--image", "588x840", "--images", "0"],
    ["chat", "m.thimble"],
])
func aCommandLineThatCannotBeIsAUsageError(arguments: [String]) throws {
    let run = try ProgramRun.Running(arguments).finish()
    run.expectError(64, "thimble")
}

@Test func chatWithoutATerminalPointsToRun() throws {
    try ProgramRun.of("chat", "m.thimble").expectError(64, "terminal", "thimble run")
}

@Test func aDeviceOfTheEnvironmentThatIsNotThereIsNamed() throws {
    let model = try TinyModel()
    let run = try ProgramRun.of("run", model.path, "hello", environment: ["THIMBLE_DEVICE": "abacus"])
    run.expectError(69, "abacus")
}

@Test func aFlagWinsOverTheEnvironment() throws {
    let model = try TinyModel()
    let environment = ["THIMBLE_DEVICE": "abacus", "THIMBLE_THREADS": "1", "THIMBLE_CONTEXT": "64"]
    let run = try ProgramRun.of(
        "bench", model.path, "-p", "4", "-n", "1", "-r", "1", "--device", "cpu", "--threads", "2", "--json",
        environment: environment)
    #expect(run.status == 0, "\(run)")
    #expect(try run.json()["threads"] as? Int == 2)
    try ProgramRun.of("bench", model.path, "-p", "64", "-n", "8", "--device", "cpu", environment: environment)
        .expectError(1, "64")
}

@Test func anEnvironmentThatIsNoNumberIsNamed() throws {
    let model = try TinyModel()
    let run = try ProgramRun.of("run", model.path, "hello", environment: ["THIMBLE_THREADS": "many"])
    run.expectError(64, "THIMBLE_THREADS", "many")
}

@Test(arguments: ["bash", "zsh", "fish"])
func completionScriptsComeFromTheProgram(shell: String) throws {
    let run = try ProgramRun.of("--generate-completion-script", shell)
    #expect(run.status == 0)
    #expect(run.output.contains("thimble") && run.output.contains("render-only"))
}
