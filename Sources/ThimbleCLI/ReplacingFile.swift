//! A file that appears whole or not at all: written beside its target and renamed over it.

import Glibc
import Thimble

/// A new file under a temporary name, which goes away unless it is committed.
struct ReplacingFile: ~Copyable {
    let path: String
    private let temporaryPath: String
    private let descriptor: Int32
    private var isCommitted = false

    /// Creates the temporary file in the target's folder. A target that is a folder, a device or a pipe is refused:
    /// a rename would put a file in its place.
    init(path: String) throws(Failure) {
        var status = stat()
        if unsafe stat(path, &status) == 0, status.st_mode & S_IFMT != S_IFREG {
            throw Failure(.cannotCreate, "\(path): this is not a regular file, so it cannot be replaced")
        }
        let temporaryPath = "\(path).\(getpid()).partial"
        let descriptor = unsafe open(temporaryPath, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else {
            throw Failure(.cannotCreate, "\(path): cannot be created: \(systemMessage(errno))")
        }
        self.path = path
        self.temporaryPath = temporaryPath
        self.descriptor = descriptor
    }

    deinit {
        close(descriptor)
        if !isCommitted { unsafe unlink(temporaryPath) }
    }

    /// Writes all of `bytes` at `offset`.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(Failure) {
        var done = 0
        while done < bytes.count {
            let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[done...])
            let count = unsafe pwrite(descriptor, rest.baseAddress, rest.count, off_t(offset + done))
            if count > 0 {
                done += count
            } else if count == 0 || errno != EINTR {
                throw fault(count == 0 ? ENOSPC : errno)
            }
        }
    }

    /// Writes all of `bytes` at `offset`.
    func write(_ bytes: [UInt8], at offset: Int) throws(Failure) {
        var failure: Failure?
        unsafe bytes.withUnsafeBytes {
            do throws(Failure) { unsafe try write($0, at: offset) } catch { failure = error }
        }
        if let failure { throw failure }
    }

    /// Makes the bytes durable, and gives the file its name.
    consuming func commit() throws(Failure) {
        guard fsync(descriptor) == 0 else { throw fault(errno) }
        guard unsafe rename(temporaryPath, path) == 0 else { throw fault(errno) }
        isCommitted = true
    }

    private func fault(_ code: Int32) -> Failure {
        let isFull = [ENOSPC, EDQUOT, EFBIG].contains(code)
        let mend = isFull ? "; free some space or write elsewhere" : ""
        return Failure(.inputOutput, "\(path): cannot be written: \(systemMessage(code))\(mend)")
    }
}
