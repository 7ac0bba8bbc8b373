//! A file of pages that memory has no room for: it has no name, and so is gone however the process ends.

internal import CXXHash
internal import Glibc
internal import ModelFile

/// Pages of one size on disk, each in a slot, with a checksum that is kept in memory.
///
/// What is written is not flushed: nobody reads it after this process.
public final class SpillFile {
    /// Bytes of a page.
    public let pageByteCount: Int
    /// The most pages that lie in the file at a time.
    public let slotCount: Int
    private let settings: SpillSettings
    private let slotByteCount: Int
    private let descriptor: Int32
    private let governor: WriteGovernor?
    /// XXH3-64 of the page in each slot that was ever written to.
    private var checksums: [UInt64] = []

    /// Slots begin at whole blocks of the disk.
    private static let alignment = 4096
    /// More slots have no number.
    private static let mostSlots = Int(Int32.max)

    /// A new file in the folder of `settings`. Throws `cannotCreate`.
    ///
    /// Precondition: `pageByteCount` is positive, limits are not negative.
    public init(_ settings: SpillSettings, pageByteCount: Int) throws(SpillFault) {
        precondition(pageByteCount > 0 && settings.byteLimit ?? 0 >= 0 && settings.writtenADay ?? 0 >= 0)
        self.settings = settings
        self.pageByteCount = pageByteCount
        slotByteCount = (pageByteCount + Self.alignment - 1) / Self.alignment * Self.alignment
        slotCount = min(Self.mostSlots, (settings.byteLimit ?? .max) / slotByteCount)
        let folder = SpillFolder(settings.folder)
        try folder.make()
        governor = try settings.writtenADay.map { (limit) throws(SpillFault) in
            try WriteGovernor(folder: settings.folder, limit: limit)
        }
        descriptor = try folder.openNameless()
    }

    deinit { close(descriptor) }

    /// Writes a page. Throws `writtenADay`, or `system` where the disk does not take it; what was in the slot
    /// is then of no meaning.
    ///
    /// Precondition: `slot` is below `slotCount`, `bytes` are a page.
    public func write(_ bytes: UnsafeRawBufferPointer, to slot: Int) throws(SpillFault) {
        precondition(slot >= 0 && slot < slotCount && bytes.count == pageByteCount)
        try governor?.allow(bytes.count)
        var done = 0
        while done < bytes.count {
            let count = unsafe pwrite(
                descriptor, bytes.baseAddress! + done, bytes.count - done, off_t(slot * slotByteCount + done))
            if count > 0 {
                done += count
            } else if count == 0 || errno != EINTR {
                throw .system(
                    "writing to \(settings.folder) failed: \(systemMessage(count == 0 ? ENOSPC : errno))")
            }
        }
        while checksums.count <= slot { checksums.append(0) }
        checksums[slot] = unsafe thimble_xxh3_64(bytes.baseAddress, bytes.count)
    }

    /// Reads the page that was written to a slot. Throws `system`, and `damaged` where it is another one.
    public func read(_ slot: Int, into buffer: UnsafeMutableRawBufferPointer) throws(SpillFault) {
        precondition(slot >= 0 && slot < checksums.count && buffer.count == pageByteCount)
        var done = 0
        while done < buffer.count {
            let count = unsafe pread(
                descriptor, buffer.baseAddress! + done, buffer.count - done,
                off_t(slot * slotByteCount + done))
            if count > 0 {
                done += count
            } else if count == 0 {
                throw .damaged
            } else if errno != EINTR {
                throw .system("reading from \(settings.folder) failed: \(systemMessage(errno))")
            }
        }
        guard unsafe thimble_xxh3_64(buffer.baseAddress, buffer.count) == checksums[slot] else {
            throw .damaged
        }
    }

    /// Why there is no slot left.
    public var fullness: SpillFault { .size(limit: settings.byteLimit ?? slotCount * slotByteCount) }

    /// Gives the disk's room back. Precondition: no slot is in use.
    public func clear() { _ = ftruncate(descriptor, 0) }
}

/// The folder that pages go to.
struct SpillFolder {
    let path: String

    init(_ path: String) { self.path = path }

    /// Makes the folder and those above it where they are missing.
    func make() throws(SpillFault) {
        if Self.make(path) { return }
        throw .cannotCreate("\(path) cannot be made: \(systemMessage(errno))")
    }

    private static func make(_ path: String) -> Bool {
        if unsafe mkdir(path, 0o700) == 0 || errno == EEXIST { return true }
        guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex,
            make(String(path[..<slash]))
        else { return false }
        return unsafe mkdir(path, 0o700) == 0 || errno == EEXIST
    }

    /// A file that has no name, or none any more: it is gone when it is closed, also by a crash.
    func openNameless() throws(SpillFault) -> Int32 {
        let flags = O_RDWR | O_CLOEXEC
        // Of the flag's value in C, which is no constant that Swift sees.
        let nameless = 0o20_000_000 | O_DIRECTORY
        let file = retrying { unsafe open(path, flags | nameless, 0o600) }
        if file >= 0 { return file }
        // Not every file system has such files.
        guard [EOPNOTSUPP, EISDIR, EINVAL, ENOENT].contains(errno) else { throw fault() }
        let name = "\(path)/spill.\(getpid()).\(UInt64.random(in: 0 ... .max))"
        let named = retrying { unsafe open(name, flags | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600) }
        guard named >= 0 else { throw fault() }
        guard unsafe unlink(name) == 0 else {
            let error = fault()
            close(named)
            throw error
        }
        return named
    }

    private func fault() -> SpillFault {
        .cannotCreate("no file can be made in \(path): \(systemMessage(errno))")
    }
}

/// The result of a call that returns -1 for an error, called again as long as a signal interrupts it.
func retrying(_ call: () -> Int32) -> Int32 {
    while true {
        let result = call()
        if result != -1 || errno != EINTR { return result }
    }
}
