//! How much may be written to a folder in a day: flash memory wears.

internal import Glibc
internal import ModelFile

/// Allows bytes to be written, as long as those of the last 24 hours stay within a limit. All processes that
/// write to the folder share the count, which is kept in a file there.
///
/// Bytes are entered in the file ahead and many at a time, so that the file is seldom written to; a process
/// that dies has then written less than is said, never more.
final class WriteGovernor {
    static let fileName = "written-in-a-day"

    let limit: Int
    private let path: String
    private let descriptor: Int32
    /// Hours since 1970.
    private let clock: () -> Int
    /// Bytes that are entered in the file, and not yet written.
    private var entered = 0
    /// The hour in which they were entered.
    private var enteredHour = 0

    /// Tries to get the lock, a millisecond apart: who has it keeps it for less than one.
    private static let lockTries = 500

    /// Opens the count of the folder, or begins one. Throws `cannotCreate`.
    init(
        folder: String, limit: Int, clock: @escaping () -> Int = { Int(time(nil)) / 3600 }
    ) throws(SpillFault) {
        path = "\(folder)/\(Self.fileName)"
        let path = self.path
        self.limit = limit
        self.clock = clock
        descriptor = retrying {
            unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0o600)
        }
        guard descriptor >= 0 else {
            throw .cannotCreate("\(path) cannot be opened: \(systemMessage(errno))")
        }
    }

    deinit {
        if entered > 0 {
            // What was not written is given back; where that fails, the count says more than was written.
            let (entered, hour) = (self.entered, enteredHour)
            try? change { count in count.giveBack(entered, enteredIn: hour) }
        }
        close(descriptor)
    }

    /// Allows `byteCount` bytes to be written now. Throws `writtenADay` where the limit does not, and
    /// `system` where the count cannot be kept.
    func allow(_ byteCount: Int) throws(SpillFault) {
        if byteCount > entered {
            let (limit, missing) = (self.limit, byteCount - entered)
            var isAllowed = false
            var (more, hour) = (0, 0)
            try change { count in
                let left = limit - count.sum
                isAllowed = missing <= left
                more = min(max(missing, limit / 64), left)
                if isAllowed { count.enter(more) }
                hour = count.hour
            }
            guard isAllowed else { throw .writtenADay(limit: limit) }
            // What is left of it will be of what was entered last.
            entered += more
            enteredHour = hour
        }
        entered -= byteCount
    }

    /// Changes the count while no other process does.
    private func change(_ body: (inout WriteCount) -> Void) throws(SpillFault) {
        try lock()
        defer { flock(descriptor, LOCK_UN) }
        var count = try read()
        count.move(to: clock())
        let before = count
        body(&count)
        if count != before { try write(count) }
    }

    private func lock() throws(SpillFault) {
        for _ in 0..<Self.lockTries {
            if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return }
            guard errno == EWOULDBLOCK || errno == EINTR else { break }
            usleep(1000)
        }
        throw .system("\(path) is locked: \(systemMessage(errno))")
    }

    /// The newer of the two records in the file. An empty file has none: nothing was written. Where there are
    /// only damaged ones, nobody knows what was written, so that all may have been.
    private func read() throws(SpillFault) -> WriteCount {
        var bytes = [UInt8](repeating: 0, count: 2 * WriteCount.distance)
        var done = 0
        while done < bytes.count {
            let count = unsafe bytes.withUnsafeMutableBytes {
                unsafe pread(descriptor, $0.baseAddress! + done, $0.count - done, off_t(done))
            }
            if count == 0 { break }
            if count > 0 {
                done += count
            } else if errno != EINTR {
                throw .system("\(path) cannot be read: \(systemMessage(errno))")
            }
        }
        if done == 0 { return WriteCount(hour: clock()) }
        let records = [0, WriteCount.distance].compactMap {
            WriteCount(bytes[$0..<$0 + WriteCount.byteCount])
        }
        guard let newest = records.max(by: { $0.sequence < $1.sequence }) else {
            var full = WriteCount(hour: clock())
            full.enter(limit)
            return full
        }
        return newest
    }

    /// Writes over the older record, so that the newer one is there whatever becomes of this.
    private func write(_ count: WriteCount) throws(SpillFault) {
        var count = count
        count.sequence &+= 1
        let bytes = count.encoded
        let start = count.sequence % 2 == 0 ? 0 : WriteCount.distance
        var done = 0
        while done < bytes.count {
            let moved = unsafe bytes.withUnsafeBytes {
                unsafe pwrite(descriptor, $0.baseAddress! + done, $0.count - done, off_t(start + done))
            }
            if moved > 0 {
                done += moved
            } else if moved == 0 || errno != EINTR {
                throw .system("\(path) cannot be written: \(systemMessage(moved == 0 ? ENOSPC : errno))")
            }
        }
    }
}
