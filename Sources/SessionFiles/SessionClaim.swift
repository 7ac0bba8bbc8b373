//! The right to write a session's file: one at a time has it, and the file comes to be whole or not at all.

import Glibc
internal import ModelFile

/// The file beside a session's in which it is written before it takes the session's name.
///
/// It is locked as long as this lives, and by the system: of a process that was stopped, nothing stays
/// locked. What that has left half-written, the next one writes over. Where `commit` does not come, the
/// session is as it was.
public struct SessionClaim: ~Copyable {
    /// Ends the name of the file that is written.
    static let suffix = ".partial"
    /// Tries to get the lock, a millisecond apart: who only looks whether a file was left over keeps it for
    /// less than one.
    private static let patience = 50

    /// The session's file.
    public let path: String
    private let partialPath: String
    private let descriptor: Int32
    private var isCommitted = false

    /// Throws `inUse` where somebody else has the right, `cannotCreate` where no file can be made there.
    /// Where `isPatient` is false, one who has it for a moment only is not waited for.
    package init(path: String, isPatient: Bool = true) throws(SessionFileError) {
        var status = stat()
        // A rename would put a file in the place of a device or a link.
        if unsafe lstat(path, &status) == 0, status.st_mode & S_IFMT != S_IFREG {
            throw SessionFileError(.cannotCreate, file: path, "there is something that is no regular file")
        }
        let partialPath = path + Self.suffix
        descriptor = try Self.openLocked(partialPath, for: path, tries: isPatient ? Self.patience : 1)
        self.path = path
        self.partialPath = partialPath
    }

    deinit {
        // While it is locked, so that nobody's else goes.
        if !isCommitted { unsafe unlink(partialPath) }
        close(descriptor)
    }

    private static func openLocked(
        _ partialPath: String, for path: String, tries: Int
    ) throws(SessionFileError) -> Int32 {
        for _ in 0..<tries {
            let flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK
            let descriptor = retrying { unsafe open(partialPath, flags, 0o600) }
            guard descriptor >= 0 else {
                throw SessionFileError(
                    .cannotCreate, file: path, systemError: errno,
                    "a file beside it cannot be created: \(systemMessage(errno))")
            }
            switch lock(descriptor, partialPath) {
            case .done:
                if ftruncate(descriptor, 0) == 0 { return descriptor }
                let error = fault("begin", path)
                unsafe unlink(partialPath)
                close(descriptor)
                throw error
            case .otherFile: close(descriptor)
            case .refused(EWOULDBLOCK):
                close(descriptor)
                if tries > 1 { usleep(1000) }
            case .refused(let code):
                close(descriptor)
                throw SessionFileError(
                    .system, file: path, systemError: code, "it cannot be locked: \(systemMessage(code))")
            case .foreign:
                close(descriptor)
                throw SessionFileError(
                    .cannotCreate, file: path,
                    "\(partialPath) is in the way: it is no file of this user's alone")
            }
        }
        throw SessionFileError(.inUse, file: path, "another process uses this session")
    }

    private enum Locked {
        case done
        /// What is locked has not that name any more: another one gave it its own, or removed it.
        case otherFile
        case refused(Int32)
        case foreign
    }

    private static func lock(_ descriptor: Int32, _ partialPath: String) -> Locked {
        guard retrying({ flock(descriptor, LOCK_EX | LOCK_NB) }) == 0 else { return .refused(errno) }
        var (opened, named) = (stat(), stat())
        guard unsafe fstat(descriptor, &opened) == 0 else { return .refused(errno) }
        guard unsafe lstat(partialPath, &named) == 0, named.st_ino == opened.st_ino,
            named.st_dev == opened.st_dev
        else { return .otherFile }
        let isOwn =
            opened.st_mode & S_IFMT == S_IFREG && opened.st_uid == geteuid() && opened.st_nlink == 1
            && opened.st_mode & 0o077 == 0
        return isOwn ? .done : .foreign
    }

    /// Writes all of `bytes` at `offset`.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(SessionFileError) {
        var done = 0
        while done < bytes.count {
            let count = unsafe pwrite(
                descriptor, bytes.baseAddress! + done, bytes.count - done, off_t(offset + done))
            if count > 0 {
                done += count
            } else if count == 0 || errno != EINTR {
                throw Self.fault("write", path, count == 0 ? ENOSPC : errno)
            }
        }
    }

    /// Writes all of `bytes` at `offset`.
    func write(_ bytes: [UInt8], at offset: Int) throws(SessionFileError) {
        var failure: SessionFileError?
        unsafe bytes.withUnsafeBytes { buffer in
            do throws(SessionFileError) { unsafe try write(buffer, at: offset) } catch { failure = error }
        }
        if let failure { throw failure }
    }

    /// Makes the bytes durable, and puts the file in the session's place.
    consuming func commit() throws(SessionFileError) {
        guard retrying({ fsync(descriptor) }) == 0 else { throw Self.fault("flush", path) }
        guard unsafe rename(partialPath, path) == 0 else { throw Self.fault("rename to", path) }
        isCommitted = true
        // The name is durable when its folder is.
        let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
        let folderDescriptor = retrying { unsafe open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        guard folderDescriptor >= 0 else { throw Self.fault("open the folder of", path) }
        defer { close(folderDescriptor) }
        guard retrying({ fsync(folderDescriptor) }) == 0 else {
            throw Self.fault("flush the folder of", path)
        }
    }

    /// Removes the session. False where there is none.
    consuming func removeSession() throws(SessionFileError) -> Bool {
        if unsafe unlink(path) == 0 { return true }
        guard errno == ENOENT else { throw Self.fault("remove", path) }
        return false
    }

    private static func fault(
        _ operation: String, _ path: String, _ code: Int32 = errno
    ) -> SessionFileError {
        let isSpace = [ENOSPC, EDQUOT, EFBIG].contains(code)
        return SessionFileError(
            isSpace ? .outOfSpace : .system, file: path, systemError: code,
            "cannot \(operation) the file: \(systemMessage(code))")
    }
}
