//! A model file whose checksums are right and whose contents lie.

import Foundation

@testable import ModelFile

/// A model file taken apart, to be changed and put together again with checksums that match.
struct ForgedFile {
    /// From the first segment's alignment to the block index.
    var payload: [UInt8]
    var index: [BlockEntry]
    /// JSON.
    var manifest: [UInt8]
    /// Stored in the place of the compressed manifest.
    var manifestFrame: [UInt8]?
    /// Declared in the place of the manifest's length.
    var manifestByteCount: Int?
    /// What the header says otherwise.
    var changeHeader: (inout Header) -> Void = { _ in }

    /// Takes the file at `path` apart.
    init(_ path: String) throws {
        let bytes = try [UInt8](Data(contentsOf: URL(filePath: path)))
        let file = try ModelFile(path: path)
        let end = Int(file.header.blockIndexOffset)
        payload = Array(bytes[Header.byteCount..<end])
        index = (0..<Int(file.header.blockCount)).map {
            BlockEntry(bytes, at: end + $0 * BlockEntry.byteCount)
        }
        manifest = try Self.json(file.manifest)
    }

    /// A file with one data segment of `blocks`, each given as it is stored and with the length it claims.
    init(blocks: [(stored: [UInt8], rawByteCount: Int)]) throws {
        let start = ContainerFormat.segmentAlignment
        let stored = blocks.flatMap(\.stored)
        let end = ContainerFormat.aligned(start + stored.count, to: ContainerFormat.planeAlignment)
        payload = [UInt8](repeating: 0, count: start - Header.byteCount) + stored
        payload += [UInt8](repeating: 0, count: end - Header.byteCount - payload.count)
        index = blocks.map { block in
            BlockEntry(
                storedByteCount: UInt32(block.stored.count), rawByteCount: UInt32(block.rawByteCount),
                checksum: ContainerFormat.checksum(block.stored[...]))
        }
        let segment = SegmentEntry(
            name: "data", kind: .data, fileOffset: start, storedByteCount: stored.count,
            codesByteCount: blocks.reduce(0) { $0 + $1.rawByteCount }, scalesByteCount: 0, firstBlock: 0,
            tensors: [])
        manifest = try Self.json(Manifest(model: SampleModel.description, segments: [segment]))
    }

    static func json(_ manifest: Manifest) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        return try [UInt8](encoder.encode(manifest))
    }

    /// The file's bytes.
    var bytes: [UInt8] {
        var blockIndex: [UInt8] = []
        for block in index { block.append(to: &blockIndex) }
        let frame = try! manifestFrame ?? BlockCompressor.frame(of: manifest, for: "manifest")
        var header = Header()
        header.blockIndexOffset = UInt64(Header.byteCount + payload.count)
        header.blockCount = UInt64(index.count)
        header.blockIndexChecksum = ContainerFormat.checksum(blockIndex[...])
        header.manifestOffset = header.blockIndexOffset + UInt64(blockIndex.count)
        header.manifestStoredByteCount = UInt64(frame.count)
        header.manifestByteCount = UInt64(manifestByteCount ?? manifest.count)
        header.manifestChecksum = ContainerFormat.checksum(frame[...])
        header.fileByteCount = header.manifestOffset + UInt64(frame.count)
        changeHeader(&header)
        return header.encoded + payload + blockIndex + frame
    }

    /// Writes the file to `path`, opens it, and reads all of it; nil if there is no fault.
    func fault(at path: String) throws -> ModelFileError? {
        try Data(bytes).write(to: URL(filePath: path))
        do throws(ModelFileError) {
            let file = try ModelFile(path: path)
            try file.verify()
            _ = try file.loadedChecksums()
            return nil
        } catch { return error }
    }
}

/// A zstd frame (RFC 8878) put together by hand, so that it can say what no compressor says.
struct ForgedFrame {
    /// How the header states the content's size and the window.
    enum Size {
        /// One segment of `count` bytes.
        case stated(UInt32)
        /// `count` bytes within a window of 2^(10 + exponent).
        case windowed(UInt32, exponent: UInt8)
        /// A window only.
        case unknown(exponent: UInt8)
    }

    var size: Size
    /// Blocks of one repeated byte, each of so many bytes.
    var runs: [Int] = []
    /// More bits of the frame header's descriptor: reserved, checksum, dictionary.
    var flags: UInt8 = 0
    /// Type of the blocks: 1 repeats a byte, 3 is reserved.
    var blockType = 1

    /// The most bytes a block may hold.
    static let largestRun = 128 << 10

    var bytes: [UInt8] {
        var frame: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD]
        switch size {
        case .stated(let count):
            frame.append(0b1010_0000 | flags)
            frame.append(littleEndian: count)
        case .windowed(let count, let exponent):
            frame += [0b1000_0000 | flags, exponent << 3]
            frame.append(littleEndian: count)
        case .unknown(let exponent):
            frame += [flags, exponent << 3]
        }
        for (index, run) in runs.enumerated() {
            let isLast = index == runs.count - 1
            let header = UInt32(run << 3 | blockType << 1 | (isLast ? 1 : 0))
            frame += [UInt8(header & 0xFF), UInt8(header >> 8 & 0xFF), UInt8(header >> 16 & 0xFF), 0x5A]
        }
        return frame
    }

    /// Runs that together hold `count` bytes.
    static func runs(of count: Int) -> [Int] {
        stride(from: 0, to: count, by: largestRun).map { min(largestRun, count - $0) }
    }
}
