//! Reading many small parts of a segment that lie here and there: each block of them once.

/// Bytes of a segment's raw image, and where they go in memory.
public struct ImagePiece: Sendable, Equatable {
    /// Of the image.
    public let bytes: Range<Int>
    /// Where they begin in memory.
    public let offset: Int

    public init(bytes: Range<Int>, offset: Int) {
        self.bytes = bytes
        self.offset = offset
    }
}

/// Consecutive blocks of a segment that one read brings, all of which hold something of some pieces.
public struct GatheredRun: Sendable, Equatable {
    /// Indices in the segment's blocks.
    public internal(set) var blocks: Range<Int>
    /// Indices of the pieces.
    public internal(set) var pieces: Range<Int>
}

extension RunReader {
    /// The runs that hold `pieces`, which rise in the image and do not overlap.
    public static func runs(of segment: Segment, holding pieces: [ImagePiece]) -> [GatheredRun] {
        var runs: [GatheredRun] = []
        var next = 0
        for (index, piece) in pieces.enumerated() where !piece.bytes.isEmpty {
            func end(_ block: Int) -> Int {
                segment.blocks[block].imageOffset + segment.blocks[block].rawByteCount
            }
            while next < segment.blocks.count, end(next) <= piece.bytes.lowerBound { next += 1 }
            var block = next
            while block < segment.blocks.count, segment.blocks[block].imageOffset < piece.bytes.upperBound {
                if let last = runs.last, block < last.blocks.upperBound {
                    runs[runs.count - 1].pieces = last.pieces.lowerBound..<index + 1
                } else if let last = runs.last, block == last.blocks.upperBound,
                    storedByteCount(of: last.blocks.lowerBound..<block + 1, segment) <= mostRunBytes
                {
                    runs[runs.count - 1] = GatheredRun(
                        blocks: last.blocks.lowerBound..<block + 1, pieces: last.pieces.lowerBound..<index + 1
                    )
                } else {
                    runs.append(GatheredRun(blocks: block..<block + 1, pieces: index..<index + 1))
                }
                block += 1
            }
        }
        return runs
    }

    private static func storedByteCount(of blocks: Range<Int>, _ segment: Segment) -> Int {
        let (first, last) = (segment.blocks[blocks.lowerBound], segment.blocks[blocks.upperBound - 1])
        return last.fileOffset + last.storedByteCount - first.fileOffset
    }

    /// Reads a run, checks its blocks, and writes what they hold of the pieces to their places in `memory`.
    ///
    /// Precondition: the run is one of `runs(of: segment, holding: pieces)`; `memory` has room for every
    /// piece.
    public func read(
        _ run: GatheredRun, of segment: Segment, _ pieces: [ImagePiece],
        into memory: UnsafeMutableRawBufferPointer, _ scratch: borrowing Scratch
    ) throws(ModelFileError) {
        let start = segment.blocks[run.blocks.lowerBound].fileOffset
        let count = Self.storedByteCount(of: run.blocks, segment)
        let stored = unsafe try readStored(start..<start + count, scratch)
        for index in run.blocks {
            let block = segment.blocks[index]
            let offset = block.fileOffset - start
            let raw = unsafe try raw(
                index, of: segment,
                UnsafeRawBufferPointer(rebasing: stored[offset..<offset + block.storedByteCount]), scratch)
            let bytes = block.imageOffset..<block.imageOffset + block.rawByteCount
            for piece in pieces[run.pieces] {
                let shared = bytes.clamped(to: piece.bytes)
                if shared.isEmpty { continue }
                let target = piece.offset + shared.lowerBound - piece.bytes.lowerBound
                let source = shared.lowerBound - block.imageOffset
                unsafe UnsafeMutableRawBufferPointer(rebasing: memory[target..<target + shared.count])
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: raw[source..<source + shared.count]))
            }
        }
    }
}
