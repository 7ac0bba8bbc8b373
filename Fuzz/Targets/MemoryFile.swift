//! A file that lies in memory: for parsers that take a path.

import CLibFuzzer
import Glibc

/// A regular file without a name on any disk, opened by others through `path`.
struct MemoryFile {
    private let descriptor: Int32

    init() throws {
        descriptor = unsafe memfd_create("fuzz", 0)
        guard descriptor >= 0 else { throw Unavailable() }
    }

    struct Unavailable: Error {}

    var path: String { "/proc/self/fd/\(descriptor)" }

    /// Makes the file hold exactly `bytes`, followed by zeros up to `size`.
    func replace(_ bytes: [UInt8], size: Int? = nil) {
        let written = unsafe pwrite(descriptor, bytes, bytes.count, 0)
        expect(written == bytes.count, "the memory file cannot be written")
        // Cutting to the bytes first makes what follows zeros.
        expect(ftruncate(descriptor, off_t(bytes.count)) == 0, "the memory file cannot be cut")
        guard let size, size > bytes.count else { return }
        expect(ftruncate(descriptor, off_t(size)) == 0, "the memory file cannot be extended")
    }
}
