//! A model file that is damaged on purpose or changed under the program: an error in little memory, never a
//! signal.

import Foundation
import TestSupport
import Testing

@testable import ModelFile

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

@Suite(.enabled(if: !isSanitized, "a sanitizer's shadow does not fit into the limit"))
struct OpeningMemoryTests {
    /// What docs/security.md says that opening a model file takes at most, in KiB.
    private static let limit = 256 << 10

    /// Inspects `path` in a program that the kernel gives at most `kibibytes` of private memory to write to.
    private func inspect(_ path: String, kibibytes: Int = limit) throws -> ProgramRun {
        try ProgramRun.Running(
            [
                "-c", "ulimit -d \(kibibytes) && exec \"$0\" \"$@\"", ProgramRun.executable.path, "inspect",
                path,
            ], executable: URL(filePath: "/bin/sh")
        ).finish()
    }

    /// `bytes` of a model file with another manifest, or another block index, and checksums that match.
    private func forged(_ bytes: [UInt8], manifest: [UInt8]) throws -> [UInt8] {
        let field = { (offset: Int) -> Int in Int(bytes.littleEndian(at: offset) as UInt64) }
        let frame = try BlockCompressor.frame(of: manifest, for: "manifest")
        var header = Header()
        header.blockIndexOffset = UInt64(field(24))
        header.blockCount = UInt64(field(32))
        header.blockIndexChecksum = bytes.littleEndian(at: 40)
        header.manifestOffset = UInt64(field(48))
        header.manifestStoredByteCount = UInt64(frame.count)
        header.manifestByteCount = UInt64(manifest.count)
        header.manifestChecksum = ContainerFormat.checksum(frame[...])
        header.fileByteCount = header.manifestOffset + UInt64(frame.count)
        return header.encoded + bytes[Header.byteCount..<field(48)] + frame
    }

    @Test func manifestsThatFillTheirLimitAreOpenedInTheMemoryStated() throws {
        let model = try TinyModel()
        let bytes = try [UInt8](Data(contentsOf: URL(filePath: model.path)))
        let manifest = try JSONEncoder().encode(try ModelFile(path: model.path).manifest)
        let json = String(decoding: manifest, as: UTF8.self)
        let size = ContainerFormat.maximumManifestByteCount
        func filled(_ start: String, _ unit: String, _ end: String) -> [UInt8] {
            let count = (size - start.utf8.count - end.utf8.count) / unit.utf8.count
            return Array((start + String(repeating: unit, count: count) + end).utf8)
        }
        let body = String(json.dropLast())
        let manifests: [(name: String, bytes: [UInt8], isModel: Bool)] = [
            ("spaces", filled("", " ", json), true),
            ("numbers", filled(body + ",\"x\":[0", ",0", "]}"), true),
            ("strings", filled(body + ",\"x\":[\"\"", ",\"\"", "]}"), true),
            ("objects", filled(body + ",\"x\":[{}", ",{}", "]}"), true),
            ("keys", filled(body + ",\"x\":{\"\":0", ",\"\":0", "}}"), true),
            ("one string", filled(body + ",\"x\":\"", "\\u0041", "\"}"), true),
            ("nesting", filled("", "[", ""), false),
            (
                "segments",
                filled(
                    "{\"segments\":[",
                    "{\"name\":\"\",\"kind\":\"data\",\"fileOffset\":0,\"storedByteCount\":0,"
                        + "\"codesByteCount\":0,\"scalesByteCount\":0,\"firstBlock\":0,\"tensors\":[]},",
                    "null],"
                        + String(body.dropFirst().prefix { $0 != "}" }) + "}"), false
            ),
        ]
        for (name, manifest, isModel) in manifests {
            let path = try model.directory.write(forged(bytes, manifest: manifest), to: "bomb.thimble")
            let run = try inspect(path)
            #expect(run.status == (isModel ? 0 : 65), "\(name): \(run.status) \(run.errors.prefix(300))")
        }
        // The limit is felt: a program cannot live in a hundredth of it.
        #expect(try inspect(model.path, kibibytes: Self.limit / 100).status != 0)
    }

    @Test func anIndexThatFillsItsLimitIsRefusedInTheMemoryStated() throws {
        let directory = try TemporaryDirectory()
        let count = ContainerFormat.maximumBlockCount
        let index = [UInt8](repeating: 0, count: count * BlockEntry.byteCount)
        let manifest = Array("{}".utf8)
        let frame = try BlockCompressor.frame(of: manifest, for: "manifest")
        var header = Header()
        header.blockIndexOffset = UInt64(Header.byteCount)
        header.blockCount = UInt64(count)
        header.blockIndexChecksum = ContainerFormat.checksum(index[...])
        header.manifestOffset = header.blockIndexOffset + UInt64(index.count)
        header.manifestStoredByteCount = UInt64(frame.count)
        header.manifestByteCount = UInt64(manifest.count)
        header.manifestChecksum = ContainerFormat.checksum(frame[...])
        header.fileByteCount = header.manifestOffset + UInt64(frame.count)
        let path = try directory.write(header.encoded + index + frame, to: "index.thimble")
        try inspect(path).expectError(65, "index.thimble")
    }
}
