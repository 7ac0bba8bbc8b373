//! The command line itself: help, versions, usage errors.

import Foundation
import TestSupport
import Testing

@Test func withoutACommandTheProgramSaysWhatToDoNext() throws {
    let run = try ProgramRun.of()
    #expect(run.status == 0)
    #expect(
        run.output.contains("thimble 0.") && run.output.contains("cpu") && run.output.contains("read FILE"))
    #expect(run.output.contains("thimble doctor") && run.output.contains("thimble plan"))
    #expect(run.output.contains("budget   no limit"), "\(run)")
    #expect(run.errors.isEmpty)
}

@Test func withoutACommandTheProgramSaysWhichBudgetIsInForce() throws {
    let limited = try ProgramRun.of(environment: ["THIMBLE_HOST_MEMORY": "900MiB"])
    #expect(limited.status == 0 && limited.output.contains("budget   host memory 900MiB"), "\(limited)")
    let absent = try ProgramRun.of(environment: ["THIMBLE_BUDGET": "no-such-board"])
    #expect(absent.status == 0 && absent.output.contains("budget   no-such-board: "), "\(absent)")
}

@Test func theVersionIsOneLine() throws {
    let run = try ProgramRun.of("--version")
    #expect(run.status == 0)
    #expect(run.output.wholeMatch(of: /thimble \d+\.\d+\.\d+\n/) != nil, "\(run)")
}

@Test(arguments: [
    "run", "chat", "read", "convert", "inspect", "tokenize", "logits", "bench", "devices", "doctor", "plan",
])
func everyCommandHasHelpWithExamples(command: String) throws {
    let run = try ProgramRun.of(command, "--help")
    #expect(run.status == 0)
    #expect(run.output.contains("Examples:") && run.output.contains("thimble \(command)"), "\(run)")
    // None is so long that it is broken.
    let lines = run.output.split(separator: "\n", omittingEmptySubsequences: false)
    let examples = lines.drop { $0 != "Examples:" }.dropFirst().prefix { !$0.isEmpty }
    #expect(examples.allSatisfy { $0.hasPrefix("  thimble ") }, "\(examples)")
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
    ["bench", "m.thimble", "--ask-again"],
    ["bench", "m.thimble", "--image", "588x840", "--images", "0"],
    ["chat", "m.thimble"],
])
func aCommandLineThatCannotBeIsAUsageError(arguments: [String]) throws {
    let run = try ProgramRun.Running(arguments).finish()
    run.expectError(64, "thimble")
}

@Test(
    arguments: [
        (["reed"], ["no command 'reed'", "read", "thimble --help"]),
        (["session", "list"], ["thimble session has no command 'list'", "ls, rm, save, restore"]),
        (["plan", "m.thimble", "--host-memory", "lots"], ["lots", "--host-memory", "900MiB"]),
        (["read", "a.txt", "-q", "Who?", "--pages", "first"], ["first", "--pages", "2,5-7"]),
        (["read", "a.txt", "-q", " "], ["question is empty"]),
    ])
func aUsageErrorSaysWhatCouldBeGiven(arguments: [String], said: [String]) throws {
    let run = try ProgramRun.Running(arguments).finish()
    #expect(run.status == 64, "\(run)")
    for words in said { #expect(run.errors.contains(words), "\(run)") }
    #expect(!run.errors.contains("manual"), "\(run)")
}

/// Paragraphs are as wide as the terminal: no line of one is cut short by a line's end in the sources.
@Test func paragraphsOfHelpAreFilled() throws {
    let lines = try ProgramRun.of("read", "--help").output.split(
        separator: "\n", omittingEmptySubsequences: false)
    let start = try #require(lines.firstIndex(of: ""))
    let paragraph = lines[(start + 1)...].prefix { !$0.isEmpty }
    #expect(paragraph.count > 4)
    for (line, next) in zip(paragraph, paragraph.dropFirst()) {
        let word = next.prefix { $0 != " " }
        #expect(line.count + 1 + word.count > 79, "\(line)")
    }
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

@Test func everyCommandHasAManualPage() throws {
    let folder = try TemporaryDirectory()
    let run = try ProgramRun.of("manual", "-o", folder.path("man1"))
    #expect(run.status == 0 && run.output.isEmpty && run.errors.isEmpty, "\(run)")
    let help = try ProgramRun.of("--help").output
    let commands = help.split(separator: "\n").compactMap { $0.firstMatch(of: /^  ([a-z]+)  +[A-Z]/)?.1 }
    #expect(commands.count > 10 && !commands.contains("manual"), "\(help)")
    for name in ["thimble"] + commands.map({ "thimble-\($0)" }) {
        let page = try String(contentsOf: folder.url.appending(path: "man1/\(name).1"), encoding: .utf8)
        #expect(page.hasPrefix(".TH \(name.uppercased()) 1 "))
        #expect(page.contains(".SH SYNOPSIS") && page.contains("\\fB\\-\\-help\\fR"))
        // Whatever a line begins with, it is a request of man(7) or text.
        for line in page.split(separator: "\n") where line.hasPrefix(".") || line.hasPrefix("'") {
            #expect(line.firstMatch(of: /^\.(TH|SH|TP|B|BR|PP|RS|RE|nf|fi|sp)\b/) != nil, "\(name): \(line)")
        }
    }
}
