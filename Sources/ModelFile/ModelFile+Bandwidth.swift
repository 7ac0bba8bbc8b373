//! How fast a model file can be read at best: what loading is held against.

import HostSystem
import Threads

/// What the parts of loading take, each by itself, for a sample of a file's blocks.
public struct LoadingSample: Sendable {
    /// Bytes of the sample in the file.
    public let storedByteCount: Int
    /// Seconds to read them from the disk.
    public let readSeconds: Double
    /// Whether they were read past the system's cache of files. Where the file system does not allow that,
    /// the system was asked to forget them first.
    public let isDirect: Bool
    /// Seconds to check and decompress them, once they are in memory.
    public let decompressionSeconds: Double
}

extension ModelFile {
    /// Times the parts of loading for `byteCount` bytes of the file, or all of a smaller one: blocks from
    /// everywhere in it. `threadCount` threads decompress.
    ///
    /// Precondition: both are positive.
    public func sampleLoading(
        byteCount: Int, threadCount: Int
    ) throws(ModelFileError) -> LoadingSample {
        precondition(byteCount > 0 && threadCount > 0)
        let sample = try BlockSample(of: self, byteCount: byteCount)
        // Those who wait for a disk need no core, and it does more for several.
        let readSeconds = try sample.seconds(
            sample.runs.count, threadCount: max(threadCount, BlockSample.readerCount)
        ) { (run, _) throws(ModelFileError) in try sample.read(run) }
        // The first pass finds processors and memory cold.
        var decompressionSeconds = Double.infinity
        for _ in 0..<2 {
            decompressionSeconds = min(
                decompressionSeconds,
                try sample.seconds(sample.blocks.count, threadCount: threadCount) {
                    (block, room) throws(ModelFileError) in try sample.unpack(block, room)
                })
        }
        return LoadingSample(
            storedByteCount: sample.runs.reduce(0) { $0 + $1.bytes.count }, readSeconds: readSeconds,
            isDirect: sample.isDirect, decompressionSeconds: decompressionSeconds)
    }
}

/// Blocks of a file, and memory for them as they are stored.
///
/// Unchecked: each run and each block is taken by one thread, blocks once all runs are read.
@safe private final class BlockSample: @unchecked Sendable {
    /// Blocks that lie one after the other in the file.
    struct Run {
        /// In the file.
        let bytes: Range<Int>
        /// Where the memory for them begins; the bytes themselves lie where a direct read puts them.
        let offset: Int
    }
    /// One block of a run.
    struct Block {
        let segment: Int
        let index: Int
        let run: Int
    }

    let runs: [Run]
    let blocks: [Block]
    private let file: ModelFile
    private let direct: DirectFile
    private let memory: HostBuffer
    /// Whether all of the sample was read past the cache.
    var isDirect: Bool { direct.isDirect }

    /// Threads that keep a disk busy.
    static let readerCount = 8
    /// Stored bytes of a run, about: a disk reads as many at its full speed.
    private static let runByteCount = 1 << 20

    /// Chooses runs of about `byteCount` bytes together, evenly spread over the file.
    init(of file: ModelFile, byteCount: Int) throws(ModelFileError) {
        let all = Self.runs(of: file)
        let total = all.reduce(0) { $0 + $1.bytes.count }
        var (runs, blocks): ([Run], [Block]) = ([], [])
        var (seen, taken, end) = (0, 0, 0)
        for run in all {
            seen += run.bytes.count
            // As large a share of what was seen as the sample is of the file.
            guard taken * max(total, 1) < min(byteCount, total) * seen else { continue }
            taken += run.bytes.count
            blocks += run.blocks.map { Block(segment: run.segment, index: $0, run: runs.count) }
            runs.append(Run(bytes: run.bytes, offset: end))
            end += DirectFile.bufferByteCount(for: run.bytes.count)
        }
        self.file = file
        (self.runs, self.blocks) = (runs, blocks)
        direct = DirectFile(file.input)
        memory = try HostBuffer(byteCount: end, for: "a sample of blocks", of: file.path)
        // Pages are taken now, and not in the time that is measured.
        for offset in stride(from: 0, to: end, by: DirectFile.alignment) { unsafe memory.bytes[offset] = 1 }
    }

    /// All blocks of the file, in runs of about `runByteCount`.
    private static func runs(of file: ModelFile) -> [(segment: Int, blocks: Range<Int>, bytes: Range<Int>)] {
        var runs: [(segment: Int, blocks: Range<Int>, bytes: Range<Int>)] = []
        for (number, segment) in file.segments.enumerated() {
            var first = 0
            for (index, block) in segment.blocks.enumerated() {
                let start = segment.blocks[first].fileOffset
                let end = block.fileOffset + block.storedByteCount
                guard end - start >= runByteCount || index == segment.blocks.count - 1 else { continue }
                runs.append((number, first..<index + 1, start..<end))
                first = index + 1
            }
        }
        return runs
    }

    func read(_ index: Int) throws(ModelFileError) {
        let run = runs[index]
        do throws(InputFault) { _ = unsafe try direct.read(run.bytes, into: room(for: run)) } catch {
            throw file.input.modelFileError(error, at: run.bytes.lowerBound)
        }
    }

    private func room(for run: Run) -> UnsafeMutableRawBufferPointer {
        let end = run.offset + DirectFile.bufferByteCount(for: run.bytes.count)
        return unsafe UnsafeMutableRawBufferPointer(rebasing: memory.bytes[run.offset..<end])
    }

    func unpack(_ index: Int, _ room: borrowing Room) throws(ModelFileError) {
        let place = blocks[index]
        let (segment, run) = (file.segments[place.segment], runs[place.run])
        let block = segment.blocks[place.index]
        let start = run.offset + run.bytes.lowerBound % DirectFile.alignment
        let offset = start + block.fileOffset - run.bytes.lowerBound
        let stored = unsafe UnsafeRawBufferPointer(
            rebasing: memory.bytes[offset..<offset + block.storedByteCount])
        unsafe try file.check(stored, isBlock: place.index, of: segment)
        if block.isStoredRaw { return }
        unsafe try file.decompress(
            stored, block: place.index, of: segment,
            into: UnsafeMutableRawBufferPointer(rebasing: room.raw.bytes[..<block.rawByteCount]),
            room.scratch)
    }

    /// Seconds that so many threads take to do `body` for each number below `count`.
    func seconds(
        _ count: Int, threadCount: Int,
        _ body: @escaping @Sendable (Int, borrowing Room) throws(ModelFileError) -> Void
    ) throws(ModelFileError) -> Double {
        let race = Race(count)
        let file = self.file.path
        var threads = JoinedThreads()
        for _ in 0..<min(threadCount, max(count, 1)) {
            guard threads.start({ race.run(for: file, body) }) else { break }
        }
        guard threads.count > 0 else {
            throw ModelFileError(.outOfMemory, file: file, "the system allows no thread")
        }
        return try race.seconds(threadCount: threads.count)
    }

    /// What a thread has for itself.
    struct Room: ~Copyable {
        let scratch: BlockScratch
        let raw: HostBuffer

        init(for file: String) throws(ModelFileError) {
            let scratch = try BlockScratch(for: file)
            raw = try BlockScratch.block(for: file)
            self.scratch = scratch
        }
    }
}

/// Threads that begin together, once each has what it needs, and take numbers in turn until none is left.
private final class Race: Sendable {
    private struct State {
        /// Threads that are ready to begin, and those that have ended.
        var (ready, ended) = (0, 0)
        var isOpen = false
        var next = 0
        var fault: ModelFileError?
    }

    private let count: Int
    private let state = Monitor(State())

    init(_ count: Int) { self.count = count }

    func run(
        for file: String, _ body: (Int, borrowing BlockSample.Room) throws(ModelFileError) -> Void
    ) {
        do throws(ModelFileError) {
            let room: BlockSample.Room
            do throws(ModelFileError) { room = try BlockSample.Room(for: file) } catch {
                state.withLock(waking: .all) { $0.ready += 1 }
                throw error
            }
            state.withLock(waking: .all) { $0.ready += 1 }
            state.wait { $0.isOpen ? () : nil }
            while let number = take() { try body(number, room) }
        } catch {
            state.withLock { $0.fault = $0.fault ?? error }
        }
        state.withLock(waking: .all) { $0.ended += 1 }
    }

    private func take() -> Int? {
        state.withLock { state in
            guard state.fault == nil, state.next < count else { return nil }
            state.next += 1
            return state.next - 1
        }
    }

    /// Lets the threads begin, and times them. Of several faults, one is thrown.
    func seconds(threadCount: Int) throws(ModelFileError) -> Double {
        state.wait { $0.ready == threadCount ? () : nil }
        let start = Moment.now
        state.withLock(waking: .all) { $0.isOpen = true }
        let fault = state.wait { state -> ModelFileError?? in
            state.ended == threadCount ? .some(state.fault) : nil
        }
        let duration = start.duration(to: Moment.now)
        if let fault { throw fault }
        return duration.seconds
    }
}
