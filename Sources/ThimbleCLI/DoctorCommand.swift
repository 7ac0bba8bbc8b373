//! `thimble doctor`: what keeps this machine from its best, and how to mend it.

import ArgumentParser
import HostSystem
import Thimble

struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Examine this machine, and say how to mend what is amiss.",
        discussion: """
            Looks at Vulkan and its drivers, at limits on memory, at the folders that are written to, at \
            fonts and helper programs, and reads the whole model file to check it. Nothing is changed. \
            PASS is well, WARN leaves something out, FAIL keeps what was asked for from running; what to \
            do stands below. The exit status is 1 where something is FAIL.

            Examples:
              thimble doctor
              thimble doctor model.thimble --budget raspberrypi-5-8gb
              thimble doctor --json
            """)

    @Argument(
        help: "The model file (default: THIMBLE_MODEL, else the bundled one).",
        completion: .file(extensions: ["thimble"]))
    var model: String?

    @Flag(help: "Print one JSON object.")
    var json = false

    @OptionGroup var engineFlags: EngineFlags

    func run() throws {
        let budget: Result<Budget, ThimbleError>
        do { budget = .success(try engineFlags.merged()) } catch let error as ThimbleError {
            budget = .failure(error)
        }
        let report = DoctorReport(
            MachineFacts.observe(
                MachineFacts.Subject(
                    model: model ?? Environment.model ?? DefaultModel.bundled, budget: budget,
                    environment: ProcessEnvironment.variables)
            ).findings)
        if json {
            try JSONLine.write(report)
        } else {
            try StandardStream.output.write(report.lines.map { $0.onOneLine + "\n" }.joined())
        }
        if !report.passed { throw Failure(.failure) }
    }
}

/// What `doctor` prints.
private struct DoctorReport: Encodable {
    struct Row: Encodable {
        var check: String
        var verdict: Finding.Verdict
        var message: String
        var mend: String?
    }

    var findings: [Row]
    /// Whether nothing is FAIL.
    var passed: Bool

    init(_ findings: [Finding]) {
        self.findings = findings.map {
            Row(check: $0.check, verdict: $0.verdict, message: $0.message, mend: $0.mend)
        }
        passed = !findings.contains { $0.verdict == .fail }
    }

    var lines: [String] {
        let width = (findings.map(\.check.count).max() ?? 0) + 2
        func padded(_ text: String, _ width: Int) -> String {
            text + String(repeating: " ", count: max(0, width - text.count))
        }
        return findings.flatMap { row in
            let head = padded(row.verdict.rawValue.uppercased(), 6) + padded(row.check, width)
            return [head + row.message]
                + (row.mend.map { [padded("", 6) + padded("", width) + "mend: " + $0] } ?? [])
        }
    }
}
