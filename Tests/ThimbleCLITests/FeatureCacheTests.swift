//! What one run has made of images, the next one finds on disk, whoever else writes there and however runs
//! end.

import Foundation
import TestSupport
import Testing

/// A model, two images and a folder of caches.
private struct Desk: ~Copyable {
    let model: TinyModel
    let images: [String]
    var cache: String { model.directory.path("cache") }
    var features: String { cache + "/thimble/features" }

    init() throws {
        model = try TinyModel()
        let first = ReferenceCase(name: "two-images-head128").folder
        images = ["image-0.png", "image-1.png"].map { first.appending(path: $0).path }
    }

    var entries: [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: features)) ?? []).filter { $0 != "secret" }
    }

    func arguments(_ flags: [String]) -> [String] {
        ["run", model.path, "What is it?", "-n", "4", "--json"] + images.flatMap { ["--image", $0] } + flags
    }

    func run(_ flags: String..., environment: [String: String] = [:]) throws -> ProgramRun {
        let environment = ["XDG_CACHE_HOME": cache].merging(environment) { $1 }
        return try ProgramRun.Running(arguments(flags), environment: environment).finish()
    }
}

/// What a run says: its text, and how many images it encoded and knew.
private func answer(_ run: ProgramRun) throws -> (text: String, counts: [Int?]) {
    try #require(run.status == 0 && run.errors.isEmpty, "\(run)")
    let json = try run.json()
    let usage = try #require(json["usage"] as? [String: Int])
    return (
        try #require(json["text"] as? String), [usage["images_encoded"], usage["images_cached"]]
    )
}

@Suite struct FeatureCacheTests {
    @Test func aSecondRunEncodesNothingAndAnswersTheSame() throws {
        let desk = try Desk()
        let without = try answer(desk.run())
        #expect(without.counts == [2, 0] && desk.entries.isEmpty)
        let first = try answer(desk.run("--feature-cache", "1MiB"))
        #expect(first == (without.text, [2, 0]) && desk.entries.count == 2)
        #expect(try answer(desk.run("--feature-cache", "1MiB")) == (without.text, [0, 2]))
        // The least memory, and the variable in the flag's place.
        let variable = ["THIMBLE_FEATURE_CACHE": "1MiB"]
        #expect(
            try answer(desk.run("--feature-memory", "0", environment: variable)) == (without.text, [0, 2]))
        // The flag wins.
        #expect(
            try answer(desk.run("--feature-cache", "0", environment: variable)) == (without.text, [2, 0]))
        #expect(try answer(desk.run()) == (without.text, [2, 0]))
    }

    @Test func homeIsWhereTheCacheIsByDefault() throws {
        let desk = try Desk()
        let home = desk.model.directory.path("home")
        let environment = ["XDG_CACHE_HOME": "", "HOME": home, "THIMBLE_FEATURE_CACHE": "1MiB"]
        _ = try answer(desk.run(environment: environment))
        let names = try FileManager.default.contentsOfDirectory(atPath: home + "/.cache/thimble/features")
        #expect(names.count == 3)
        #expect(try answer(desk.run(environment: environment)).counts == [0, 2])
        // Nowhere to keep anything is no error.
        let none = ["XDG_CACHE_HOME": "", "THIMBLE_FEATURE_CACHE": "1MiB"]
        let run = try desk.run(environment: none)
        #expect(try answer(run).counts == [2, 0])
        #expect(try run.json()["feature_folder_is_unusable"] as? Bool == true)
    }

    @Test func theFiguresSayWhatWasKnown() throws {
        let desk = try Desk()
        func images(_ flags: String...) throws -> String? {
            let run = try ProgramRun.Running(
                ["run", desk.model.path, "What?", "-n", "2", "--stats", "--image", desk.images[0]] + flags,
                environment: ["XDG_CACHE_HOME": desk.cache]
            ).finish()
            return run.errorLines.first { $0.hasPrefix("images ") }.map(String.init)
        }
        #expect(try images("--feature-cache", "1MiB") == "images        1 encoded, 0 known from before")
        #expect(try images("--feature-cache", "1MiB") == "images        0 encoded, 1 known from before")
        // A file in the folder's place stops every user, root included.
        try FileManager.default.removeItem(atPath: desk.features)
        try Data().write(to: URL(filePath: desk.features))
        #expect(try images("--feature-cache", "1MiB")?.hasSuffix("the folder cannot be used") == true)
    }

    @Test func sizesThatAreNoneAreRefused() throws {
        let desk = try Desk()
        for flag in ["--feature-cache", "--feature-memory"] {
            for value in ["much", "-1", "1.5", "10GiB of it"] {
                let run = try desk.run("\(flag)=\(value)")
                #expect(run.status == 64 && run.errors.contains(flag), "\(run)")
            }
        }
        let run = try desk.run(environment: ["THIMBLE_FEATURE_CACHE": "lots"])
        run.expectError(64, "THIMBLE_FEATURE_CACHE", "lots")
    }

    /// Several processes read, write and remove each other's entries, of which one has room.
    @Test func processesMayShareAFolder() throws {
        let desk = try Desk()
        let expected = try answer(desk.run()).text
        let environment = ["XDG_CACHE_HOME": desk.cache]
        for _ in 0..<caseCount(5) {
            let arguments = desk.arguments(["--feature-cache", "8KiB"])
            let one = try ProgramRun.Running(arguments, environment: environment)
            let two = try ProgramRun.Running(arguments, environment: environment)
            let three = try ProgramRun.Running(arguments, environment: environment)
            for run in [try one.finish(), try two.finish(), try three.finish()] {
                #expect(try answer(run).text == expected)
            }
        }
    }

    /// Killed at any moment, a run leaves whole entries, or what the next one removes.
    @Test func aKilledRunLeavesNothingThatIsBelieved() throws {
        let desk = try Desk()
        let expected = try answer(desk.run()).text
        var random = SeededGenerator(seed: 17)
        var killed = 0
        for _ in 0..<caseCount(40) {
            try? FileManager.default.removeItem(atPath: desk.features)
            let run = try ProgramRun.Running(
                desk.arguments(["--feature-cache", "1MiB"]), environment: ["XDG_CACHE_HOME": desk.cache])
            usleep(UInt32.random(in: 0...150_000, using: &random))
            kill(run.process.processIdentifier, SIGKILL)
            if try run.finish().status == -SIGKILL { killed += 1 }
            let whole = desk.entries.filter { $0.hasSuffix(".features") }.count
            let next = try answer(desk.run("--feature-cache", "1MiB"))
            #expect(next == (expected, [2 - whole, whole]))
            #expect(desk.entries.count == 2 && desk.entries.allSatisfy { $0.hasSuffix(".features") })
        }
        #expect(killed > 0)
    }
}
