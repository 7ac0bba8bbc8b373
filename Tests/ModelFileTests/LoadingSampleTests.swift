//! Holds the sample that loading is measured by: it is of the file's own blocks, as many as asked for, and a
//! fault of the file is an error.

import Foundation
import TestSupport
import Tensors
import Testing

@testable import ModelFile

@Suite struct LoadingSampleTests {
    let folder: TemporaryDirectory
    let path: String

    /// A file of two segments: 6 MiB that do not compress, and as many that do.
    init() throws {
        folder = try TemporaryDirectory()
        path = folder.path("model.thimble")
        let layout = WeightLayout(rows: 768, columns: 4096, format: .f16)
        var writer = try ModelFileWriter(path: path, threadCount: 2)
        for (name, mask) in [("layers.0", 0xFF), ("layers.1", 0x0F)] as [(String, UInt8)] {
            let codes = SampleModel.bytes(layout.codesByteCount, seed: 5, mask: mask)
            try writer.beginSegment(name)
            try writer.beginMatrix("m", rows: layout.rows, columns: layout.columns, format: layout.format)
            try unsafe codes.withUnsafeBytes { try unsafe writer.appendCodes($0) }
            try writer.endTensor()
            try writer.endSegment()
        }
        try writer.appendData("empty", [])
        try writer.commit(SampleModel.description)
    }

    private func storedByteCount(_ file: ModelFile) -> Int {
        file.segments.flatMap(\.blocks).reduce(0) { $0 + $1.storedByteCount }
    }

    @Test(arguments: [1, 3])
    func aSampleIsAsLargeAsAskedFor(threadCount: Int) throws {
        let file = try ModelFile(path: path)
        let all = storedByteCount(file)
        try #require(all > 8 << 20 && all < 11 << 20)
        for byteCount in [1, 1 << 20, 5_000_000, all - 1, all, .max / all] {
            let sample = try file.sampleLoading(byteCount: byteCount, threadCount: threadCount)
            let least = min(byteCount, all)
            // A run has a mebibyte, and less than a block of 256 KiB more.
            #expect(
                sample.storedByteCount >= least && sample.storedByteCount < least + 5 << 18,
                "\(byteCount): \(sample)")
            #expect(sample.readSeconds > 0 && sample.decompressionSeconds > 0)
        }
    }

    @Test func aSampleOfAFileOfSmallSegmentsIsTheFile() throws {
        try SampleModel.write(to: path)
        let file = try ModelFile(path: path)
        let sample = try file.sampleLoading(byteCount: 1 << 30, threadCount: 2)
        #expect(sample.storedByteCount == storedByteCount(file))
    }

    /// A damaged block is an error where it is in the sample, which some blocks of each segment are.
    @Test func aSampleIsOfBlocksFromEverywhere() throws {
        let file = try ModelFile(path: path)
        let original = try Data(contentsOf: URL(filePath: path))
        for segment in file.segments where !segment.blocks.isEmpty {
            var found = 0
            for block in segment.blocks {
                var bytes = original
                bytes[bytes.startIndex + block.fileOffset] ^= 1
                try bytes.write(to: URL(filePath: path))
                let damaged = try ModelFile(path: path)
                let result = Result {
                    try damaged.sampleLoading(byteCount: storedByteCount(file) / 2, threadCount: 2)
                }
                if case .failure(let error) = result {
                    #expect((error as? ModelFileError)?.code == .damaged)
                    found += 1
                }
            }
            #expect(found > 0 && found < segment.blocks.count)
        }
    }

    @Test func aFileThatIsCutIsAnError() throws {
        let file = try ModelFile(path: path)
        try #require(unsafe truncate(path, 3 << 20) == 0)
        let error = #expect(throws: ModelFileError.self) {
            try file.sampleLoading(byteCount: 1 << 30, threadCount: 2)
        }
        #expect(error?.code == .changed)
    }
}
