//! `thimble plan` and `devices --measure`: what to expect of a plan, what it rests on, and the budget that
//! leads to it.

import Foundation
import TestSupport
import Testing

private let model = Fixtures.packageRoot.appending(path: "Models/reader.thimble").path

/// A cache folder of its own, and runs of the program that use it.
private struct Machine {
    let cache: TemporaryDirectory
    var profile: URL { cache.url.appending(path: "thimble/machine.json") }

    init() throws { cache = try TemporaryDirectory() }

    func run(_ arguments: String...) throws -> ProgramRun { try run(arguments) }

    func run(_ arguments: [String]) throws -> ProgramRun {
        try ProgramRun.Running(arguments, environment: ["XDG_CACHE_HOME": cache.url.path]).finish()
    }

    /// A plan of the bundled model in little memory.
    func plan(_ flags: String...) throws -> ProgramRun {
        try run(
            [
                "plan", model, "--device", "cpu", "--threads", "2", "--context", "1024", "--image-tokens",
                "640",
            ]
                + flags)
    }

    func measure() throws -> ProgramRun {
        try run("devices", "--measure", "--seconds", "0.05", "--threads", "2", "--model", model, "--json")
    }

    /// The least limit of the plan in MiB, as a refusal names it.
    func least() throws -> Int {
        let refusal = try plan("--host-memory", "1MiB")
        let match = try #require(refusal.errors.firstMatch(of: /--host-memory (\d+)MiB/), "\(refusal)")
        return try #require(Int(match.1))
    }
}

private func prediction(_ run: ProgramRun) throws -> [String: Any] {
    #expect(run.status == 0 && run.errors.isEmpty, "\(run)")
    return try #require(try run.json()["prediction"] as? [String: Any], "\(run)")
}

private func origins(_ run: ProgramRun) throws -> [String] {
    let rates = try #require(try prediction(run)["rates"] as? [String: Any])
    return ["memory", "disk", "computing"].compactMap { rates[$0] as? String }
}

@Suite struct PlanTests {
    @Test func whatIsMeasuredIsWhatPlansArePredictedWith() throws {
        let machine = try Machine()
        #expect(try origins(machine.plan("--json")) == ["assumed", "assumed", "assumed"])
        let guess = try machine.plan()
        #expect(guess.output.contains("assumed") && guess.output.contains("devices --measure"), "\(guess)")

        let measured = try machine.measure()
        #expect(measured.status == 0, "\(measured)")
        let json = try measured.json()
        let path = machine.profile.resolvingSymlinksInPath().path
        #expect((json["path"] as? String).map { URL(filePath: $0).resolvingSymlinksInPath().path } == path)
        let profile = try #require(json["machine"] as? [String: Any])
        #expect((profile["disk"] as? [String: Any])?["path"] as? String == model)
        #expect(profile["processor"] is String && (profile["weights"] as? [Any])?.isEmpty == false)
        #expect(try origins(machine.plan("--json")) == ["measured", "measured", "measured"])
        let text = try machine.plan()
        #expect(text.output.contains("memory and disk and computing measured\n"), "\(text)")

        let whole = try Data(contentsOf: machine.profile)
        try whole.prefix(100).write(to: machine.profile)
        #expect(try origins(machine.plan("--json")) == ["assumed", "assumed", "assumed"])
    }

    @Test func anotherMachineIsAsItsBudgetStatesIt() throws {
        let machine = try Machine()
        #expect(try machine.measure().status == 0)
        let budget = try machine.cache.write(
            "[machine]\nhost-bandwidth = \"10GB\"\ndisk-bandwidth = \"90MB\"\n".utf8, to: "board.toml")
        #expect(try origins(machine.plan("--json", "--budget", budget))[0] == "measured")
        let other = try machine.plan("--json", "--budget", budget, "--other-machine")
        #expect(try origins(other) == ["stated", "stated", "assumed"])
        let rates = try #require(try prediction(other)["rates"] as? [String: Any])
        #expect(rates["disk_bytes_per_second"] as? Double == 90e6)
        #expect(rates["memory_bytes_per_second"] as? Double == 10e9)
    }

    @Test func measuringIsSaidToAPersonToo() throws {
        let machine = try Machine()
        let run = try machine.run("devices", "--measure", "--seconds", "0.05", "--model", model)
        #expect(run.status == 0, "\(run)")
        for word in ["processor", "memory", "disk", "decompression", "computing", "kept in", model] {
            #expect(run.output.contains(word), "\(run)")
        }
        try machine.run("devices", "--threads", "2").expectError(64, "--measure")
        try machine.run("devices", "--measure", "--model", machine.cache.path("none"))
            .expectError(66, "none")
        let noHome = try ProgramRun.of("devices", "--measure", "--seconds", "0.05", "--model", model)
        #expect(noHome.status == 73 && noHome.errors.contains("XDG_CACHE_HOME"), "\(noHome)")
    }

    @Test func aPlanSaysWhatToExpectAndWhy() throws {
        let machine = try Machine()
        let limit = "\(try machine.least())MiB"
        let json = try machine.plan("--json", "--host-memory", limit, "--prompt-tokens", "100")
        let expected = try prediction(json)
        for name in ["tokens_per_second", "prefill_tokens_per_second"] {
            #expect(try #require(expected[name] as? Double) > 0)
        }
        #expect(expected["prompt_tokens"] as? Int == 100 && expected["page_tokens"] as? Int == 630)
        for name in ["token", "first_token", "prefill", "image", "page_first_token", "load"] {
            let stage = try #require(expected[name] as? [String: Any], "\(name)")
            #expect(try #require(stage["seconds"] as? Double) > 0)
            for part in ["disk", "memory", "computing"] { #expect(stage["\(part)_seconds"] is Double) }
            #expect(["disk", "memory", "computing"].contains(stage["bound"] as? String ?? ""))
        }
        let more = try #require(expected["with_more"] as? [String: Any])
        #expect(more["bytes"] as? Int == 256 << 20)
        let (rate, moreRate) = (expected["tokens_per_second"], more["tokens_per_second"])
        #expect(try #require(moreRate as? Double) > (try #require(rate as? Double)))

        let text = try machine.plan("--host-memory", limit, "--prompt-tokens", "100")
        for words in [
            "tokens/s; it waits for the disk", "256.0 MiB more", "would buy", "100 tokens",
            "630 visual tokens",
        ] { #expect(text.output.contains(words), "\(text)") }
        let unlimited = try machine.plan("--json")
        #expect(try prediction(unlimited)["with_more"] == nil)
        try machine.plan("--prompt-tokens", "0").expectError(64, "0 tokens")
    }

    @Test func aPlansBudgetLeadsToItAgain() throws {
        let machine = try Machine()
        let least = try machine.least()
        let little = ["--context", "1024", "--image-tokens", "640"]
        for (limit, flags) in [(least, little), (least + 60, little + ["--kv", "int8"]), (1024, [])] {
            let given =
                ["plan", model, "--device", "cpu", "--threads", "2", "--host-memory", "\(limit)MiB"] + flags
            let first = try machine.run(given + ["--json"]).json()
            let config = try machine.run(given + ["--emit-config"])
            #expect(config.status == 0 && config.errors.isEmpty, "\(config)")
            let path = try machine.cache.write(config.output.utf8, to: "plan-\(limit).toml")
            let again = try machine.run("plan", model, "--budget", path, "--json")
            #expect(again.status == 0, "\(again)\n\(config)")
            let second = try again.json()
            for key in ["context_tokens", "prefill_chunk_tokens", "limit_bytes"] {
                #expect(first[key] as? Int == second[key] as? Int && first[key] is Int, "\(key) at \(limit)")
            }
            #expect(first["image_tokens"] as? Int == second["image_tokens"] as? Int)
            let same = try machine.run("plan", model, "--budget", path, "--emit-config")
            #expect(same.output == config.output, "\(same)")
            let host = limit == 1024 ? "1GiB" : "\(limit)MiB"
            for line in ["threads = 2", "device = \"cpu\"", "host = \"\(host)\""] {
                #expect(config.output.contains(line), "\(config)")
            }
        }
        try machine.plan("--json", "--emit-config").expectError(64, "exclude")
    }

    @Test(arguments: [[], ["--json"], ["--emit-config"]])
    func whatFitsNowhereIsRefusedWithWhatWould(flags: [String]) throws {
        let machine = try Machine()
        let given = ["plan", model, "--device", "cpu", "--threads", "2", "--context", "1024"]
        let refusal = try machine.run(given + ["--host-memory", "20MiB"] + flags)
        refusal.expectError(3, "host memory", "too few", "--host-memory")
        let match = try #require(
            refusal.errors.firstMatch(of: /(\d+) bytes of host memory are (\d+) too few/), "\(refusal)")
        #expect(Int(match.1) == 20 << 20 && (Int(match.2) ?? 0) > 0)
        let fit = try #require(refusal.errors.firstMatch(of: /--host-memory (\d+MiB)/), "\(refusal)")
        let run = try machine.run(given + ["--host-memory", String(fit.1)] + flags)
        #expect(run.status == 0 && !run.output.isEmpty, "\(run)")
    }

    @Test func moreMemoryIsNeverPredictedSlower() throws {
        let machine = try Machine()
        let least = try machine.least()
        var last = 0.0
        for limit in stride(from: least, to: least + 60, by: 6) {
            let run = try machine.plan("--json", "--host-memory", "\(limit)MiB")
            let rate = try #require(try prediction(run)["tokens_per_second"] as? Double)
            #expect(rate >= last, "\(limit) MiB")
            last = rate
        }
    }
}
