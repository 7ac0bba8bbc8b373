//! What one thread needs to read blocks: a buffer for stored bytes and a decompressor.

import CZstd

/// Memory and a decompressor for reading blocks; one a thread. About 0.5 MiB.
@safe public struct BlockScratch: ~Copyable {
    private let buffer: HostBuffer
    private let context: OpaquePointer

    /// Room for the stored bytes of the largest block.
    var stored: UnsafeMutableRawBufferPointer { unsafe buffer.bytes }

    /// Allocates. Throws `outOfMemory`, which names `file`.
    public init(for file: String) throws(ModelFileError) {
        let buffer = try Self.block(for: file)
        guard let context = unsafe ZSTD_createDCtx() else {
            throw ModelFileError(.outOfMemory, file: file, "no memory for a decompressor")
        }
        self.buffer = buffer
        unsafe self.context = context
    }

    deinit { unsafe ZSTD_freeDCtx(context) }

    /// Memory for one block. Throws `outOfMemory`, which names `file`.
    static func block(for file: String) throws(ModelFileError) -> HostBuffer {
        try HostBuffer(byteCount: ContainerFormat.blockByteCount, for: "a block", of: file)
    }

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
