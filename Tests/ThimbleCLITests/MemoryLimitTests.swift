//! A limit on memory is held to: the same answer within it, or a refusal that says what would do.

import Foundation
import TestSupport
import Testing

private let mebibyte = 1 << 20

/// The bundled model's document, question and answer.
private enum Voyage {
    static let document = Fixtures.packageRoot.appending(path: "Examples/voyage.txt").path
    static let model = Fixtures.packageRoot.appending(path: "Models/reader.thimble").path
    static let question = "What is the code of copper-kettle?"
    static let answer = "48213"

    static func read(pages: String, _ flags: [String]) throws -> ProgramRun {
        try ProgramRun.Running(
            [
                "read", document, "--model", model, "-q", question, "--pages", pages, "--device", "cpu",
                "--threads", "2", "--json", "--no-stats",
            ] + flags
        ).finish()
    }
}

/// What a refusal suggests, as flags.
private func suggestions(_ run: ProgramRun) -> [[String]] {
    run.errors.matches(of: /--(host-memory|context|image-tokens) (\d+(?:MiB)?)/).map {
        ["--\($0.1)", String($0.2)]
    }
}

/// Bytes in a run's report.
private func memory(_ run: ProgramRun) throws -> (text: String, drawn: Int, held: Int) {
    let json = try run.json()
    let memory = try #require(json["memory"] as? [String: Any])
    return (
        try #require(json["text"] as? String), try #require(memory["drawn_peak_bytes"] as? Int),
        try #require(json["peak_memory_bytes"] as? Int)
    )
}

@Suite struct MemoryLimitTests {
    /// Limits from far too small to ample, by contexts, by pages.
    private static let cases: [(limit: Int, context: Int?, pages: String)] =
        [20, 56, 72, 88, 104, 120, 160, 300].flatMap { limit in
            [(limit, nil, "1"), (limit, 800, "1"), (limit, 1400, "1-2"), (limit, 6000, "1-2")]
        }

    @Test(.enabled(if: !isSanitized, "a sanitizer's shadow is memory of the program, too"))
    func aLimitIsKeptOrRefusedWithOneThatWorks() throws {
        var (answered, refused) = (0, 0)
        for (limit, context, pages) in Self.cases {
            let flags = ["--host-memory", "\(limit)MiB"] + (context.map { ["--context", "\($0)"] } ?? [])
            let run = try Voyage.read(pages: pages, flags)
            switch run.status {
            case 0:
                answered += 1
                let (text, drawn, held) = try memory(run)
                #expect(text == Voyage.answer, "\(flags)")
                #expect(drawn <= limit * mebibyte, "\(flags)")
                #expect(held <= limit * mebibyte * 105 / 100, "\(flags)")
            case 3:
                refused += 1
                run.expectError(3, "host memory", "too few", "--host-memory")
                // A long context makes room for an image that fills it.
                #expect(limit < 200 || context == 6000, "\(run)")
            default:
                // A context that was chosen for the limit, and is too short for the pages.
                #expect(run.status == 1 && context == nil && run.errors.contains("--context"), "\(run)")
            }
        }
        #expect(answered >= 10 && refused >= 6, "\(answered) answered, \(refused) refused")
    }

    @Test(
        .enabled(if: !isSanitized, "a sanitizer's shadow is memory of the program, too"),
        arguments: [20, 50, 70])
    func everySuggestionOfARefusalWorks(limit: Int) throws {
        let flags = ["--host-memory", "\(limit)MiB", "--context", "1000"]
        let refusal = try Voyage.read(pages: "1", flags)
        #expect(refusal.status == 3, "\(refusal)")
        let suggestions = suggestions(refusal)
        #expect(suggestions.first?.first == "--host-memory", "\(refusal)")
        for suggestion in suggestions {
            // The later flag counts; a plan is what was promised, for the pages may need more tokens.
            let run = try ProgramRun.Running(
                ["plan", Voyage.model, "--device", "cpu", "--threads", "2"]
                    + flags.replacing(suggestion)
            ).finish()
            #expect(run.status == 0, "\(suggestion): \(run)")
        }
        let run = try Voyage.read(pages: "1", flags.replacing(suggestions[0]))
        #expect(try memory(run).text == Voyage.answer, "\(run)")
    }

    @Test(.enabled(if: !isSanitized, "a sanitizer's shadow needs more address space than any limit"))
    func aHardLimitOfTheSystemIsKeptToo() throws {
        // Program code and libraries are mapped beside what the limit counts; nothing else is.
        let beside = 400 * mebibyte
        let limit = 120 * mebibyte
        let script = "ulimit -v \((limit + beside) / 1024) && exec \"$0\" \"$@\""
        let run = try ProgramRun.Running(
            [
                "-c", script, ProgramRun.executable.path, "read", Voyage.document, "--model", Voyage.model,
                "-q",
                Voyage.question, "--pages", "1", "--device", "cpu", "--threads", "2", "--host-memory",
                "120MiB", "--context", "800", "--no-stats",
            ], environment: ["MALLOC_ARENA_MAX": "1"], executable: URL(filePath: "/bin/sh")
        ).finish()
        #expect(run.status == 0 && run.output == Voyage.answer + "\n", "\(run)")
    }

    @Test func aLimitThatIsNoSizeIsAUsageError() throws {
        for text in ["2G", "-1MiB", "", "1.5.2GiB", "nan"] {
            let run = try ProgramRun.of("plan", Voyage.model, "--host-memory=\(text)")
            #expect(run.status == 64 && run.errors.contains("host-memory"), "\(run)")
        }
        let run = try ProgramRun.of("plan", Voyage.model, environment: ["THIMBLE_HOST_MEMORY": "lots"])
        run.expectError(64, "THIMBLE_HOST_MEMORY", "lots")
    }
}

extension [String] {
    /// The flags with one of them, and its value, in place of an earlier one of that name.
    fileprivate func replacing(_ flag: [String]) -> [String] {
        guard let index = firstIndex(of: flag[0]) else { return self + flag }
        var flags = self
        flags[index + 1] = flag[1]
        return flags
    }
}
