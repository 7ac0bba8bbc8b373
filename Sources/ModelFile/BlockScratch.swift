//! What one thread needs to read blocks: a buffer for stored bytes and a decompressor.

import CZstd
import Glibc

/// Memory and a decompressor for reading blocks; one a thread. About 0.5 MiB.
@safe public struct BlockScratch: ~Copyable {
    private let buffer: BlockBuffer
    private let context: OpaquePointer

    /// Room for the stored bytes of the largest block.
    var stored: UnsafeMutableRawBufferPointer { unsafe buffer.bytes }

    /// Allocates. Throws `outOfMemory`, which names `file`.
    public init(for file: String) throws(ModelFileError) {
        let buffer = try BlockBuffer(for: file)
        guard let context = unsafe ZSTD_createDCtx() else {
            throw ModelFileError(.outOfMemory, file: file, "no memory for a decompressor")
        }
        self.buffer = buffer
        unsafe self.context = context
    }

    deinit { unsafe ZSTD_freeDCtx(context) }

    /// Bytes that the decompressor takes, whatever it has decompressed.
    var contextByteCount: Int { unsafe ZSTD_sizeof_DCtx(context) }

    /// Decompresses one frame that must fill `destination` exactly; returns what is wrong, or nil.
    ///
    /// The frame is decoded in one call, so `destination` is zstd's window: a frame that declares a large
    /// window allocates nothing.
    func decompress(
        _ frame: UnsafeRawBufferPointer, into destination: UnsafeMutableRawBufferPointer
    ) -> String? {
        let declared = unsafe ZSTD_getFrameContentSize(frame.baseAddress, frame.count)
        guard declared == UInt64(destination.count) else { return "its frame declares another size" }
        guard unsafe ZSTD_findFrameCompressedSize(frame.baseAddress, frame.count) == frame.count else {
            return "it is not exactly one frame"
        }
        let size = unsafe ZSTD_decompressDCtx(
            context, destination.baseAddress, destination.count, frame.baseAddress, frame.count)
        if ZSTD_isError(size) != 0 { return unsafe String(cString: ZSTD_getErrorName(size)) }
        return size == destination.count ? nil : "it is \(size) bytes, not \(destination.count)"
    }
}

/// Page-aligned memory for one block: refused with an error, where an array's would end the process.
@safe struct BlockBuffer: ~Copyable {
    let bytes: UnsafeMutableRawBufferPointer

    init(for file: String) throws(ModelFileError) {
        let byteCount = ContainerFormat.blockByteCount
        let pointer = unsafe mmap(
            nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let base = unsafe pointer, unsafe base != MAP_FAILED else {
            throw ModelFileError(.outOfMemory, file: file, "no \(byteCount) bytes of memory for a block")
        }
        unsafe bytes = UnsafeMutableRawBufferPointer(start: base, count: byteCount)
    }

    deinit { unsafe munmap(bytes.baseAddress, bytes.count) }
}
