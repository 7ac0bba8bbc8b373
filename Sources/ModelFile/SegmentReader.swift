//! Reading whole segments on several threads.

import Threads

/// Threads that read segments of one file together, and what each needs for it; both last from the first
/// segment to the last. Decompression, not the disk, is what takes time.
///
/// Memory: about 0.5 MiB a thread. One thread calls it.
public final class SegmentReader {
    private let file: ModelFile
    /// Those who help the caller; nil where it reads alone.
    private let helpers: WorkerPool?
    /// The caller's, and then one for each helper.
    private let scratches: [Scratch]

    /// Unchecked: one thread uses it at a time.
    private final class Scratch: @unchecked Sendable {
        let scratch: BlockScratch
        init(for file: String) throws(ModelFileError) { scratch = try BlockScratch(for: file) }
    }

    /// Starts up to `threadCount` threads, the caller included. Throws `outOfMemory`, which names the file.
    /// Precondition: `threadCount` is positive.
    public init(of file: ModelFile, threadCount: Int) throws(ModelFileError) {
        precondition(threadCount >= 1)
        let helpers =
            threadCount > 1 ? try WorkerPool(threadCount: threadCount - 1, for: file.path) : nil
        var scratches: [Scratch] = []
        for _ in 0...(helpers?.threadCount ?? 0) { scratches.append(try Scratch(for: file.path)) }
        self.file = file
        self.helpers = helpers
        self.scratches = scratches
    }

    /// States that `segment` will be read soon: the disk begins while others are decompressed.
    public func prefetch(_ segment: Segment) {
        let start = segment.entry.fileOffset
        file.input.prefetch(start..<start + segment.entry.storedByteCount)
    }

    /// Reads the whole raw image of `segment` into `image`, which has exactly `entry.imageByteCount` bytes.
    ///
    /// Of several faults, one is thrown.
    public func read(
        _ segment: Segment, into image: UnsafeMutableRawBufferPointer
    ) throws(ModelFileError) {
        precondition(image.count == segment.entry.imageByteCount, "the destination has the image's size")
        let reading = unsafe Reading(of: segment, in: file, into: image)
        let helperCount = min(helpers?.threadCount ?? 0, segment.blocks.count - 1)
        for _ in 0..<max(0, helperCount) {
            reading.join()
            helpers?.submit { [scratches] worker in reading.work(scratches[worker + 1].scratch) }
        }
        reading.join()
        reading.work(scratches[0].scratch)
        try reading.wait()
    }
}

/// One segment on its way into memory.
///
/// Unchecked: blocks do not overlap in the image, and each is taken by one thread.
@safe private final class Reading: @unchecked Sendable {
    private let segment: Segment
    private let file: ModelFile
    /// Valid until the last thread has left.
    private let image: UnsafeMutableRawBufferPointer
    private let progress = Monitor(Progress())

    private struct Progress {
        /// The first block that no thread has taken.
        var next = 0
        /// Threads that have yet to leave.
        var threadCount = 0
        var fault: ModelFileError?
    }

    init(of segment: Segment, in file: ModelFile, into image: UnsafeMutableRawBufferPointer) {
        self.segment = segment
        self.file = file
        unsafe self.image = unsafe image
    }

    /// Counts a thread before it is asked to work.
    func join() { progress.withLock { $0.threadCount += 1 } }

    /// Reads blocks until none is left or one has a fault.
    func work(_ scratch: borrowing BlockScratch) {
        var fault: ModelFileError?
        do throws(ModelFileError) {
            while let index = nextBlock() {
                let block = segment.blocks[index]
                let range = block.imageOffset..<(block.imageOffset + block.rawByteCount)
                unsafe try file.readBlock(
                    index, of: segment, into: UnsafeMutableRawBufferPointer(rebasing: image[range]),
                    scratch: scratch)
            }
        } catch { fault = error }
        progress.withLock(waking: .one) { progress in
            progress.fault = progress.fault ?? fault
            progress.threadCount -= 1
        }
    }

    private func nextBlock() -> Int? {
        progress.withLock { progress in
            guard progress.fault == nil, progress.next < segment.blocks.count else { return nil }
            progress.next += 1
            return progress.next - 1
        }
    }

    /// Waits until all threads have left.
    func wait() throws(ModelFileError) {
        let result = progress.wait { progress -> Result<Void, ModelFileError>? in
            guard progress.threadCount == 0 else { return nil }
            return progress.fault.map { .failure($0) } ?? .success(())
        }
        try result.get()
    }
}
