//! Memory whose size a document decides.

import Glibc

/// Page-aligned memory with one owner: refused with an error, where an array's would end the process.
@safe struct HostBuffer: ~Copyable {
    /// Valid as long as the buffer lives.
    let bytes: UnsafeMutableRawBufferPointer

    /// Takes `byteCount` bytes for `purpose`. Throws `outOfMemory`.
    init(byteCount: Int, for purpose: String) throws(DocumentError) {
        let pointer = unsafe mmap(
            nil, max(byteCount, 1), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let base = unsafe pointer, unsafe base != MAP_FAILED else {
            throw DocumentError(.outOfMemory, "no \(byteCount) bytes of memory for \(purpose)")
        }
        unsafe bytes = UnsafeMutableRawBufferPointer(start: base, count: byteCount)
    }

    deinit { unsafe munmap(bytes.baseAddress, max(bytes.count, 1)) }

    /// Asks for memory and gives it back: whoever is about to make a large array, which cannot be refused,
    /// asks first.
    static func require(byteCount: Int, for purpose: String) throws(DocumentError) {
        _ = try HostBuffer(byteCount: byteCount, for: purpose)
    }
}
