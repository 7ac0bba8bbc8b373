//! Bits that turn over, blocks that are lost, files that end early: never a wrong load.

import Foundation
import TestSupport
import Testing

@testable import ModelFile

/// Every block of a file by where it is stored.
private struct StoredBlocks {
    private let blocks: [(range: Range<Int>, segment: Segment, index: Int)]

    init(_ file: ModelFile) {
        blocks = file.segments.flatMap { segment in
            segment.blocks.enumerated().map { index, block in
                (block.fileOffset..<(block.fileOffset + block.storedByteCount), segment, index)
            }
        }
    }

    /// The block that holds the file's byte `offset`; nil for padding.
    func block(at offset: Int) -> (segment: Segment, index: Int)? {
        var (low, high) = (0, blocks.count)
        while low < high {
            let middle = (low + high) / 2
            if blocks[middle].range.upperBound <= offset { low = middle + 1 } else { high = middle }
        }
        guard low < blocks.count, blocks[low].range.contains(offset) else { return nil }
        return (blocks[low].segment, blocks[low].index)
    }

    var boundaries: [Int] { blocks.flatMap { [$0.range.lowerBound, $0.range.upperBound] } }
}

/// Reads blocks of an open file one by one, as a load does.
private final class BlockReader {
    private let file: ModelFile
    private let scratch: BlockScratch
    private let room: HostBuffer

    init(_ file: ModelFile) throws {
        self.file = file
        scratch = try BlockScratch(for: file.path)
        room = try BlockScratch.block(for: file.path)
    }

    /// The error of reading a block, if there is one.
    func fault(of block: (segment: Segment, index: Int)) -> ModelFileError? {
        let destination = unsafe UnsafeMutableRawBufferPointer(
            rebasing: room.bytes[..<block.segment.blocks[block.index].rawByteCount])
        do throws(ModelFileError) {
            unsafe try file.readBlock(block.index, of: block.segment, into: destination, scratch: scratch)
            return nil
        } catch { return error }
    }
}

/// The model that the repository brings, and a sample with blocks of every kind.
@Suite struct DamageTests {
    static let copies: [@Sendable () throws -> DamagedCopy] = [
        { try DamagedCopy.ofReader() }, { try DamagedCopy.ofSample() },
    ]

    @Test(arguments: copies.indices)
    func everyBitOfHeaderIndexAndManifestIsGuarded(copy index: Int) throws {
        let copy = try Self.copies[index]()
        let file = try ModelFile(path: copy.path)
        let bytes =
            Array(0..<Header.byteCount) + Array(Int(file.header.blockIndexOffset)..<copy.original.count)
        var accepted: [Int] = []
        var codes: [ModelFileError.Code: Int] = [:]
        for bit in bytes.flatMap({ byte in (0..<8).map { byte * 8 + $0 } }) {
            try copy.withFlipped(bit: bit) {
                do throws(ModelFileError) {
                    _ = try ModelFile(path: copy.path)
                    accepted.append(bit)
                } catch { codes[error.code, default: 0] += 1 }
            }
        }
        #expect(accepted.isEmpty)
        #expect(codes == [.notAModelFile: 64, .damaged: bytes.count * 8 - 64])
        #expect(throws: Never.self) { try ModelFile(path: copy.path).verify() }
    }

    @Test func aHundredThousandFlippedBitsOfThePayloadAreFound() throws {
        let copy = try DamagedCopy.ofReader()
        let file = try ModelFile(path: copy.path)
        let blocks = StoredBlocks(file)
        let reader = try BlockReader(file)
        var random = SeededGenerator(seed: 18)
        let end = Int(file.header.blockIndexOffset)
        var (found, padding, missed) = (0, [Int](), [Int]())
        let count = caseCount(100_000)
        for _ in 0..<count {
            let bit = random.integer(in: Header.byteCount * 8...(end * 8 - 1))
            guard let block = blocks.block(at: bit / 8) else {
                padding.append(bit)
                continue
            }
            let fault = try copy.withFlipped(bit: bit) { reader.fault(of: block) }
            // The file has been written to since it was opened, which the error says where the clock tells.
            if fault?.code == .changed || fault?.code == .damaged { found += 1 } else { missed.append(bit) }
        }
        #expect(missed.isEmpty)
        #expect(found + padding.count == count && found > count / 100 * 99)
        // Padding is no part of any segment: a load is the same, and only verifying sees it.
        let whole = try file.loadedChecksums()
        for bit in padding.prefix(10) {
            try copy.withFlipped(bit: bit) {
                let damaged = try ModelFile(path: copy.path)
                #expect(try damaged.loadedChecksums() == whole)
                let error = #expect(throws: ModelFileError.self) { try damaged.verify() }
                #expect(error?.code == .damaged)
                #expect(error?.offset == bit / 8)
            }
        }
    }

    @Test(arguments: copies.indices)
    func aWholeLoadFindsAFlippedBit(copy index: Int) throws {
        let copy = try Self.copies[index]()
        let blocks = StoredBlocks(try ModelFile(path: copy.path))
        var random = SeededGenerator(seed: 4)
        var codes: [ModelFileError.Code: Int] = [:]
        for _ in 0..<40 {
            var bit = 0
            repeat {
                bit = random.integer(below: copy.original.count * 8)
            } while blocks.block(at: bit / 8) == nil
            try copy.withFlipped(bit: bit) {
                let damaged = try ModelFile(path: copy.path)
                do throws(ModelFileError) { _ = try damaged.loadedChecksums() } catch {
                    codes[error.code, default: 0] += 1
                }
            }
        }
        #expect(codes == [.damaged: 40])
    }

    @Test func everyLostPageOfThePayloadIsFound() throws {
        let copy = try DamagedCopy.ofReader()
        let file = try ModelFile(path: copy.path)
        let blocks = StoredBlocks(file)
        let reader = try BlockReader(file)
        let end = Int(file.header.blockIndexOffset)
        var (found, missed) = (0, [Int]())
        for page in stride(from: 4096, to: end, by: 4096) {
            let bytes = Array(copy.original[page..<min(page + 4096, end)])
            // A page may hold the end of one block and the start of the next; it is lost for the first.
            guard let byte = bytes.indices.first(where: { bytes[$0] != 0 }),
                let block = blocks.block(at: page + byte)
            else { continue }
            try copy.put([UInt8](repeating: 0, count: bytes.count), at: page)
            if reader.fault(of: block) == nil { missed.append(page) } else { found += 1 }
            try copy.put(bytes, at: page)
        }
        #expect(missed.isEmpty && found > 4000)
    }

    @Test(arguments: copies.indices)
    func aFileThatEndsEarlyIsRefusedWhereverItEnds(copy index: Int) throws {
        let copy = try Self.copies[index]()
        let file = try ModelFile(path: copy.path)
        let header = file.header
        var boundaries = [
            0, ContainerFormat.magic.count, Header.byteCount, Int(header.blockIndexOffset),
            Int(header.manifestOffset), copy.original.count,
        ]
        boundaries += StoredBlocks(file).boundaries
        boundaries += stride(
            from: Int(header.blockIndexOffset), to: Int(header.manifestOffset), by: BlockEntry.byteCount)
        boundaries += file.segments.map(\.entry.fileOffset)
        let near = Set(
            boundaries.flatMap { [$0 - 1, $0, $0 + 1] } + stride(from: 0, to: copy.original.count, by: 4096))
        let lengths = near.filter { (0..<copy.original.count).contains($0) }.sorted(by: >)
        var (accepted, codes) = ([Int](), [ModelFileError.Code: Int]())
        for length in lengths {
            try copy.truncate(to: length)
            do throws(ModelFileError) {
                _ = try ModelFile(path: copy.path)
                accepted.append(length)
            } catch { codes[error.code, default: 0] += 1 }
        }
        #expect(accepted.isEmpty)
        let tooShort = lengths.count { $0 < Header.byteCount }
        #expect(codes == [.notAModelFile: tooShort, .truncated: lengths.count - tooShort])
        #expect(lengths.count > copy.original.count / 4096)
    }

    /// A disk that lost its last writes: the length is right, the rest are zeros.
    @Test(arguments: copies.indices)
    func aFileWhoseEndIsZerosIsRefused(copy index: Int) throws {
        let copy = try Self.copies[index]()
        var accepted: [Int] = []
        for length in stride(from: copy.original.count / 4096 * 4096, through: 0, by: -4096) {
            try copy.truncate(to: length)
            try copy.truncate(to: copy.original.count)
            do throws(ModelFileError) {
                _ = try ModelFile(path: copy.path)
                accepted.append(length)
            } catch {}
        }
        #expect(accepted.isEmpty)
    }
}
