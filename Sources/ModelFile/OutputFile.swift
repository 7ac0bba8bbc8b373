//! A file that comes to be whole or not at all: written beside its target and renamed over it.

import Glibc

/// A temporary file that is renamed to its target on commit, and removed otherwise.
@safe package struct OutputFile: ~Copyable {
    /// Writes bytes at an offset: `pwrite`, or what a test puts in its place.
    package typealias Write = (Int32, UnsafeRawBufferPointer, Int) -> Int

    package let path: String
    private let temporaryPath: String
    private let descriptor: Int32
    private let write: Write
    private var isCommitted = false

    /// Creates a new temporary file in the target's folder.
    package init(
        path: String,
        write: @escaping Write = { unsafe pwrite($0, $1.baseAddress, $1.count, off_t($2)) }
    ) throws(ModelFileError) {
        // A rename would put a file in the place of a device or a pipe.
        var status = stat()
        if unsafe stat(path, &status) == 0, status.st_mode & S_IFMT != S_IFREG {
            throw ModelFileError(.cannotCreate, file: path, "there is something that is not a regular file")
        }
        // The process and a random number make the name unlikely to be taken, O_EXCL makes sure.
        let temporaryPath = "\(path).\(getpid()).\(UInt32.random(in: 0 ... .max)).partial"
        let descriptor = retryingInterrupted {
            unsafe open(temporaryPath, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
        }
        guard descriptor >= 0 else {
            throw ModelFileError(
                .cannotCreate, file: path, systemError: errno,
                "a file beside it cannot be created: \(systemMessage(errno))")
        }
        self.path = path
        self.descriptor = descriptor
        self.temporaryPath = temporaryPath
        unsafe self.write = write
    }

    deinit {
        close(descriptor)
        if !isCommitted { unsafe unlink(temporaryPath) }
    }

    /// Writes all of `bytes` at `offset`.
    package func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(ModelFileError) {
        var done = 0
        while done < bytes.count {
            let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[done...])
            let count = unsafe write(descriptor, rest, offset + done)
            if count > 0 {
                done += count
            } else if count == 0 || errno != EINTR {
                throw Self.fault("write", path, at: offset + done, code: count == 0 ? ENOSPC : errno)
            }
        }
    }

    /// Ends the file at `byteCount` bytes; what was written behind them is gone.
    package func cut(at byteCount: Int) throws(ModelFileError) {
        guard ftruncate(descriptor, off_t(byteCount)) == 0 else {
            throw Self.fault("shorten", path, at: byteCount, code: errno)
        }
    }

    /// Makes the bytes durable, and gives the file its name.
    package consuming func commit() throws(ModelFileError) {
        guard retryingInterrupted({ fsync(descriptor) }) == 0 else {
            throw Self.fault("flush", path, code: errno)
        }
        guard unsafe rename(temporaryPath, path) == 0 else {
            throw Self.fault("rename to", path, code: errno)
        }
        isCommitted = true
        // The name is durable when its folder is.
        let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
        let folderDescriptor = retryingInterrupted {
            unsafe open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        }
        guard folderDescriptor >= 0 else { throw Self.fault("open the folder of", path, code: errno) }
        defer { close(folderDescriptor) }
        guard retryingInterrupted({ fsync(folderDescriptor) }) == 0 else {
            throw Self.fault("flush the folder of", path, code: errno)
        }
    }

    private static func fault(
        _ operation: String, _ path: String, at offset: Int? = nil, code: Int32
    ) -> ModelFileError {
        let isSpace = [ENOSPC, EDQUOT, EFBIG].contains(code)
        return ModelFileError(
            isSpace ? .outOfSpace : .system, file: path, offset: offset, systemError: code,
            "cannot \(operation) the file: \(systemMessage(code))")
    }
}
