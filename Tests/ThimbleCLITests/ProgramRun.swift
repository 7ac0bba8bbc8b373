//! Runs the built program as a child, as a shell would.

import Foundation
import Testing

/// What a finished run of the program left.
struct ProgramRun: CustomStringConvertible {
    /// The exit status; -1 times the signal where one ended the program.
    let status: Int32
    let output: String
    let errors: String

    /// Lines on standard error.
    var errorLines: [Substring] { errors.split(separator: "\n") }
    var description: String { "status \(status)\n--- output\n\(output)\n--- errors\n\(errors)" }

    /// The program, which is built beside the tests.
    static let executable: URL = {
        let tests = URL(filePath: CommandLine.arguments[0]).resolvingSymlinksInPath()
        let candidates = [
            URL(filePath: "/proc/self/exe").resolvingSymlinksInPath(), tests,
            Bundle.main.executableURL ?? tests,
        ]
        .map { $0.deletingLastPathComponent().appending(path: "thimble") }
        return candidates.first { FileManager.default.isExecutableFile(atPath: $0.path) } ?? candidates[0]
    }()

    /// Starts the program without waiting; its output goes to files in a folder of its own.
    struct Running: ~Copyable {
        let process = Process()
        private let folder: URL
        /// How a sanitizer shall report, where the program is built with one.
        private static let sanitizerOptions = ProcessInfo.processInfo.environment.filter {
            ["ASAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS"].contains($0.key)
        }

        init(
            _ arguments: [String], input: String = "", environment: [String: String] = [:],
            executable: URL = ProgramRun.executable
        ) throws {
            folder = FileManager.default.temporaryDirectory.appending(
                path: "thimble-run-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            for name in ["output", "errors"] { try Data().write(to: folder.appending(path: name)) }
            try Data(input.utf8).write(to: folder.appending(path: "input"))
            process.executableURL = executable
            process.arguments = arguments
            process.environment = ["PATH": "/usr/bin:/bin", "SWIFT_BACKTRACE": "enable=no"]
                .merging(Self.sanitizerOptions) { $1 }.merging(environment) { $1 }
            process.currentDirectoryURL = folder
            process.standardInput = try FileHandle(forReadingFrom: folder.appending(path: "input"))
            process.standardOutput = try FileHandle(forWritingTo: folder.appending(path: "output"))
            process.standardError = try FileHandle(forWritingTo: folder.appending(path: "errors"))
            try process.run()
        }

        deinit { try? FileManager.default.removeItem(at: folder) }

        /// What the program has written to standard output so far.
        var outputSoFar: Data { (try? Data(contentsOf: folder.appending(path: "output"))) ?? Data() }

        /// Waits for the end.
        consuming func finish() throws -> ProgramRun {
            process.waitUntilExit()
            let wasKilled = process.terminationReason == .uncaughtSignal
            let errors = try Data(contentsOf: folder.appending(path: "errors"))
            return ProgramRun(
                status: wasKilled ? -process.terminationStatus : process.terminationStatus,
                output: try #require(String(data: outputSoFar, encoding: .utf8), "the output is not UTF-8"),
                errors: String(decoding: errors, as: UTF8.self))
        }
    }

    /// Runs the program to its end.
    static func of(
        _ arguments: String..., input: String = "", environment: [String: String] = [:]
    ) throws -> ProgramRun {
        try Running(arguments, input: input, environment: environment).finish()
    }

    /// The output as a JSON object.
    func json() throws -> [String: Any] {
        let object = try JSONSerialization.jsonObject(with: Data(output.utf8))
        return try #require(object as? [String: Any])
    }

    /// Expects one line on standard error that begins as errors do and says what to do next, after a
    /// semicolon; nothing on standard output; and `status`.
    func expectError(
        _ status: Int32, _ fragments: String..., at location: SourceLocation = #_sourceLocation
    ) {
        #expect(self.status == status, "\(self)", sourceLocation: location)
        #expect(output.isEmpty, "\(self)", sourceLocation: location)
        #expect(errorLines.count == 1 && errors.hasPrefix("thimble: "), "\(self)", sourceLocation: location)
        let last = errors.split(separator: "; ").dropFirst().last ?? ""
        #expect(
            !last.isEmpty && !last.hasPrefix("the limit is"), "no mend: \(self)", sourceLocation: location)
        for fragment in fragments {
            #expect(errors.contains(fragment), "\(self)", sourceLocation: location)
        }
    }
}
