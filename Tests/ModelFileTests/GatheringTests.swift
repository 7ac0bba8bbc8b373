//! Holds pieces that are read together, each block once, against the bytes that were written.

import Foundation
import TestSupport
import Testing

@testable import ModelFile

@Suite struct GatheringTests {
    private let folder: TemporaryDirectory
    private let file: ModelFile
    private let segment: Segment
    private let bytes: [UInt8]

    /// A segment of blocks that compress and blocks that do not, the last of them not whole.
    init() throws {
        folder = try TemporaryDirectory()
        let path = folder.path("model.thimble")
        bytes = (0..<11).flatMap {
            SampleModel.bytes(200_003, seed: UInt64($0), mask: $0 % 3 == 0 ? 0xFF : 0x0F)
        }
        var writer = try ModelFileWriter(path: path)
        try writer.appendData("pieces", bytes)
        try writer.commit(SampleModel.description)
        file = try ModelFile(path: path)
        segment = try #require(file.segment(named: "pieces"))
    }

    /// What gathering leaves in memory that was full of 0xA5 before.
    private func gather(_ pieces: [ImagePiece], count: Int) throws -> [UInt8] {
        let reader = RunReader(file)
        let scratch = try RunReader.Scratch(for: file.path)
        var memory = [UInt8](repeating: 0xA5, count: count)
        for run in RunReader.runs(of: segment, holding: pieces) {
            try unsafe memory.withUnsafeMutableBytes {
                try unsafe reader.read(run, of: segment, pieces, into: $0, scratch)
            }
        }
        return memory
    }

    /// Pieces of lengths from none to several blocks, with and without gaps, put to places in another order.
    @Test func everyPieceComesToItsPlaceAndNothingElseIsWritten() throws {
        var random = SeededGenerator(seed: 5)
        for _ in 0..<caseCount(60) {
            var (pieces, expected): ([ImagePiece], [(Int, Range<Int>)]) = ([], [])
            var (next, total) = (0, 0)
            let most = [10, 5_000, 300_000, 1_500_000].randomElement(using: &random) ?? 10
            while pieces.count < 40 {
                let start = next + Int.random(in: 0...most, using: &random)
                let end = start + Int.random(in: 0...most, using: &random)
                guard end <= bytes.count else { break }
                expected.append((total, start..<end))
                total += end - start + 3
                next = end
                pieces.append(ImagePiece(bytes: start..<end, offset: 0))
            }
            // Places fall as pieces rise.
            pieces = expected.map { ImagePiece(bytes: $1, offset: total - $0 - $1.count) }
            var memory = [UInt8](repeating: 0xA5, count: total)
            for piece in pieces {
                memory.replaceSubrange(
                    piece.offset..<piece.offset + piece.bytes.count, with: bytes[piece.bytes])
            }
            #expect(try gather(pieces, count: total) == memory, "\(pieces)")
        }
    }

    @Test func aBlockIsReadOnceAndRunsAreNoLargerThanReads() {
        let pieces = stride(from: 0, to: bytes.count - 700, by: 900).map {
            ImagePiece(bytes: $0..<$0 + 700, offset: $0)
        }
        let runs = RunReader.runs(of: segment, holding: pieces)
        #expect(runs.flatMap(\.blocks) == Array(segment.blocks.indices))
        #expect(runs.count > 1)
        for run in runs {
            let stored = run.blocks.reduce(0) { $0 + segment.blocks[$1].storedByteCount }
            #expect(stored <= RunReader.mostRunBytes)
        }
    }

    @Test func blocksThatNothingIsWantedOfAreNotRead() {
        let block = ContainerFormat.blockByteCount
        let pieces = [1, 2, 5].map { ImagePiece(bytes: $0 * block + 7..<$0 * block + 9, offset: 0) }
        let runs = RunReader.runs(of: segment, holding: pieces)
        #expect(runs.map(\.blocks) == [1..<3, 5..<6] && runs.map(\.pieces) == [0..<2, 2..<3])
        #expect(RunReader.runs(of: segment, holding: []).isEmpty)
    }

    @Test func damageIsAnError() throws {
        let block = segment.blocks[2]
        let handle = try FileHandle(forUpdating: URL(filePath: file.path))
        try handle.seek(toOffset: UInt64(block.fileOffset + 50))
        try handle.write(contentsOf: [0x13, 0x57, 0x9B])
        try handle.close()
        let start = block.imageOffset
        #expect(throws: ModelFileError.self) {
            try gather([ImagePiece(bytes: start..<start + 1, offset: 0)], count: 1)
        }
        #expect(try gather([ImagePiece(bytes: 0..<1, offset: 0)], count: 1) == [bytes[0]])
    }
}

@Suite struct ReadMeterTests {
    private struct Fault: Error {}

    @Test func readsAndTheirBytesAreCounted() throws {
        let meter = ReadMeter()
        let before = meter.tally
        let answer = meter.count(100) { meter.count(23) { 7 } }
        #expect(answer == 7)
        #expect(throws: Fault.self) { try meter.count(1_000) { throw Fault() } }
        let read = meter.tally - before
        #expect(read.byteCount == 123 && read.readCount == 3)
    }

    /// Time counts for as many reads as are on their way in it.
    @Test func whatIsOnItsWayIsCounted() {
        let meter = ReadMeter()
        func wait() { usleep(2_000) }
        let start = meter.tally
        meter.count(1) { meter.count(1) { wait() } }
        let busy = meter.tally - start
        #expect(busy.seconds[2] >= 0.002 && busy.seconds[2] > busy.seconds[0])
        #expect(busy.meanInFlight > 1 && busy.meanInFlight <= 2 && busy.idleShare < 0.5)
        let middle = meter.tally
        wait()
        let idle = meter.tally - middle
        #expect(idle.seconds[0] >= 0.002 && idle.meanInFlight == 0 && idle.idleShare == 1)
        #expect((start - start).idleShare == 0 && (start - start).meanInFlight == 0)
    }

    @Test func moreReadsThanAreToldApartAreCountedTogether() {
        let meter = ReadMeter()
        func nest(_ depth: Int) { meter.count(1) { depth == 0 ? _ = usleep(1_000) : nest(depth - 1) } }
        nest(ReadTally.mostCounted + 5)
        #expect((meter.tally.seconds.last ?? 0) >= 0.001)
    }

    /// A run reader counts by the file that it reads.
    @Test func aReaderCountsItsReads() throws {
        let folder = try TemporaryDirectory()
        let path = folder.path("model.thimble")
        try SampleModel.write(to: path)
        let file = try ModelFile(path: path)
        let segment = try #require(file.segment(named: "layers.0"))
        let scratch = try RunReader.Scratch(for: path)
        let before = file.reads.tally
        try RunReader(file).readOnly(segment.entry.fileOffset..<segment.entry.fileOffset + 5_000, scratch)
        let read = file.reads.tally - before
        #expect(read.byteCount == 5_000 && read.readCount == 1)
    }
}
