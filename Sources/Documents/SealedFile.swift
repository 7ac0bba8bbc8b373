//! Bytes as an open file without a name: what a program is given to read.

import CSandbox
import Glibc

/// A file in memory that nobody can change or name. Who gets its descriptor can read it, and nothing else by
/// it.
@safe struct SealedFile: ~Copyable {
    /// Open for as long as its owner lives.
    let descriptor: Int32
    let byteCount: Int

    /// Copies `bytes`. Throws `outOfMemory` and `unsupported`.
    init(_ bytes: [UInt8]) throws(DocumentError) {
        let result = unsafe bytes.withUnsafeBytes { buffer in
            unsafe csandbox_sealed_file(buffer.baseAddress, buffer.count)
        }
        guard result >= 0 else {
            let isMemory = result == -ENOMEM || result == -ENOSPC
            throw DocumentError(
                isMemory ? .outOfMemory : .unsupported,
                isMemory
                    ? "no memory for \(bytes.count) bytes of a document"
                    : "this system has no files without a name (memfd_create: error \(-result))")
        }
        descriptor = result
        byteCount = bytes.count
    }

    deinit { close(descriptor) }

    /// Goes back to the first byte: who inherits a descriptor shares its position.
    func rewind() { lseek(descriptor, 0, SEEK_SET) }
}
