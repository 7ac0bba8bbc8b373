//! A model file that is damaged on purpose or changed under the program: an error in little memory, never a
//! signal.

import Foundation
import TestSupport
import Testing

/// Whether the child has `path` open.
private func hasOpen(_ path: String, process: Int32) -> Bool {
    let folder = "/proc/\(process)/fd"
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return names.contains {
        (try? FileManager.default.destinationOfSymbolicLink(atPath: "\(folder)/\($0)")) == path
    }
}

private func cut(_ path: String, _ byteCount: off_t) throws {
    try #require(unsafe truncate(path, byteCount) == 0)
}

@Suite struct ModelInUseTests {
    /// Waits until the program has the model open, and then lets `change` at the file.
    private func run(
        _ command: String, on path: String, _ change: (String) throws -> Void
    ) throws -> ProgramRun {
        let run = try ProgramRun.Running(
            [command, path] + (command == "run" ? ["What is it?", "--max-tokens", "2"] : ["--verify"]))
        while run.process.isRunning, !hasOpen(path, process: run.process.processIdentifier) {}
        try change(path)
        return try run.finish()
    }

    @Test(arguments: ["run", "inspect"]) func aModelThatChangesUnderTheProgramIsAnErrorOrNoMatter(
        command: String
    ) throws {
        let reader = Fixtures.packageRoot.appending(path: "Models/reader.thimble")
        let bytes = try Data(contentsOf: reader)
        let folder = try TemporaryDirectory()
        let path = folder.url.resolvingSymlinksInPath().appending(path: "model.thimble").path
        let changes: [(String) throws -> Void] = [
            { try cut($0, 0) }, { try cut($0, off_t(bytes.count / 2)) },
            { try cut($0, off_t(bytes.count - 1)) },
            { try Data(repeating: 0x55, count: bytes.count).write(to: URL(filePath: $0), options: []) },
            { try FileManager.default.removeItem(atPath: $0) },
            { try Data("no model".utf8).write(to: URL(filePath: $0), options: .atomic) },
        ]
        for (index, change) in changes.enumerated() {
            for _ in 0..<3 {
                try bytes.write(to: URL(filePath: path))
                let run = try run(command, on: path, change)
                // 65 is damaged data, 74 is a file changed by somebody else, 66 is a file that is gone.
                #expect([0, 65, 66, 74].contains(run.status), "change \(index): \(run)")
                if run.status != 0 {
                    #expect(run.errorLines.count == 1 && run.errors.contains("model.thimble"), "\(run)")
                }
            }
        }
    }
}
