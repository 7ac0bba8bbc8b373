//! What the kernel says of the machine and its processes, in files whose size nobody tells.

import Glibc

/// Reads the kernel's texts: those of /proc and /sys.
package enum SystemText {
    /// More than any of them has, in bytes.
    private static let mostBytes = 16 << 20
    /// What is read at once, in bytes: most texts are shorter.
    private static let pieceByteCount = 4096

    /// The whole text; nil where it cannot be read or is not UTF-8.
    package static func contents(of path: String) -> String? {
        // Opening a pipe must not wait for its writer.
        let file = unsafe open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes: [UInt8] = []
        while bytes.count < mostBytes {
            let start = bytes.count
            bytes += [UInt8](repeating: 0, count: pieceByteCount)
            let count = unsafe bytes.withUnsafeMutableBytes { buffer in
                unsafe read(file, buffer.baseAddress! + start, pieceByteCount)
            }
            bytes.removeLast(pieceByteCount - max(0, count))
            if count == 0 { return String(validating: bytes, as: UTF8.self) }
            if count < 0 && errno != EINTR { return nil }
        }
        return nil
    }
}
