//! Compresses a stream of bytes into blocks, several at a time on several threads.

import CZstd
import Dispatch

/// One block on its way from raw to stored bytes.
///
/// Unchecked: one thread fills it, hands it to a worker, and looks again when `isDone` has been signalled.
@safe final class CompressedBlock: @unchecked Sendable {
    private let raw: UnsafeMutableRawBufferPointer
    private let frame: UnsafeMutableRawBufferPointer
    private(set) var rawByteCount = 0
    private var frameByteCount = 0
    private var checksum: UInt64 = 0
    private let isDone = DispatchSemaphore(value: 0)

    init() {
        let capacity = ContainerFormat.blockByteCount
        unsafe raw = .allocate(byteCount: capacity, alignment: ContainerFormat.segmentAlignment)
        unsafe frame = .allocate(byteCount: capacity, alignment: ContainerFormat.segmentAlignment)
    }

    deinit {
        unsafe raw.deallocate()
        unsafe frame.deallocate()
    }

    var isFull: Bool { rawByteCount == ContainerFormat.blockByteCount }
    /// What has been filled in.
    var content: UnsafeRawBufferPointer { unsafe UnsafeRawBufferPointer(rebasing: raw[..<rawByteCount]) }

    /// Takes as many of `bytes` as there is room for; returns how many.
    func fill(_ bytes: UnsafeRawBufferPointer) -> Int {
        let count = unsafe min(bytes.count, raw.count - rawByteCount)
        unsafe UnsafeMutableRawBufferPointer(rebasing: raw[rawByteCount...]).copyMemory(
            from: UnsafeRawBufferPointer(rebasing: bytes[..<count]))
        rawByteCount += count
        return count
    }

    func empty() { rawByteCount = 0 }

    /// A worker's part: compresses and takes the checksum of what is to be stored.
    func compress(_ context: Compressor) {
        // A gain under 5 % is not worth the decompression, so the frame gets no more room than that.
        let room = unsafe UnsafeMutableRawBufferPointer(rebasing: frame[..<(rawByteCount * 95 / 100)])
        frameByteCount = unsafe context.frame(of: content, into: room) ?? 0
        checksum = unsafe ContainerFormat.checksum(stored)
        isDone.signal()
    }

    func wait() { isDone.wait() }

    /// The stored bytes: a frame, or the content where compression gains nothing.
    var stored: UnsafeRawBufferPointer {
        frameByteCount == 0
            ? unsafe content : unsafe UnsafeRawBufferPointer(rebasing: frame[..<frameByteCount])
    }

    var entry: BlockEntry {
        BlockEntry(
            storedByteCount: unsafe UInt32(stored.count), rawByteCount: UInt32(rawByteCount),
            checksum: checksum)
    }
}

/// A zstd context of level 1 whose frames carry the checksum of their content. Unchecked: one thread uses it.
@safe final class Compressor: @unchecked Sendable {
    private let context: OpaquePointer

    init() {
        guard let context = unsafe ZSTD_createCCtx() else { fatalError("out of memory for a compressor") }
        unsafe ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, 1)
        unsafe ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)
        unsafe self.context = unsafe context
    }

    deinit { unsafe ZSTD_freeCCtx(context) }

    /// Writes one frame; returns its size, or nil where it does not fit.
    func frame(of bytes: UnsafeRawBufferPointer, into room: UnsafeMutableRawBufferPointer) -> Int? {
        let size = unsafe ZSTD_compress2(
            context, room.baseAddress, room.count, bytes.baseAddress, bytes.count)
        return ZSTD_isError(size) != 0 ? nil : size
    }
}

/// Cuts a stream into blocks that workers compress while it goes on, and hands them out in order.
///
/// Memory: `threadCount + 4` blocks of 256 KiB, raw and compressed, so that each thread has one and the one
/// that writes has some to go on with; and a zstd context a thread.
struct BlockCompressor: ~Copyable {
    private let pool: WorkerPool
    private let compressors: [Compressor]
    private let blocks: [CompressedBlock]
    /// The block that the stream goes to next; the ones before it are being compressed.
    private var filling = 0
    /// Blocks that are handed to workers and not yet released.
    private(set) var pendingCount = 0

    init(pool: WorkerPool) {
        self.pool = pool
        compressors = (0..<pool.threadCount).map { _ in Compressor() }
        blocks = (0..<(pool.threadCount + 4)).map { _ in CompressedBlock() }
    }

    /// Whether the oldest block must be released before the stream can go on.
    var isFull: Bool { pendingCount == blocks.count }
    /// The end of the stream that is in no block yet.
    var unfinished: UnsafeRawBufferPointer {
        unsafe isFull ? UnsafeRawBufferPointer(start: nil, count: 0) : blocks[filling].content
    }

    /// Takes some of `bytes`; returns how many. Precondition: not full.
    mutating func fill(_ bytes: UnsafeRawBufferPointer) -> Int {
        precondition(!isFull, "a block is emptied before it is filled again")
        let count = unsafe blocks[filling].fill(bytes)
        if blocks[filling].isFull { finishBlock() }
        return count
    }

    /// Ends the stream: the last block may be short.
    mutating func finish() {
        if !isFull, blocks[filling].rawByteCount > 0 { finishBlock() }
    }

    /// Forgets the end of the stream that is in no block yet. Precondition: no block is pending.
    func dropUnfinished() { blocks[filling].empty() }

    private mutating func finishBlock() {
        let block = blocks[filling]
        let compressors = compressors
        pool.submit(urgently: true) { worker in block.compress(compressors[worker]) }
        pendingCount += 1
        filling = (filling + 1) % blocks.count
    }

    /// Waits for the oldest block, lends it to `body`, and makes room for another. Precondition: there is
    /// one.
    mutating func releaseOldest(
        _ body: (CompressedBlock) throws(ModelFileError) -> Void
    ) throws(ModelFileError) {
        precondition(pendingCount > 0)
        let block = blocks[(filling + blocks.count - pendingCount) % blocks.count]
        block.wait()
        pendingCount -= 1
        defer { block.empty() }
        try body(block)
    }

    /// One frame of `bytes`, whatever its size.
    static func frame(of bytes: [UInt8]) -> [UInt8] {
        unsafe [UInt8](unsafeUninitializedCapacity: ZSTD_compressBound(bytes.count)) { buffer, count in
            let size = unsafe bytes.withUnsafeBytes { source in
                unsafe Compressor().frame(of: source, into: UnsafeMutableRawBufferPointer(buffer))
            }
            guard let size else { fatalError("a frame fits in its bound") }
            count = size
        }
    }
}
