//! Compresses a stream of bytes into blocks, several at a time on several threads.

import CZstd
import Dispatch

/// Gathers raw bytes into a batch of blocks, compresses the batch in parallel, and hands out the stored
/// blocks in order. Memory: two batches of `threadCount * 8` blocks of 256 KiB.
@safe struct BlockCompressor: ~Copyable {
    private static let blocksPerThread = 8
    private let threadCount: Int
    private let raw: UnsafeMutableRawBufferPointer
    private let stored: UnsafeMutableRawBufferPointer
    private let contexts: UnsafeMutableBufferPointer<OpaquePointer>
    private var rawByteCount = 0

    /// Receives one stored block.
    typealias Sink = (_ stored: UnsafeRawBufferPointer, _ rawByteCount: Int) throws(ModelFileError) -> Void

    init(threadCount: Int) {
        self.threadCount = threadCount
        let capacity = threadCount * Self.blocksPerThread * ContainerFormat.blockByteCount
        unsafe raw = .allocate(byteCount: capacity, alignment: ContainerFormat.segmentAlignment)
        unsafe stored = .allocate(byteCount: capacity, alignment: ContainerFormat.segmentAlignment)
        unsafe contexts = .allocate(capacity: threadCount)
        for index in 0..<threadCount {
            unsafe contexts.initializeElement(at: index, to: Self.makeContext())
        }
    }

    deinit {
        for index in 0..<threadCount { unsafe ZSTD_freeCCtx(contexts[index]) }
        unsafe contexts.deallocate()
        unsafe stored.deallocate()
        unsafe raw.deallocate()
    }

    /// A compressor of level 1 whose frames carry the checksum of their content.
    static func makeContext() -> OpaquePointer {
        guard let context = unsafe ZSTD_createCCtx() else { fatalError("out of memory for a compressor") }
        unsafe ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, 1)
        unsafe ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)
        return unsafe context
    }

    /// Adds bytes to the stream; full batches go to `sink`.
    mutating func append(_ bytes: UnsafeRawBufferPointer, to sink: Sink) throws(ModelFileError) {
        var rest = unsafe bytes[...]
        while unsafe !rest.isEmpty {
            let count = unsafe min(rest.count, raw.count - rawByteCount)
            let part = unsafe UnsafeRawBufferPointer(rebasing: rest.prefix(count))
            unsafe UnsafeMutableRawBufferPointer(rebasing: raw[rawByteCount...]).copyMemory(from: part)
            unsafe rest = rest.dropFirst(count)
            rawByteCount += count
            if unsafe rawByteCount == raw.count { unsafe try flush(to: sink) }
        }
    }

    /// Ends the stream: the last block may be short.
    mutating func flush(to sink: Sink) throws(ModelFileError) {
        let blockByteCount = ContainerFormat.blockByteCount
        let blockCount = ContainerFormat.blockCount(ofStream: rawByteCount)
        let sizes = compress(blockCount)
        for index in 0..<blockCount {
            let start = index * blockByteCount
            let rawSize = min(blockByteCount, rawByteCount - start)
            let source = unsafe sizes[index] == rawSize ? raw : stored
            unsafe try sink(UnsafeRawBufferPointer(rebasing: source[start..<(start + sizes[index])]), rawSize)
        }
        rawByteCount = 0
    }

    /// Compresses the first blocks of the batch; returns their stored sizes, the raw size where that is kept.
    private func compress(_ blockCount: Int) -> [Int] {
        // Each thread takes every threadCount-th block, and writes only its own blocks' places.
        nonisolated(unsafe) let raw = unsafe raw
        nonisolated(unsafe) let stored = unsafe stored
        nonisolated(unsafe) let contexts = unsafe contexts
        let (threadCount, rawByteCount) = (threadCount, rawByteCount)
        return unsafe [Int](unsafeUninitializedCapacity: blockCount) { sizes, count in
            nonisolated(unsafe) let sizes = unsafe sizes
            DispatchQueue.concurrentPerform(iterations: min(threadCount, max(blockCount, 1))) { thread in
                for index in stride(from: thread, to: blockCount, by: threadCount) {
                    let start = index * ContainerFormat.blockByteCount
                    let size = min(ContainerFormat.blockByteCount, rawByteCount - start)
                    // A gain under 5 % is not worth the decompression, so the frame gets no more room than
                    // that.
                    let frame = unsafe ZSTD_compress2(
                        contexts[thread], stored.baseAddress! + start, size * 95 / 100,
                        raw.baseAddress! + start, size)
                    unsafe sizes.initializeElement(at: index, to: ZSTD_isError(frame) != 0 ? size : frame)
                }
            }
            count = blockCount
        }
    }

    /// One frame of `bytes`, whatever its size.
    static func frame(of bytes: [UInt8]) -> [UInt8] {
        let context = unsafe makeContext()
        defer { unsafe ZSTD_freeCCtx(context) }
        return unsafe [UInt8](unsafeUninitializedCapacity: ZSTD_compressBound(bytes.count)) { buffer, count in
            count = unsafe bytes.withUnsafeBytes { source in
                unsafe ZSTD_compress2(
                    context, buffer.baseAddress, buffer.count, source.baseAddress, source.count)
            }
            precondition(ZSTD_isError(count) == 0, "a frame fits in its bound")
        }
    }
}
