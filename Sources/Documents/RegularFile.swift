//! Reading a whole file that someone else named.

import Glibc

/// Reads regular files only: a device has no end and a pipe may never begin, and neither has a size to check
/// before memory is taken for it.
enum RegularFile {
    enum Fault: Error {
        /// It does not exist or may not be read; the system's error number, or 0 for a path that is none.
        case unreadable(Int32)
        /// It is a folder, a device, a pipe or the like.
        case notARegularFile
        /// It has more bytes than asked for.
        case tooLarge
        /// Memory for its bytes was refused.
        case outOfMemory
        /// The system cannot tell its size, or reading failed: the system's error number. Or the file changed
        /// under it: 0.
        case failed(Int32)

        /// Whether there is nothing of that name.
        var isMissing: Bool {
            if case .unreadable(let number) = self { number == ENOENT || number == ENOTDIR } else { false }
        }

        /// The system's error number; 0 where it is not at fault.
        var systemError: Int32 {
            switch self {
            case .unreadable(let number), .failed(let number): number
            case .notARegularFile, .tooLarge: 0
            case .outOfMemory: ENOMEM
            }
        }
    }

    /// All bytes of the file at `path`, symbolic links followed.
    static func contents(of path: String, atMost limit: Int) throws(Fault) -> [UInt8] {
        guard !path.isEmpty, !path.utf8.contains(0) else { throw .unreadable(0) }
        // Without O_NONBLOCK, opening a pipe waits for its writer. What is open is what is checked, so that
        // the name cannot come to mean another file in between.
        var descriptor: Int32
        repeat {
            descriptor = unsafe open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        } while descriptor < 0 && errno == EINTR
        guard descriptor >= 0 else { throw .unreadable(errno) }
        defer { close(descriptor) }
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else { throw .failed(errno) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw .notARegularFile }
        guard status.st_size <= limit else { throw .tooLarge }
        let size = Int(status.st_size)
        do { try HostBuffer.require(byteCount: size, for: path) } catch { throw .outOfMemory }
        var number: Int32 = 0
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            (count, number) = unsafe fill(buffer, from: descriptor)
        }
        guard bytes.count == size else { throw .failed(number) }
        return bytes
    }

    /// Reads until the buffer is full or the file ends. Returns the bytes read, and the system's error number
    /// where reading failed.
    private static func fill(
        _ buffer: UnsafeMutableBufferPointer<UInt8>, from descriptor: Int32
    ) -> (count: Int, systemError: Int32) {
        var filled = 0
        while filled < buffer.count {
            let rest = unsafe UnsafeMutableBufferPointer(rebasing: buffer[filled...])
            let count = unsafe read(descriptor, rest.baseAddress, rest.count)
            if count < 0 && errno == EINTR { continue }
            if count < 0 { return (filled, errno) }
            if count == 0 { break }
            filled += count
        }
        return (filled, 0)
    }
}
