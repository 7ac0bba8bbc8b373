//! A folder that belongs to one user alone, and the files in it, none of which is reached through a link.

import Glibc

/// An open file or folder, closed when its owner goes.
struct Descriptor: ~Copyable {
    let number: Int32

    /// Takes what a call has opened; nil where it has opened nothing.
    init?(_ number: Int32) {
        guard number >= 0 else { return nil }
        self.number = number
    }

    deinit { close(number) }
}

/// The result of a call that returns -1 for an error, called again as long as a signal interrupts it.
func retryingInterrupted(_ call: () -> Int32) -> Int32 {
    while true {
        let result = call()
        if result != -1 || errno != EINTR { return result }
    }
}

/// A folder that this user owns and nobody else may write to, with files that nobody else may read.
///
/// It is held open, so that its files are those of one folder whatever becomes of its name. Faults are no
/// errors here: what a call was for is then not done.
struct PrivateFolder: ~Copyable {
    private let descriptor: Descriptor

    /// Opens the folder at `path`, and makes it and those above it where they are missing, for this user
    /// alone. Nil where that fails, where a link stands in its place, or where others may write to it.
    init?(path: String) {
        Self.make(path)
        let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
        let number = retryingInterrupted { unsafe open(path, flags) }
        guard let descriptor = Descriptor(number) else { return nil }
        var status = stat()
        guard unsafe fstat(descriptor.number, &status) == 0, status.st_uid == geteuid(),
            status.st_mode & (S_IWGRP | S_IWOTH) == 0
        else { return nil }
        self.descriptor = descriptor
    }

    private static func make(_ path: String) {
        if unsafe mkdir(path, 0o700) == 0 || errno != ENOENT { return }
        guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return }
        make(String(path[..<slash]))
        unsafe mkdir(path, 0o700)
    }

    /// What came of opening a file.
    enum Opened: ~Copyable {
        case file(Descriptor, byteCount: Int)
        /// There is nothing.
        case nothing
        /// What is there cannot be read, or is no regular file.
        case unusable
        /// It is not the file's fault.
        case notNow
    }

    /// Opens a file for reading. A pipe's writer is not waited for.
    func openFile(_ name: String) -> Opened {
        let flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC
        let number = retryingInterrupted { unsafe openat(descriptor.number, name, flags) }
        guard let file = Descriptor(number) else {
            switch errno {
            case ENOENT: return .nothing
            case EMFILE, ENFILE, ENOMEM: return .notNow
            default: return .unusable
            }
        }
        var status = stat()
        guard unsafe fstat(file.number, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            return .unusable
        }
        return .file(file, byteCount: Int(status.st_size))
    }

    /// Makes a file that was not there, for this user alone; nil where that fails. As long as it is open, no
    /// other process takes it for one that was left over.
    func create(_ name: String) -> Descriptor? {
        let flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC
        let number = retryingInterrupted { unsafe openat(descriptor.number, name, flags, 0o600) }
        guard let file = Descriptor(number) else { return nil }
        // Where a file system knows no locks, nobody finds that a file is left over.
        _ = flock(file.number, LOCK_EX | LOCK_NB)
        return file
    }

    /// Whether a file is held by none of those who made one by `create`: its maker was stopped before the
    /// end.
    func isLeftOver(_ name: String) -> Bool {
        guard case .file(let file, _) = openFile(name) else { return false }
        return flock(file.number, LOCK_EX | LOCK_NB) == 0
    }

    /// Gives a file another name, in the place of what had it.
    func rename(_ name: String, to newName: String) -> Bool {
        unsafe renameat(descriptor.number, name, descriptor.number, newName) == 0
    }

    /// What came of giving a file a second name.
    enum Linked { case done, nameIsTaken, notPossible }

    /// Gives a file a second name, which nothing has yet.
    func link(_ name: String, to newName: String) -> Linked {
        if unsafe linkat(descriptor.number, name, descriptor.number, newName, 0) == 0 { return .done }
        return errno == EEXIST ? .nameIsTaken : .notPossible
    }

    /// Removes a file, or a link but not what it leads to.
    func remove(_ name: String) { unsafe unlinkat(descriptor.number, name, 0) }

    /// Notes that a file was used now, by the time of its last change: that of its last reading is not kept
    /// everywhere.
    func touch(_ name: String) {
        var times = Self.now
        unsafe utimensat(descriptor.number, name, &times, AT_SYMLINK_NOFOLLOW)
    }

    /// To the nanosecond: the system itself notes the time of its last tick.
    private static var now: [timespec] {
        var now = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &now)
        return [now, now]
    }

    /// A file, as a look into the folder shows it.
    struct Listed {
        let name: String
        let byteCount: Int
        /// When it was last used, in nanoseconds.
        let lastUse: Int
    }

    /// The files whose name `isOurs`; one at a time, so that a folder of any number is looked through.
    func forEach(where isOurs: (String) -> Bool, _ body: (Listed) -> Void) {
        let flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC
        let number = retryingInterrupted { unsafe openat(descriptor.number, ".", flags) }
        guard number >= 0 else { return }
        guard let stream = unsafe fdopendir(number) else {
            close(number)
            return
        }
        defer { unsafe closedir(stream) }
        while let entry = unsafe readdir(stream) {
            // The record ends with the name: most of the room that its type has for one is not there.
            let start = unsafe UnsafeRawPointer(entry) + MemoryLayout<dirent>.offset(of: \dirent.d_name)!
            let name = unsafe String(cString: start.assumingMemoryBound(to: CChar.self))
            guard isOurs(name) else { continue }
            var status = stat()
            guard unsafe fstatat(descriptor.number, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { continue }
            let time = status.st_mtim
            let (seconds, overflows) = Int(time.tv_sec).multipliedReportingOverflow(by: 1_000_000_000)
            body(
                Listed(
                    name: name, byteCount: Int(status.st_size),
                    lastUse: overflows ? 0 : seconds &+ time.tv_nsec))
        }
    }
}

extension Descriptor {
    /// Fills `buffer` from `offset` on; false where the file does not give that.
    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) -> Bool {
        var done = 0
        while done < buffer.count {
            let count = unsafe pread(
                number, buffer.baseAddress! + done, buffer.count - done, off_t(offset + done))
            if count > 0 { done += count } else if count == 0 || errno != EINTR { return false }
        }
        return true
    }

    /// The bytes of a range; nil where the file does not give them.
    func bytes(at offset: Int, count: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        let isRead = unsafe bytes.withUnsafeMutableBytes { unsafe read(at: offset, into: $0) }
        return isRead ? bytes : nil
    }

    /// Writes all of `bytes` at `offset`; false where the file does not take that.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Bool {
        var done = 0
        while done < bytes.count {
            let count = unsafe pwrite(
                number, bytes.baseAddress! + done, bytes.count - done, off_t(offset + done))
            if count > 0 { done += count } else if count == 0 || errno != EINTR { return false }
        }
        return true
    }

    func write(_ bytes: [UInt8], at offset: Int) -> Bool {
        unsafe bytes.withUnsafeBytes { unsafe write($0, at: offset) }
    }
}
