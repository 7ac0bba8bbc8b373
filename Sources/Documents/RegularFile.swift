//! Reading a whole file that someone else named.

import Glibc

/// Reads regular files only: a device has no end and a pipe may never begin, and neither has a size to check
/// before memory is taken for it.
enum RegularFile {
    enum Fault: Error {
        /// It does not exist or may not be read.
        case unreadable
        /// It is a folder, a device, a pipe or the like.
        case notARegularFile
        /// It has more bytes than asked for.
        case tooLarge
        /// Memory for its bytes was refused.
        case outOfMemory
        /// The system cannot tell its size, reading failed, or the file changed under it.
        case failed
    }

    /// All bytes of the file at `path`, symbolic links followed.
    static func contents(of path: String, atMost limit: Int) throws(Fault) -> [UInt8] {
        guard !path.isEmpty, !path.utf8.contains(0) else { throw .unreadable }
        // Without O_NONBLOCK, opening a pipe waits for its writer. What is open is what is checked, so that
        // the name cannot come to mean another file in between.
        var descriptor: Int32
        repeat {
            descriptor = unsafe open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        } while descriptor < 0 && errno == EINTR
        guard descriptor >= 0 else { throw .unreadable }
        defer { close(descriptor) }
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else { throw .failed }
        guard status.st_mode & S_IFMT == S_IFREG else { throw .notARegularFile }
        guard status.st_size <= limit else { throw .tooLarge }
        let size = Int(status.st_size)
        do { try HostBuffer.require(byteCount: size, for: path) } catch { throw .outOfMemory }
        var filled = 0
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            filled = unsafe fill(buffer, from: descriptor)
            count = max(filled, 0)
        }
        guard filled == size else { throw .failed }
        return bytes
    }

    /// Reads until the buffer is full or the file ends. Returns the bytes read, or -1 where reading failed.
    private static func fill(_ buffer: UnsafeMutableBufferPointer<UInt8>, from descriptor: Int32) -> Int {
        var filled = 0
        while filled < buffer.count {
            let rest = unsafe UnsafeMutableBufferPointer(rebasing: buffer[filled...])
            let count = unsafe read(descriptor, rest.baseAddress, rest.count)
            if count < 0 && errno == EINTR { continue }
            if count < 0 { return -1 }
            if count == 0 { break }
            filled += count
        }
        return filled
    }
}
