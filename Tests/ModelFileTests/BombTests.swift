//! Compressed blocks that are not what they say: an error, within the memory of one block.

import TestSupport
import Testing

@testable import ModelFile

/// The content's size in every frame here that states one.
private let size = 5000

/// Frames that lie, by what they lie about.
private let lies: [(name: String, frame: [UInt8])] = {
    let honest = ForgedFrame(size: .stated(UInt32(size)), runs: [size]).bytes
    let many = [Int](repeating: ForgedFrame.largestRun, count: 8000)
    let skippable: [UInt8] = [0x50, 0x2A, 0x4D, 0x18, 4, 0, 0, 0, 1, 2, 3, 4]
    return [
        ("a gigabyte in a block of 5000", ForgedFrame(size: .stated(UInt32(size)), runs: many).bytes),
        ("less than is stated", ForgedFrame(size: .stated(UInt32(size)), runs: [size - 1]).bytes),
        ("one byte more than is stated", ForgedFrame(size: .stated(UInt32(size)), runs: [size, 1]).bytes),
        ("another size stated", ForgedFrame(size: .stated(UInt32(size) + 1), runs: [size]).bytes),
        ("four gigabytes stated", ForgedFrame(size: .stated(.max), runs: [size]).bytes),
        ("no size stated", ForgedFrame(size: .unknown(exponent: 8), runs: [size]).bytes),
        ("no size and a huge window", ForgedFrame(size: .unknown(exponent: 31), runs: many).bytes),
        ("nothing stated, nothing held", ForgedFrame(size: .stated(0), runs: [0]).bytes),
        ("two frames", honest + honest),
        ("a thousand frames", Array([[UInt8]](repeating: honest, count: 1000).joined())),
        ("an empty frame after it", try! honest + BlockCompressor.frame(of: [], for: "frame")),
        ("a skippable frame after it", honest + skippable),
        ("a skippable frame before it", skippable + honest),
        ("only a skippable frame", skippable),
        ("a byte after it", honest + [0]),
        ("a megabyte after it", honest + [UInt8](repeating: 0, count: 1 << 17)),
        (
            "a checksum that is not there",
            ForgedFrame(size: .stated(UInt32(size)), runs: [size], flags: 4).bytes
        ),
        (
            "a checksum that is wrong",
            ForgedFrame(size: .stated(UInt32(size)), runs: [size], flags: 4).bytes + [1, 2, 3, 4]
        ),
        ("a reserved bit", ForgedFrame(size: .stated(UInt32(size)), runs: [size], flags: 8).bytes),
        ("a reserved block", ForgedFrame(size: .stated(UInt32(size)), runs: [size], blockType: 3).bytes),
        (
            "a block of two megabytes",
            ForgedFrame(size: .stated(UInt32(size)), runs: [(1 << 21) - 1]).bytes
        ),
        (
            "raw bytes that are not there",
            ForgedFrame(size: .stated(UInt32(size)), runs: [size], blockType: 0).bytes
        ),
        ("a dictionary", [0x28, 0xB5, 0x2F, 0xFD, 0b1010_0001, 7] + honest[5...]),
        ("only a magic", Array(honest[..<4])), ("nothing", []),
    ]
}()

@Suite struct BombTests {
    /// What is wrong with decompressing `frame` to `count` bytes, and whether bytes beyond them, or the
    /// memory of the decompressor, changed.
    func decompress(_ frame: [UInt8], count: Int) throws -> (fault: String?, spilt: Bool, grown: Int) {
        let scratch = try BlockScratch(for: "frame")
        let before = scratch.contextByteCount
        var room = [UInt8](repeating: 0xA5, count: count + 4096)
        let fault = unsafe frame.withUnsafeBytes { source in
            unsafe room.withUnsafeMutableBytes { buffer in
                unsafe scratch.decompress(
                    source, into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]))
            }
        }
        return (fault, room[count...].contains { $0 != 0xA5 }, scratch.contextByteCount - before)
    }

    @Test func anHonestFrameIsTaken() throws {
        for count in [1, size, 200_000, ContainerFormat.blockByteCount] {
            let frame = ForgedFrame(size: .stated(UInt32(count)), runs: ForgedFrame.runs(of: count)).bytes
            #expect(try decompress(frame, count: count).fault == nil)
            #expect(try decompress(frame, count: count + 1).fault != nil)
            #expect(try decompress(frame, count: count - 1).fault != nil)
        }
    }

    @Test(arguments: lies.indices) func aFrameThatLiesIsRefusedInABlocksMemory(index: Int) throws {
        let (name, frame) = lies[index]
        let outcome = try decompress(frame, count: size)
        #expect(outcome.fault != nil, "\(name)")
        #expect(!outcome.spilt && outcome.grown == 0, "\(name)")
    }

    /// The window that a frame declares is memory only for who reads it as a stream.
    @Test func aHugeWindowTakesNoMemory() throws {
        for exponent in UInt8(0)...31 {
            let frame = ForgedFrame(size: .windowed(UInt32(size), exponent: exponent), runs: [size]).bytes
            let outcome = try decompress(frame, count: size)
            #expect(!outcome.spilt && outcome.grown == 0, "2^\(exponent + 10)")
        }
    }

    @Test(arguments: lies.indices) func aBlockThatLiesIsAnErrorThatNamesItsPlace(index: Int) throws {
        let (name, frame) = lies[index]
        let folder = try TemporaryDirectory()
        let path = folder.path("bomb.thimble")
        guard (1...size).contains(frame.count) else {
            // A block's stored length is at least 1 and at most its raw length.
            let file = try ForgedFile(blocks: [(frame, size)])
            #expect(try file.fault(at: path)?.code == .damaged, "\(name)")
            return
        }
        let honest = ForgedFrame(
            size: .stated(UInt32(ContainerFormat.blockByteCount)),
            runs: ForgedFrame.runs(of: ContainerFormat.blockByteCount)
        ).bytes
        let file = try ForgedFile(blocks: [(honest, ContainerFormat.blockByteCount), (frame, size)])
        let error = try file.fault(at: path)
        #expect(error?.code == .damaged, "\(name)")
        #expect(error?.offset == 4096 + honest.count, "\(name)")
        #expect(error?.detail.contains("block 1 of segment data") == true, "\(name)")
    }

    /// The same frames in the manifest's place, which is a frame, too.
    @Test(arguments: lies.indices) func aManifestThatLiesIsRefused(index: Int) throws {
        let folder = try TemporaryDirectory()
        var file = try ForgedFile(blocks: [])
        file.manifestFrame = lies[index].frame
        file.manifestByteCount = size
        #expect(try file.fault(at: folder.path("m.thimble"))?.code == .damaged, "\(lies[index].name)")
    }

    @Test func everyFlippedBitAndEveryCutOfAFrameIsHandled() throws {
        let raw = SampleModel.bytes(size, seed: 9)
        let frame = try BlockCompressor.frame(of: raw, for: "frame")
        #expect(try decompress(frame, count: size).fault == nil)
        for length in 0..<frame.count {
            #expect(try decompress(Array(frame[..<length]), count: size).fault != nil)
        }
        for bit in 0..<frame.count * 8 {
            // The block's checksum finds these before a decompressor sees them; it must bear them all the
            // same.
            var changed = frame
            changed[bit / 8] ^= 1 << UInt8(bit % 8)
            let outcome = try decompress(changed, count: size)
            #expect(!outcome.spilt && outcome.grown == 0)
        }
    }
}
