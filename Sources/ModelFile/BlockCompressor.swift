//! Compresses a stream of bytes into blocks, several at a time on several threads.

import CZstd
import Threads

/// One block on its way from raw to stored bytes.
///
/// Unchecked: one thread fills it, hands it to a worker, and looks again when `isDone` says so.
@safe final class CompressedBlock: @unchecked Sendable {
    private let rawRoom: HostBuffer
    private let frameRoom: HostBuffer
    private(set) var rawByteCount = 0
    private var frameByteCount = 0
    private var checksum: UInt64 = 0
    private let isDone = Monitor(false)

    /// Throws `outOfMemory`, which names `file`.
    init(for file: String) throws(ModelFileError) {
        rawRoom = try BlockScratch.block(for: file)
        frameRoom = try BlockScratch.block(for: file)
    }

    private var raw: UnsafeMutableRawBufferPointer { unsafe rawRoom.bytes }

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
        let room = unsafe UnsafeMutableRawBufferPointer(
            rebasing: frameRoom.bytes[..<(rawByteCount * 95 / 100)])
        frameByteCount = unsafe context.frame(of: content, into: room) ?? 0
        checksum = unsafe ContainerFormat.checksum(stored)
        isDone.withLock(waking: .one) { $0 = true }
    }

    /// Waits until the block is compressed; once for each time that it is.
    func wait() {
        isDone.wait { isDone -> Void? in
            guard isDone else { return nil }
            isDone = false
            return ()
        }
    }

    /// The stored bytes: a frame, or the content where compression gains nothing.
    var stored: UnsafeRawBufferPointer {
        frameByteCount == 0
            ? unsafe content : unsafe UnsafeRawBufferPointer(rebasing: frameRoom.bytes[..<frameByteCount])
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

    /// Throws `outOfMemory`, which names `file`.
    init(for file: String) throws(ModelFileError) {
        guard let context = unsafe ZSTD_createCCtx() else {
            throw ModelFileError(.outOfMemory, file: file, "no memory for a compressor")
        }
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

    /// Throws `outOfMemory`, which names `file`.
    init(pool: WorkerPool, for file: String) throws(ModelFileError) {
        var compressors: [Compressor] = []
        for _ in 0..<pool.threadCount { compressors.append(try Compressor(for: file)) }
        var blocks: [CompressedBlock] = []
        for _ in 0..<(pool.threadCount + 4) { blocks.append(try CompressedBlock(for: file)) }
        self.pool = pool
        self.compressors = compressors
        self.blocks = blocks
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

    /// One frame of `bytes`, whatever its size. Throws `outOfMemory`, which names `file`.
    static func frame(of bytes: [UInt8], for file: String) throws(ModelFileError) -> [UInt8] {
        let compressor = try Compressor(for: file)
        let room = try HostBuffer(byteCount: ZSTD_compressBound(bytes.count), for: "a frame", of: file)
        let size = unsafe bytes.withUnsafeBytes { unsafe compressor.frame(of: $0, into: room.bytes) }
        // A frame fits in its bound, so what was lacking is memory.
        guard let size else { throw ModelFileError(.outOfMemory, file: file, "no memory for a compressor") }
        return unsafe Array(room.bytes[..<size])
    }
}
