//! `thimble chat` at a terminal, which a pseudo-terminal stands for.

import Foundation
import Glibc
import TestSupport
import Testing

/// The program at a pseudo-terminal.
private struct TerminalSession: ~Copyable {
    private let process: Process
    private let terminal: Int32
    private let childSide: Int32
    private(set) var screen: String

    init(_ arguments: [String]) throws {
        var (outer, inner): (Int32, Int32) = (-1, -1)
        let opened = unsafe openpty(&outer, &inner, nil, nil, nil)
        try #require(opened == 0)
        _ = fcntl(outer, F_SETFL, O_NONBLOCK)
        // Other children, which other tests start meanwhile, must hold no copy of them.
        for end in [outer, inner] { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let handle = FileHandle(fileDescriptor: inner, closeOnDealloc: false)
        let process = Process()
        process.executableURL = ProgramRun.executable
        process.arguments = arguments
        process.environment = ["PATH": "/usr/bin:/bin"]
        (process.standardInput, process.standardOutput, process.standardError) = (handle, handle, handle)
        try process.run()
        self.process = process
        (terminal, childSide) = (outer, inner)
        screen = ""
    }

    deinit {
        if process.isRunning { process.terminate() }
        close(terminal)
        close(childSide)
    }

    /// Types a text, then reads the screen until `expected` is on it behind what was there before.
    mutating func type(_ text: String, until expected: String) throws {
        let seen = screen.count
        if !text.isEmpty {
            _ = unsafe Array(text.utf8).withUnsafeBytes { unsafe write(terminal, $0.baseAddress, $0.count) }
        }
        let deadline = ContinuousClock.now + .seconds(30)
        var chunk = [UInt8](repeating: 0, count: 4096)
        while !screen.dropFirst(seen).contains(expected), ContinuousClock.now < deadline {
            let count = unsafe read(terminal, &chunk, chunk.count)
            if count > 0 { screen += String(decoding: chunk[..<count], as: UTF8.self) } else { usleep(2000) }
        }
        try #require(screen.dropFirst(seen).contains(expected), "no '\(expected)' in: \(screen)")
    }

    /// Reads the screen until it has asked for a line so many times in all.
    mutating func awaitPrompts(_ count: Int) throws {
        let deadline = ContinuousClock.now + .seconds(30)
        var chunk = [UInt8](repeating: 0, count: 4096)
        func prompts() -> Int { screen.matches(of: />{3}\s/).count }
        while prompts() < count, ContinuousClock.now < deadline {
            let count = unsafe read(terminal, &chunk, chunk.count)
            if count > 0 { screen += String(decoding: chunk[..<count], as: UTF8.self) } else { usleep(2000) }
        }
        try #require(prompts() == count, "\(count) prompts in: \(screen)")
    }

    func signal(_ number: Int32) { kill(process.processIdentifier, number) }

    /// Waits for the end, and returns the exit status.
    func end() -> Int32 {
        process.waitUntilExit()
        return process.terminationStatus
    }
}

@Test func aConversationRemembersItsTurns() throws {
    let model = try TinyModel()
    var chat = try TerminalSession(["chat", model.path, "-n", "4", "--stats"])
    try chat.type("", until: ">>> ")
    try chat.type("Hello\n", until: "peak memory")
    try chat.type("\"\"\"one\n", until: "... ")
    try chat.type("two\"\"\"\n", until: "peak memory")
    #expect(chat.screen.firstMatch(of: /, [1-9]\d* from earlier turns/) != nil, "\(chat.screen)")
    try chat.type("/help\n", until: "/clear")
    try chat.type("/nonsense\n", until: "no command /nonsense")
    try chat.type("/bye\n", until: "\n")
    #expect(chat.end() == 0)
    #expect(!chat.screen.contains("\u{1B}"))
}

@Test func aConversationIsSavedHoweverThePersonLeaves() throws {
    let model = try TinyModel()
    let folder = model.directory.path("sessions")
    let arguments = [
        "chat", model.path, "-n", "4", "--session", "talk", "--session-folder", folder, "--stats",
    ]
    var first = try TerminalSession(arguments)
    try first.type("", until: ">>> ")
    try first.type("Hello\n", until: "0 from earlier turns")
    // Another one that wants the same session does not begin.
    var second = try TerminalSession(arguments)
    try second.type("", until: "another process uses this session")
    #expect(second.end() == 73)
    try first.type("\u{4}", until: "\n")
    #expect(first.end() == 0)
    var third = try TerminalSession(arguments)
    try third.type("", until: ">>> ")
    try third.type("Go on\n", until: "from earlier turns")
    #expect(!third.screen.contains(" 0 from earlier turns"))
    try third.type("/help\n", until: "several lines")
    // It is about to wait for the next line.
    usleep(200_000)
    third.signal(SIGTERM)
    #expect(third.end() == 143)
    let listed = try ProgramRun.of("session", "ls", "--session-folder", folder)
    #expect(listed.output.hasPrefix("talk  4 messages, 0 images, "), "\(listed)")
}

@Test func anErrorInAConversationLeavesItGoingOn() throws {
    let model = try TinyModel()
    var chat = try TerminalSession(["chat", model.path, "-n", "4", "--context", "64"])
    try chat.type("", until: ">>> ")
    try chat.type("/image gone.png\n", until: "gone.png")
    try chat.type(String(repeating: "word ", count: 100) + "\n", until: "the context holds 64")
    try chat.type("Hi\n", until: ">>> ")
    try chat.type("\u{4}", until: "\n")
    #expect(chat.end() == 0)
}

@Test func anInterruptStopsAnAnswerAndTwoLeave() throws {
    let model = try TinyModel()
    var chat = try TerminalSession(["chat", model.path, "--temp", "2", "--seed", "4"])
    try chat.type("", until: ">>> ")
    chat.signal(SIGINT)
    try chat.type("", until: "Ctrl-C again or Ctrl-D leaves")
    chat.signal(SIGINT)
    #expect(chat.end() == 130)
}

@Test func aConversationIsSavedAfterEachAnswer() throws {
    let model = try TinyModel()
    let folder = model.directory.path("sessions")
    var chat = try TerminalSession([
        "chat", model.path, "-n", "4", "--session", "talk", "--session-folder", folder, "--stats",
    ])
    try chat.type("", until: ">>> ")
    for count in [2, 4] {
        try chat.type("Hello\n", until: "peak memory")
        // The next line is asked for when the answer is saved.
        try chat.awaitPrompts(1 + count / 2)
        let listed = try ProgramRun.of("session", "ls", "--session-folder", folder)
        #expect(listed.output.hasPrefix("talk  \(count) messages, "), "\(listed)")
    }
    // However it ends.
    chat.signal(SIGKILL)
    _ = chat.end()
    let listed = try ProgramRun.of("session", "ls", "--session-folder", folder)
    #expect(listed.output.hasPrefix("talk  4 messages, "), "\(listed)")
}

@Test func whatMayNotBeWrittenIsToldOnce() throws {
    let model = try TinyModel()
    let folder = model.directory.path("sessions")
    let place = ["--session-folder", folder]
    let run = try ProgramRun.Running(
        ["run", model.path, "Hello", "-n", "4", "--session", "other", "--device", "cpu"] + place
    ).finish()
    try #require(run.status == 0, "\(run)")
    let attributes = try FileManager.default.attributesOfItem(atPath: "\(folder)/other.session")
    let byteCount = try #require(attributes[.size] as? Int)
    let budget = try model.directory.write(
        Data("[sessions]\nwritten-a-day = \(byteCount + byteCount / 2)\n".utf8), to: "budget.toml")
    var chat = try TerminalSession(
        ["chat", model.path, "-n", "4", "--session", "talk", "--budget", budget, "--stats"] + place)
    try chat.type("", until: ">>> ")
    try chat.type("Hello\n", until: "peak memory")
    try chat.awaitPrompts(2)
    #expect(!chat.screen.contains("not saved"))
    try chat.type("Go on\n", until: "note: this answer is not saved: ")
    try chat.awaitPrompts(3)
    #expect(chat.screen.contains("raise sessions.written-a-day in the budget"), "\(chat.screen)")
    try chat.type("Go on\n", until: "peak memory")
    try chat.awaitPrompts(4)
    #expect(chat.screen.matches(of: /is not saved/).count == 1, "\(chat.screen)")
    // Who leaves is told that the rest is not saved, and what was saved stays.
    try chat.type("\u{4}", until: "written-a-day")
    #expect(chat.end() == 74)
    let listed = try ProgramRun.Running(["session", "ls"] + place).finish()
    #expect(listed.output.contains("talk   2 messages, "), "\(listed)")
}
