//! Reading parts of segments in large direct reads: what weights that come and go are brought by.

/// Consecutive blocks of a segment that one read brings.
public struct BlockRun: Sendable, Equatable {
    /// Indices in the segment's blocks.
    public let blocks: Range<Int>
    /// Their stored bytes.
    public let fileBytes: Range<Int>
}

/// Bytes of a segment's raw image that lie together in memory: some of the codes stream, then some of the
/// scales stream.
public struct ImagePart: Sendable, Equatable {
    public let codes: Range<Int>
    public let scales: Range<Int>

    public init(codes: Range<Int>, scales: Range<Int>) {
        self.codes = codes
        self.scales = scales
    }

    /// Bytes in memory.
    public var byteCount: Int { codes.count + scales.count }
}

/// Reads runs of blocks past the system's cache of files. Safe from several threads at once, each with a
/// scratch of its own.
public final class RunReader: Sendable {
    /// The most stored bytes of a run of more than one block: as large as disks need to be fast.
    public static let mostRunBytes = 1 << 20

    private let file: ModelFile
    private let direct: DirectFile

    public init(_ file: ModelFile) {
        self.file = file
        direct = DirectFile(file.input)
    }

    /// Whether reads go straight to the disk, as far as is known.
    public var isDirect: Bool { direct.isDirect }

    /// What a thread needs to read runs. About 1.5 MiB.
    @safe public struct Scratch: ~Copyable {
        fileprivate let stage: HostBuffer
        fileprivate let block: BlockScratch

        /// Bytes that one takes.
        public static let byteCount =
            DirectFile.bufferByteCount(for: mostRunBytes) + 2 * ContainerFormat.blockByteCount

        /// Throws `outOfMemory`, which names `file`.
        public init(for file: String) throws(ModelFileError) {
            let stage = try HostBuffer(
                byteCount: DirectFile.bufferByteCount(for: mostRunBytes), for: "direct reads", of: file)
            let block = try BlockScratch(for: file)
            self.stage = stage
            self.block = block
        }
    }

    /// The runs that hold `part` of `segment`, in file order.
    public static func runs(of segment: Segment, holding part: ImagePart) -> [BlockRun] {
        var runs: [BlockRun] = []
        while let run = nextRun(of: segment, holding: part, from: runs.last?.blocks.upperBound ?? 0) {
            runs.append(run)
        }
        return runs
    }

    /// The first run that holds something of `part` in the blocks from `first` on.
    private static func nextRun(of segment: Segment, holding part: ImagePart, from first: Int) -> BlockRun? {
        func holds(_ index: Int) -> Bool {
            let block = segment.blocks[index]
            let bytes = block.imageOffset..<block.imageOffset + block.rawByteCount
            return bytes.overlaps(part.codes) || bytes.overlaps(part.scales)
        }
        var begin = first
        while begin < segment.blocks.count, !holds(begin) { begin += 1 }
        guard begin < segment.blocks.count else { return nil }
        let start = segment.blocks[begin].fileOffset
        var end = begin + 1
        while end < segment.blocks.count, holds(end) {
            let block = segment.blocks[end]
            guard block.fileOffset + block.storedByteCount - start <= mostRunBytes else { break }
            end += 1
        }
        let last = segment.blocks[end - 1]
        return BlockRun(
            blocks: begin..<end, fileBytes: start..<last.fileOffset + last.storedByteCount)
    }

    /// Reads `part` of `segment` into `memory`, which has `part.byteCount` bytes.
    public func read(
        _ part: ImagePart, of segment: Segment, into memory: UnsafeMutableRawBufferPointer,
        _ scratch: borrowing Scratch
    ) throws(ModelFileError) {
        var next = 0
        while let run = Self.nextRun(of: segment, holding: part, from: next) {
            unsafe try read(run, of: segment, part, into: memory, scratch)
            next = run.blocks.upperBound
        }
    }

    /// Reads a run, checks its blocks, and writes what they hold of `part` to its place in `memory`, which
    /// has `part.byteCount` bytes.
    ///
    /// Precondition: the run is one of `runs(of: segment, holding: part)`.
    public func read(
        _ run: BlockRun, of segment: Segment, _ part: ImagePart,
        into memory: UnsafeMutableRawBufferPointer, _ scratch: borrowing Scratch
    ) throws(ModelFileError) {
        precondition(memory.count == part.byteCount)
        let stored = unsafe try readStored(run.fileBytes, scratch)
        for index in run.blocks {
            let block = segment.blocks[index]
            let start = block.fileOffset - run.fileBytes.lowerBound
            unsafe try place(
                index, of: segment,
                UnsafeRawBufferPointer(rebasing: stored[start..<start + block.storedByteCount]),
                part, memory, scratch)
        }
    }

    /// Reads bytes of the file and does nothing with them: for those who want to know how long that takes.
    ///
    /// Precondition: no more than those of a run.
    public func readOnly(_ bytes: Range<Int>, _ scratch: borrowing Scratch) throws(ModelFileError) {
        _ = unsafe try readStored(bytes, scratch)
    }

    /// The bytes where they lie in the scratch.
    func readStored(
        _ bytes: Range<Int>, _ scratch: borrowing Scratch
    ) throws(ModelFileError) -> UnsafeMutableRawBufferPointer {
        let stage = unsafe scratch.stage.bytes
        do throws(InputFault) {
            return unsafe try file.reads.count(bytes.count) { () throws(InputFault) in
                unsafe try direct.read(bytes, into: stage)
            }
        } catch {
            throw file.input.modelFileError(error, at: bytes.lowerBound)
        }
    }

    /// The raw bytes of a block whose stored bytes are given, checked: the same, or in the scratch.
    func raw(
        _ index: Int, of segment: Segment, _ stored: UnsafeRawBufferPointer, _ scratch: borrowing Scratch
    ) throws(ModelFileError) -> UnsafeRawBufferPointer {
        unsafe try file.check(stored, isBlock: index, of: segment)
        let block = segment.blocks[index]
        if block.isStoredRaw { return unsafe stored }
        let whole = unsafe UnsafeMutableRawBufferPointer(
            rebasing: scratch.block.stored[..<block.rawByteCount])
        unsafe try file.decompress(stored, block: index, of: segment, into: whole, scratch.block)
        return UnsafeRawBufferPointer(whole)
    }

    private func place(
        _ index: Int, of segment: Segment, _ stored: UnsafeRawBufferPointer, _ part: ImagePart,
        _ memory: UnsafeMutableRawBufferPointer, _ scratch: borrowing Scratch
    ) throws(ModelFileError) {
        let block = segment.blocks[index]
        unsafe try file.check(stored, isBlock: index, of: segment)
        let bytes = block.imageOffset..<block.imageOffset + block.rawByteCount
        // A stream's blocks hold nothing of the other's.
        for (range, base) in [(part.codes, 0), (part.scales, part.codes.count)] {
            let shared = bytes.clamped(to: range)
            if shared.isEmpty { continue }
            let target = base + shared.lowerBound - range.lowerBound
            let destination = unsafe UnsafeMutableRawBufferPointer(
                rebasing: memory[target..<target + shared.count])
            if block.isStoredRaw {
                let source = shared.lowerBound - block.imageOffset
                unsafe destination.copyMemory(
                    from: UnsafeRawBufferPointer(rebasing: stored[source..<source + shared.count]))
            } else if shared == bytes {
                unsafe try file.decompress(
                    stored, block: index, of: segment, into: destination, scratch.block)
            } else {
                let whole = unsafe UnsafeMutableRawBufferPointer(
                    rebasing: scratch.block.stored[..<block.rawByteCount])
                unsafe try file.decompress(stored, block: index, of: segment, into: whole, scratch.block)
                let source = shared.lowerBound - block.imageOffset
                unsafe destination.copyMemory(
                    from: UnsafeRawBufferPointer(rebasing: whole[source..<source + shared.count]))
            }
        }
    }
}
