//! Holds the reading of segments on several threads: the same bytes, and the same faults.

import Checkpoints
import Foundation
import ModelFile
import Tensors
import TestSupport
import Testing

/// A text model whose embedding spans several blocks.
private func writeModel(to path: String) throws {
    var configuration = try HuggingFaceConfiguration.read(
        configurationPath: Fixtures.url("reference/text-head64/config.json").path)
    configuration.text.vocabularySize = 12_000
    _ = try Converter(source: RandomSource(configuration: configuration), recipe: Recipe(weights: .f16))
        .write(to: path, packaging: Packaging(name: "random", creator: "tests"))
}

private func image(of segment: Segment, in file: ModelFile, threads: Int) throws -> [UInt8] {
    let buffer = UnsafeMutableRawBufferPointer.allocate(
        byteCount: segment.entry.imageByteCount, alignment: 64)
    defer { unsafe buffer.deallocate() }
    unsafe buffer.initializeMemory(as: UInt8.self, repeating: 0xEE)
    try unsafe SegmentReader(of: file, threadCount: threads).read(segment, into: buffer)
    return unsafe Array(buffer)
}

@Test func segmentsReadOnSeveralThreadsAreTheSame() throws {
    let folder = try TemporaryDirectory()
    let path = folder.path("model.thimble")
    try writeModel(to: path)
    let file = try ModelFile(path: path)
    #expect(try #require(file.segment(named: "embedding")).blocks.count > 4)
    for segment in file.segments {
        let one = try image(of: segment, in: file, threads: 1)
        for threads in [2, 5, 100] { #expect(try image(of: segment, in: file, threads: threads) == one) }
    }
}

@Test func damageIsFoundOnSeveralThreads() throws {
    let folder = try TemporaryDirectory()
    let path = folder.path("model.thimble")
    try writeModel(to: path)
    let block = try #require(try ModelFile(path: path).segment(named: "embedding")?.blocks[3])
    var bytes = try Data(contentsOf: URL(filePath: path))
    bytes[block.fileOffset + block.storedByteCount / 2] ^= 1
    try folder.write(bytes, to: "damaged.thimble")
    let file = try ModelFile(path: folder.path("damaged.thimble"))
    let segment = try #require(file.segment(named: "embedding"))
    let error = #expect(throws: ModelFileError.self) { try image(of: segment, in: file, threads: 4) }
    #expect(error?.code == .damaged && error?.offset == block.fileOffset)
}
