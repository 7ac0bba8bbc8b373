//! Holds what a disk is measured by: any file that is large enough, read whole however often; faults are
//! errors.

import Foundation
import TestSupport
import Testing

@testable import ModelFile

@Suite struct DiskSampleTests {
    let folder: TemporaryDirectory

    init() throws { folder = try TemporaryDirectory() }

    private func file(_ byteCount: Int) throws -> String {
        try folder.write(SampleModel.bytes(byteCount, seed: 3, mask: 0xFF), to: "file-\(byteCount)")
    }

    /// A file of one read, one of several, and one whose end is no whole read.
    @Test(arguments: [1 << 20, 3 << 20, 5 << 20 | 12_345], [1, 4])
    func aFileIsReadAtSomeRate(byteCount: Int, readCount: Int) throws {
        let sample = try DiskSample(path: file(byteCount))
        for _ in 0..<3 {
            // Over before it begins: each thread reads once.
            let rate = try sample.bytesPerSecond(seconds: 1e-9, readCount: readCount)
            #expect(rate.isFinite && rate > 0)
            let blocks = try sample.bytesPerSecond(seconds: 1e-9, readCount: readCount, ofBlocks: true)
            #expect(blocks.isFinite && blocks > 0)
        }
        #expect(try sample.bytesPerSecond(seconds: 0.02, readCount: readCount) > 0)
    }

    @Test func aFileThatIsTooSmallOrMissingIsAnError() throws {
        let small = #expect(throws: ModelFileError.self) { try DiskSample(path: file((1 << 20) - 1)) }
        #expect(small?.code == .truncated)
        for path in [folder.path("none"), folder.url.path] {
            let missing = #expect(throws: ModelFileError.self) { try DiskSample(path: path) }
            #expect(missing?.code == .system)
        }
    }

    @Test func aFileThatIsCutIsAnError() throws {
        let path = try file(4 << 20)
        let sample = try DiskSample(path: path)
        try #require(unsafe truncate(path, 1 << 20) == 0)
        let error = #expect(throws: ModelFileError.self) {
            // The first read is whole yet.
            for _ in 0..<4 { _ = try sample.bytesPerSecond(seconds: 1e-9, readCount: 1) }
        }
        #expect(error?.code == .changed)
    }
}
