//! Memory whose size a file or a plan decides.

import Glibc

/// Zeroed, page-aligned memory with one owner: refused with an error, where an array's would end the process.
@safe package struct HostBuffer: ~Copyable {
    /// Valid as long as the buffer lives.
    package let bytes: UnsafeMutableRawBufferPointer

    /// Takes `byteCount` bytes for `purpose`. Throws `outOfMemory`, which names `file`.
    package init(byteCount: Int, for purpose: String, of file: String) throws(ModelFileError) {
        guard let base = unsafe Self.map(byteCount) else {
            throw .outOfMemory(byteCount, for: purpose, of: file)
        }
        unsafe bytes = UnsafeMutableRawBufferPointer(start: base, count: byteCount)
    }

    deinit { unsafe munmap(bytes.baseAddress, max(bytes.count, 1)) }

    /// Whether `byteCount` bytes can be had now. Whoever is about to make a large array, which cannot be
    /// refused, asks first.
    package static func isAvailable(byteCount: Int) -> Bool {
        guard let base = unsafe map(byteCount) else { return false }
        unsafe munmap(base, max(byteCount, 1))
        return true
    }

    private static func map(_ byteCount: Int) -> UnsafeMutableRawPointer? {
        let pointer = unsafe mmap(
            nil, max(byteCount, 1), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        return unsafe pointer == MAP_FAILED ? nil : pointer
    }
}

extension ModelFileError {
    /// Memory was refused: `byteCount` bytes for `purpose`.
    static func outOfMemory(_ byteCount: Int, for purpose: String, of file: String) -> ModelFileError {
        ModelFileError(.outOfMemory, file: file, "no \(byteCount) bytes of memory for \(purpose)")
    }
}
