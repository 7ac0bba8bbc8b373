//! What is written is read back, and what was changed is refused.

import Foundation
import Tensors
import TestSupport
import Testing

@testable import ModelFile

@Suite struct ContainerTests {
    let folder: TemporaryDirectory
    let path: String
    let original: [UInt8]

    init() throws {
        folder = try TemporaryDirectory()
        path = folder.path("sample.thimble")
        try SampleModel.write(to: path)
        original = try [UInt8](Data(contentsOf: URL(fileURLWithPath: path)))
    }

    func overwrite(_ bytes: [UInt8]) throws { try Data(bytes).write(to: URL(fileURLWithPath: path)) }

    /// The error of opening and verifying the file as it now is.
    func fault() -> ModelFileError? {
        do throws(ModelFileError) {
            try ModelFile(path: path).verify()
            return nil
        } catch {
            return error
        }
    }

    func image(_ segment: Segment, of file: ModelFile) throws -> [UInt8] {
        var image = [UInt8](repeating: 0, count: segment.entry.imageByteCount)
        try unsafe image.withUnsafeMutableBytes { try unsafe file.read(segment, into: $0) }
        return image
    }

    @Test func aWrittenFileIsReadBack() throws {
        let file = try ModelFile(path: path)
        #expect(file.manifest.model == SampleModel.description)
        #expect(file.segments.map(\.entry.name) == ["tokenizer", "layers.0", "empty"])
        #expect(try file.data(named: "tokenizer") == SampleModel.tokenizer)
        #expect(try file.data(named: "empty") == [])
        let segment = try #require(file.segment(named: "layers.0"))
        let image = try image(segment, of: file)
        let qkv = try #require(segment.entry.tensor(named: "qkv"))
        #expect(qkv.layout == SampleModel.layout)
        #expect(Array(image[qkv.codesOffset...].prefix(qkv.codesByteCount)) == SampleModel.codes)
        let scalesOffset = try #require(qkv.scalesOffset)
        #expect(Array(image[scalesOffset...].prefix(qkv.scalesByteCount)) == SampleModel.scales)
        let norm = try #require(segment.entry.tensor(named: "norm"))
        #expect(norm.kind == .vector && norm.rows == 33 && norm.codesOffset % 64 == 0)
        let values = (0..<33).map { index -> Float in
            let bits: UInt32 = image.littleEndian(at: norm.codesOffset + index * 4)
            return Float(bitPattern: bits)
        }
        #expect(values == SampleModel.vector)
        let noise = try #require(segment.entry.tensor(named: "noise"))
        #expect(Array(image[noise.codesOffset...].prefix(noise.codesByteCount)) == SampleModel.noise)
        #expect(noise.scalesOffset == nil)
    }

    @Test func segmentsAreAlignedAndBlocksTileTheImage() throws {
        let file = try ModelFile(path: path)
        for segment in file.segments {
            #expect(segment.entry.fileOffset % 4096 == 0)
            var end = 0
            for block in segment.blocks {
                #expect(block.imageOffset == end)
                end += block.rawByteCount
            }
            #expect(end == segment.entry.imageByteCount)
        }
        let blocks = try #require(file.segment(named: "layers.0")).blocks
        #expect(blocks.contains { !$0.isStoredRaw } && blocks.contains { $0.isStoredRaw })
        #expect(try file.verify() == file.segments.reduce(0) { $0 + $1.entry.imageByteCount })
    }

    @Test func theNumberOfThreadsDoesNotChangeTheFile() throws {
        let other = folder.path("other.thimble")
        try SampleModel.write(to: other, threadCount: 1)
        #expect(try [UInt8](Data(contentsOf: URL(fileURLWithPath: other))) == original)
    }

    @Test func severalThreadsReadBlocksAtOnce() async throws {
        let file = try ModelFile(path: path)
        let segment = try #require(file.segment(named: "layers.0"))
        let whole = try image(segment, of: file)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (index, block) in segment.blocks.enumerated() {
                group.addTask {
                    let scratch = try BlockScratch(for: file.path)
                    var bytes = [UInt8](repeating: 0, count: block.rawByteCount)
                    try unsafe bytes.withUnsafeMutableBytes {
                        try unsafe file.readBlock(index, of: segment, into: $0, scratch: scratch)
                    }
                    #expect(bytes[...] == whole[block.imageOffset...].prefix(block.rawByteCount))
                }
            }
            try await group.waitForAll()
        }
    }

    @Test func everyChangedByteOfHeaderIndexAndManifestIsRefusedOnOpening() throws {
        let file = try ModelFile(path: path)
        let places = Array(0..<Header.byteCount) + Array(Int(file.header.blockIndexOffset)..<original.count)
        for place in places {
            var bytes = original
            bytes[place] ^= 1 << UInt8(place % 8)
            try overwrite(bytes)
            #expect(throws: ModelFileError.self, "byte \(place)") { try ModelFile(path: path) }
        }
    }

    @Test func aChangedByteAnywhereIsFoundByVerifying() throws {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<60 {
            var bytes = original
            let place = Int.random(in: 0..<bytes.count, using: &random)
            bytes[place] ^= UInt8.random(in: 1...255, using: &random)
            try overwrite(bytes)
            #expect(fault() != nil, "byte \(place)")
        }
        // Padding, too: the gap between the header and the first segment.
        var bytes = original
        bytes[2000] = 1
        try overwrite(bytes)
        #expect(fault()?.offset == 2000)
    }

    @Test func aTruncatedFileIsRefused() throws {
        let file = try ModelFile(path: path)
        var lengths = Array(stride(from: 0, to: original.count, by: 4096))
        lengths += [1, 8, Header.byteCount - 1, Header.byteCount, original.count - 1]
        for segment in file.segments {
            for block in segment.blocks {
                lengths += [block.fileOffset, block.fileOffset + block.storedByteCount]
            }
        }
        lengths += [Int(file.header.blockIndexOffset), Int(file.header.manifestOffset)]
        for length in lengths {
            try overwrite(Array(original[..<length]))
            #expect(throws: ModelFileError.self, "\(length) bytes") { try ModelFile(path: path) }
        }
        try overwrite(original + [0])
        #expect(fault()?.code == .truncated)
    }

    @Test func faultsAreToldApart() throws {
        try overwrite(Array(repeating: 7, count: 5000))
        #expect(fault()?.code == .notAModelFile)
        #expect(throws: ModelFileError.self) { try ModelFile(path: folder.url.path) }
        #expect(throws: ModelFileError.self) { try ModelFile(path: folder.path("absent")) }
        var bytes = original
        bytes[8] = 2
        reseal(&bytes)
        try overwrite(bytes)
        #expect(fault()?.code == .unsupportedVersion)
        #expect(fault()?.description.contains("\n") == false)
    }

    @Test func aFileThatShrinksWhileOpenIsToldAsChanged() throws {
        let file = try ModelFile(path: path)
        let segment = try #require(file.segment(named: "layers.0"))
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        try handle.truncate(atOffset: 5000)
        try handle.close()
        let error = #expect(throws: ModelFileError.self) { try image(segment, of: file) }
        #expect(error?.code == .changed)
    }

    /// Gives the header a checksum that matches.
    func reseal(_ bytes: inout [UInt8]) {
        var sealed = Array(bytes[..<120])
        sealed.append(littleEndian: ContainerFormat.checksum(bytes[..<120]))
        bytes.replaceSubrange(..<128, with: sealed)
    }

    @Test func aSealedHeaderWithImpossibleNumbersIsRefused() throws {
        for field in stride(from: 16, to: 80, by: 8) {
            for value in [0, 1, UInt64(original.count), UInt64(Int.max), UInt64.max, UInt64.max - 4095] {
                var bytes = original
                var encoded: [UInt8] = []
                encoded.append(littleEndian: value)
                bytes.replaceSubrange(field..<(field + 8), with: encoded)
                guard bytes != original, !(field == 16 && value == UInt64(original.count)) else { continue }
                reseal(&bytes)
                try overwrite(bytes)
                #expect(throws: ModelFileError.self, "field \(field) = \(value)") {
                    try ModelFile(path: path)
                }
            }
        }
    }
}
