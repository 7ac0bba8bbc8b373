//! A file open for reading at any offset, from any thread.

import Glibc

/// What can go wrong while reading a file; the caller says what the file was for.
package enum InputFault: Error, Equatable {
    case system(operation: String, code: Int32)
    case notARegularFile
    /// The file ends at `size` bytes, before what was asked for.
    case ended(size: Int)
    /// Memory for the bytes asked for was refused.
    case outOfMemory(byteCount: Int)

    /// The system's number for it; 0 where the system is not at fault.
    package var systemError: Int32 { if case .system(_, let code) = self { code } else { 0 } }

    package var detail: String {
        switch self {
        case .system(let operation, let code): "\(operation) failed: \(systemMessage(code))"
        case .notARegularFile: "not a regular file"
        case .ended(let size): "the file ends early, at \(size) bytes"
        case .outOfMemory(let byteCount): "no \(byteCount) bytes of memory to read it into"
        }
    }
}

/// The operating system's words for an error number.
package func systemMessage(_ code: Int32) -> String {
    unsafe String(cString: strerror(code))
}

/// The result of a call that returns -1 for an error, called again as long as a signal interrupts it.
func retryingInterrupted(_ call: () -> Int32) -> Int32 {
    while true {
        let result = call()
        if result != -1 || errno != EINTR { return result }
    }
}

/// A regular file open for reading. Reads go through `pread`, never through a mapping, because a mapped file
/// that shrinks kills the process.
package final class InputFile: Sendable {
    package let path: String
    /// Bytes in the file when it was opened.
    package let byteCount: Int
    let descriptor: Int32
    private let identity: Identity

    /// What changes when somebody writes to the file.
    private struct Identity: Equatable {
        var inode: UInt
        var size: Int
        var seconds: Int
        var nanoseconds: Int

        init(descriptor: Int32) throws(InputFault) {
            var status = stat()
            guard unsafe fstat(descriptor, &status) == 0 else {
                throw .system(operation: "asking for the file's size", code: errno)
            }
            guard status.st_mode & S_IFMT == S_IFREG else { throw .notARegularFile }
            inode = UInt(status.st_ino)
            size = Int(status.st_size)
            seconds = status.st_mtim.tv_sec
            nanoseconds = status.st_mtim.tv_nsec
        }
    }

    package init(path: String) throws(InputFault) {
        // O_NONBLOCK: opening a pipe must not wait for its writer.
        let descriptor = retryingInterrupted { unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) }
        guard descriptor >= 0 else { throw .system(operation: "open", code: errno) }
        let identity: Identity
        do throws(InputFault) { identity = try Identity(descriptor: descriptor) } catch {
            close(descriptor)
            throw error
        }
        self.path = path
        self.byteCount = identity.size
        self.descriptor = descriptor
        self.identity = identity
    }

    deinit { close(descriptor) }

    /// Fills `buffer` from `offset` on. Fewer bytes in the file than that is an error.
    package func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(InputFault) {
        var done = 0
        while done < buffer.count {
            let count = unsafe pread(
                descriptor, buffer.baseAddress! + done, buffer.count - done, off_t(offset + done))
            if count > 0 {
                done += count
            } else if count == 0 {
                throw .ended(size: offset + done)
            } else if errno != EINTR {
                throw .system(operation: "read", code: errno)
            }
        }
    }

    /// Asks the system to begin reading these bytes into its memory; whoever reads them soon waits less.
    package func prefetch(_ range: Range<Int>) {
        _ = posix_fadvise(descriptor, off_t(range.lowerBound), off_t(range.count), POSIX_FADV_WILLNEED)
    }

    /// The bytes of a range that the caller has checked against `byteCount`.
    package func bytes(at offset: Int, count: Int) throws(InputFault) -> [UInt8] {
        guard HostBuffer.isAvailable(byteCount: count) else { throw .outOfMemory(byteCount: count) }
        var bytes = [UInt8](repeating: 0, count: count)
        var fault: InputFault?
        unsafe bytes.withUnsafeMutableBytes { buffer in
            do throws(InputFault) { unsafe try read(at: offset, into: buffer) } catch { fault = error }
        }
        if let fault { throw fault }
        return bytes
    }

    /// Whether somebody has written to the file since it was opened.
    package func hasChanged() throws(InputFault) -> Bool {
        try Identity(descriptor: descriptor) != identity
    }
}
