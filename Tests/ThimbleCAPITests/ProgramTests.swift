//! Runs a program in C that embeds the library, for what needs a process of its own.

import Foundation
import TestSupport
import Testing

/// The program's last line and its status.
private func run(_ arguments: [String]) throws -> (output: [Substring], errors: String, status: Int32) {
    let tests = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
    let named = URL(filePath: CommandLine.arguments[0]).resolvingSymlinksInPath()
    let candidates = [tests, named, Bundle.main.executableURL ?? tests]
        .map { $0.deletingLastPathComponent().appending(path: "CEmbeddingProgram") }
    let process = Process()
    process.executableURL = candidates.first { FileManager.default.isExecutableFile(atPath: $0.path) }
    process.arguments = arguments
    let (output, errors) = (Pipe(), Pipe())
    (process.standardOutput, process.standardError) = (output, errors)
    try process.run()
    let said = try output.fileHandleForReading.readToEnd() ?? Data()
    let complained = try errors.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    return (
        String(decoding: said, as: UTF8.self).split(separator: "\n"),
        String(decoding: complained, as: UTF8.self), process.terminationStatus
    )
}

/// Where a sanitizer shadows memory, a limit on it says nothing.
@Test(.enabled(if: !isSanitized, "a sanitizer's shadow is memory of the program, too"))
func aDocumentIsAnsweredWithinALimit() throws {
    let question = "What is the code of copper-kettle?"
    let limit = 256 << 20
    let right = try run(["read", readerPath, voyagePath, question, "\(limit)"])
    #expect(right.status == 0 && right.output.first == "48213", "\(right)")
    let held = try #require(right.output.last.flatMap { Int($0) })
    #expect(held > 0 && held < limit)
    let refused = try run(["read", readerPath, voyagePath, question, "\(20 << 20)"])
    #expect(refused.status == 2 && refused.errors.hasPrefix("BUDGET_EXCEEDED: "), "\(refused)")
    #expect(refused.errors.contains(/are [0-9]+ too few/) && refused.errors.contains("--host-memory"))
}

/// `THIMBLE_CYCLES` asks for more than the few that tell.
@Test func cyclesLeaveNothingBehind() throws {
    let asked = ProcessInfo.processInfo.environment["THIMBLE_CYCLES"].flatMap { Int($0) }
    let count = asked ?? caseCount(60)
    let ended = try run(["cycles", readerPath, "\(count)"])
    #expect(ended.status == 0, "\(ended)")
    let held = try #require(ended.output.last).split(separator: " ").compactMap { Int($0) }
    try #require(held.count == 6)
    #expect(held[1] == held[4] && held[2] == held[5], "threads or files stay: \(held)")
    // KiB. A model that stayed would be 10,000 of them each time, a thread 10.
    if !isSanitized { #expect(held[3] < held[0] + 1024, "\(held)") }
}
