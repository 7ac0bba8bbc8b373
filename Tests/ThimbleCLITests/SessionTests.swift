//! Saved sessions at the command line: gone on with, listed, removed, copied, and never broken, however a run
//! ends.

import Foundation
import SessionFiles
import TestSupport
import Testing

/// A model, an image and a folder of state.
private struct Desk: ~Copyable {
    let model: TinyModel
    var state: String { model.directory.path("state") }
    var folder: String { state + "/thimble/sessions" }
    let image = ReferenceCase(name: "two-images-head128").folder.appending(path: "image-0.png").path

    init() throws { model = try TinyModel() }

    var names: [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted()
    }
    func file(_ name: String) -> String { "\(folder)/\(name).session" }

    /// Runs the program with this folder of state.
    func run(_ arguments: String..., input: String = "") throws -> ProgramRun {
        try start(arguments, input: input).finish()
    }

    func start(_ arguments: [String], input: String = "") throws -> ProgramRun.Running {
        try ProgramRun.Running(arguments, input: input, environment: ["XDG_STATE_HOME": state])
    }

    func ask(_ text: String, _ flags: String...) throws -> ProgramRun {
        try start(question(text, flags)).finish()
    }

    func question(_ text: String, _ flags: [String]) -> [String] {
        ["run", model.path, text, "-n", "8", "--temp", "0", "--context", "2048", "--json"] + flags
    }
}

private func text(_ run: ProgramRun) throws -> String {
    try #require(run.status == 0 && run.errors.isEmpty, "\(run)")
    return try #require(try run.json()["text"] as? String)
}

private func usage(_ run: ProgramRun) throws -> [String: Int] {
    try #require(try run.json()["usage"] as? [String: Int])
}

@Suite struct SessionTests {
    @Test func aConversationGoesOnFromRunToRun() throws {
        let desk = try Desk()
        let image = desk.image
        let first = try desk.ask("What is it?", "--image", image, "--session", "talk")
        _ = try text(first)
        #expect(desk.names == ["talk.session"])
        let second = try desk.ask("And then?", "--session", "talk")
        let counts = try usage(second)
        #expect(try counts["cached_tokens"]! > usage(first)["prompt_tokens"]! - 8)
        #expect(counts["images_encoded"] == 0 && counts["image_tokens"]! > 0)
        // Under another name, what was saved stays as it was.
        let before = try Data(contentsOf: URL(filePath: desk.file("talk")))
        let aside = try text(desk.ask("Third", "--session", "talk", "--save-session", "aside"))
        #expect(try Data(contentsOf: URL(filePath: desk.file("talk"))) == before)
        #expect(try text(desk.ask("Third", "--session", "talk")) == aside)
        #expect(desk.names == ["aside.session", "talk.session"])
        // Without --session, one begins anew.
        #expect(try usage(desk.ask("Third", "--save-session", "aside"))["cached_tokens"] == 0)
    }

    @Test func documentsAreReadOnce() throws {
        let desk = try Desk()
        let page = try desk.model.directory.write("The kettle is copper.".utf8, to: "page.txt")
        func read(_ arguments: String...) throws -> ProgramRun {
            try desk.start(
                ["read", "--model", desk.model.path, "-n", "4", "--json", "--no-stats", "--context", "8192"]
                    + arguments
            ).finish()
        }
        let first = try read(page, "-q", "What?", "--session", "doc")
        _ = try text(first)
        let second = try read("-q", "And who?", "--session", "doc")
        _ = try text(second)
        #expect(try usage(second)["images_encoded"] == 0 && usage(second)["image_tokens"]! > 0)
        try read("-q", "What?").expectError(64, "files are missing")
        try read("-q", "What?", "--session", "none").expectError(66, "no session none yet")
        try read(page, "--show-tokens", "--session", "doc").expectError(64, "--question")
        #expect(desk.names == ["doc.session"])
    }

    @Test func whatCannotBeIsRefused() throws {
        let desk = try Desk()
        _ = try text(desk.ask("One", "--session", "a"))
        try desk.ask("Two", "--session", "../a").expectError(64, "'../a'")
        try desk.ask("Two", "--session", "a", "--raw").expectError(64, "--raw")
        try desk.ask("Two", "--session", "a", "--system", "S").expectError(64, "--system")
        try desk.ask("Two", "--session", "a", "--kv", "int8").expectError(65, "--kv f16", "a.session")
        try desk.ask("Two", "--session", "a", "--session-folder", "/proc/none").expectError(73, "/proc/none")
        let other = try TinyModel(contextLength: 1024)
        try desk.start(["run", other.path, "Two", "--session", "a"]).finish()
            .expectError(65, "another model", "a.session")
        try Data([1, 2, 3]).write(to: URL(filePath: desk.file("bad")))
        try desk.ask("Two", "--session", "bad").expectError(65, "bad.session", "not a saved session")
        // Whatever was refused has changed nothing.
        #expect(desk.names == ["a.session", "bad.session"])
        #expect(try text(desk.ask("Two", "--session", "a")).isEmpty == false)
    }

    @Test func sessionsAreListedRemovedAndCopied() throws {
        let desk = try Desk()
        #expect(try desk.run("session", "ls").output == "no sessions in \(desk.folder)\n")
        for name in ["a", "b"] { _ = try text(desk.ask("One", "--session", name)) }
        let list = try desk.run("session", "ls").output.split(separator: "\n")
        #expect(
            list.count == 2 && list[0].hasPrefix("b  2 messages, 0 images, ") && list[0].hasSuffix("tiny"))
        let json = try desk.run("session", "ls", "--json").json()
        #expect((json["sessions"] as? [[String: Any]])?.map { $0["messages"] as? Int } == [2, 2])
        let copy = desk.model.directory.path("copy")
        #expect(try desk.run("session", "save", "a", copy).status == 0)
        #expect(try desk.run("session", "rm", "a", "b").status == 0)
        try desk.run("session", "rm", "a").expectError(66, "a.session", "no such session")
        #expect(desk.names == [])
        #expect(try desk.run("session", "restore", "again", copy).status == 0)
        _ = try text(desk.ask("Two", "--session", "again"))
        try desk.run("session", "restore", "x", desk.model.path).expectError(65, "not a saved session")
        try desk.run("session", "rm").expectError(64, "--older-than")
        #expect(try desk.run("session", "rm", "--older-than", "3").errors.isEmpty)
        try FileManager.default.setAttributes(
            [.modificationDate: Date(timeIntervalSinceNow: -4 * 86_400)], ofItemAtPath: desk.file("again"))
        #expect(try desk.run("session", "rm", "--older-than", "3").errors == "removed again\n")
        #expect(desk.names == [])
    }

    @Test func theBudgetSaysWhereAndHowLong() throws {
        let desk = try Desk()
        let folder = desk.model.directory.path("own")
        _ = try text(desk.ask("One", "--session", "a", "--session-folder", folder))
        let size = try Data(contentsOf: URL(filePath: folder + "/a.session")).count
        let budget = try desk.model.directory.write(
            "[sessions]\nfolder = \"\(folder)\"\nsize = \(size * 3 / 2)\ndays = 30\n".utf8, to: "b.toml")
        let run = try desk.ask("One", "--session", "b", "--budget", budget)
        #expect(run.status == 0 && run.errors.contains("the session a was removed"), "\(run)")
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["b.session"])
        let listed = try desk.run("session", "ls", "--json", "--budget", budget).json()
        #expect(listed["folder"] as? String == folder)
        // One that alone is more than may be is refused, and the old one stays.
        let small = try desk.model.directory.write(
            "[sessions]\nfolder = \"\(folder)\"\nsize = \(size / 2)\n".utf8, to: "s.toml")
        let refused = try desk.ask("Two", "--session", "b", "--budget", small)
        #expect(refused.status == 74 && refused.errors.contains("b.session"), "\(refused)")
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["b.session"])
        #expect(try usage(desk.ask("Two", "--session", "b", "--budget", budget))["cached_tokens"]! > 0)
    }

    @Test func oneProcessAtATimeGoesOnWithASession() throws {
        let desk = try Desk()
        _ = try text(desk.ask("One", "--session", "a"))
        // It waits for its prompt until its input ends, which a pipe does when it is closed.
        let claim = try SessionFileClaim(desk.file("a"))
        try desk.ask("Two", "--session", "a").expectError(73, "another process uses this session")
        try desk.run("session", "rm", "a").expectError(73, "another process")
        claim.release()
        _ = try text(desk.ask("Two", "--session", "a"))
    }
}

/// Holds the lock that a process has while it goes on with a session.
private final class SessionFileClaim {
    private var descriptor: Int32

    init(_ path: String) throws {
        descriptor = unsafe open(path + ".partial", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        try #require(descriptor >= 0 && flock(descriptor, LOCK_EX | LOCK_NB) == 0)
    }

    func release() {
        if descriptor >= 0 { close(descriptor) }
        descriptor = -1
    }

    deinit { release() }
}

/// How many times a run is killed while it saves: THIMBLE_KILLS, or few.
private var killCount: Int {
    ProcessInfo.processInfo.environment["THIMBLE_KILLS"].flatMap { Int($0) } ?? caseCount(30)
}

@Suite(.serialized) struct SessionKillTests {
    /// Killed at any moment of saving, a run leaves the old session or the new one, whole; the next run goes
    /// on with it, and nothing else is left.
    @Test func aRunThatIsKilledLeavesTheOldSessionOrTheNewOne() throws {
        let desk = try Desk()
        let long = String(repeating: "Of this there is much to be said. ", count: 60)
        for _ in 0..<2 { _ = try text(desk.ask(long, "--image", desk.image, "--session", "base")) }
        let base = try Data(contentsOf: URL(filePath: desk.file("base")))
        let (path, partial) = (desk.file("a"), desk.file("a") + ".partial")
        try base.write(to: URL(filePath: path))
        let clock = ContinuousClock()
        let span = try clock.measure { _ = try text(desk.ask("More", "--session", "a")) }
        let microseconds = Double(span.components.attoseconds) * 1e-12 + Double(span.components.seconds) * 1e6
        var random = SeededGenerator(seed: 23)
        var (olds, news, killed, begun) = (0, 0, 0, 0)
        var round = -1
        // Some runs have ended before they are killed.
        while killed < killCount, round < 3 * killCount {
            round += 1
            try base.write(to: URL(filePath: path))
            _ = unsafe chmod(path, 0o600)
            let run = try desk.start(desk.question("More", ["--session", "a"]))
            if round % 4 == 0 {
                // Anywhere in the run.
                usleep(UInt32.random(in: 0...UInt32(microseconds * 1.1), using: &random))
            } else {
                // Since the first byte was written; saving takes a few milliseconds.
                var status = stat()
                while run.process.isRunning {
                    if unsafe stat(partial, &status) == 0, status.st_size > 0 { break }
                }
                usleep(UInt32.random(in: 0...12_000, using: &random))
            }
            kill(run.process.processIdentifier, SIGKILL)
            if try run.finish().status == -SIGKILL { killed += 1 }
            if let size = try? FileManager.default.attributesOfItem(atPath: partial)[.size] as? Int, size > 0
            {
                begun += 1
            }
            let reader = try SessionFileReader(path: path)
            try reader.verify()
            switch reader.head.messageCount {
            case 4:
                #expect(try Data(contentsOf: URL(filePath: path)) == base)
                olds += 1
            case 6: news += 1
            default: Issue.record("\(reader.head.messageCount) messages")
            }
            if round % 10 == 0 {
                #expect(try usage(desk.ask("More", "--session", "a"))["cached_tokens"]! > 400)
                #expect(desk.names == ["a.session", "base.session"])
            }
        }
        print("\(killed) runs were killed, \(begun) left half a file; old \(olds), new \(news)")
        #expect(killed == killCount)
        // A few may all fall elsewhere.
        #expect(killCount < 20 || olds > 0 && begun > 0)
    }
}
