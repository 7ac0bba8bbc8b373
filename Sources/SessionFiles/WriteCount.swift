//! What was written in each of the last hours, as a record of a file.

internal import CXXHash
internal import ModelFile

/// Bytes written in an hour and the 24 before it: never less than those of the last 24 hours.
///
/// A record, all numbers little-endian:
///
///     0    8    "THIMWRT" and a control character that stops a terminal from printing the rest
///     8    8    how often the count has changed
///     16   8    the latest hour, counted from 1970
///     24   200  bytes written in that hour, in the one before, and so on
///     224  8    XXH3-64 of the 224 bytes before
struct WriteCount: Equatable {
    static let byteCount = 232
    /// From the first record of a file to the second one: in another block of the disk.
    static let distance = 4096
    private static let magic = Array("THIMWRT\u{1A}".utf8)
    private static let hours = 25

    var sequence: UInt64 = 0
    private(set) var hour: Int
    /// The latest first.
    private var written = [Int](repeating: 0, count: hours)

    /// Nothing was written.
    init(hour: Int) { self.hour = hour }

    /// Bytes written.
    var sum: Int {
        written.reduce(0) { sum, count in
            let (total, overflows) = sum.addingReportingOverflow(count)
            return overflows ? .max : total
        }
    }

    /// Makes `now` the latest hour. A clock that was set back counts on in the hour that was.
    mutating func move(to now: Int) {
        guard now > hour else { return }
        let passed = min(now - hour, Self.hours)
        written = [Int](repeating: 0, count: passed) + written.dropLast(passed)
        hour = now
    }

    mutating func enter(_ byteCount: Int) {
        let (total, overflows) = written[0].addingReportingOverflow(byteCount)
        written[0] = overflows ? .max : total
    }

    /// Takes back what was entered in an hour and not written.
    mutating func giveBack(_ byteCount: Int, enteredIn then: Int) {
        let index = hour - then
        guard written.indices.contains(index) else { return }
        written[index] -= min(byteCount, written[index])
    }

    var encoded: [UInt8] {
        var bytes = Self.magic
        for number in [sequence, UInt64(hour)] + written.map({ UInt64($0) }) {
            bytes.append(littleEndian: number)
        }
        bytes.append(littleEndian: checksum(bytes[...]))
        return bytes
    }

    /// Nil where `bytes` are no record.
    init?(_ bytes: ArraySlice<UInt8>) {
        let bytes = Array(bytes)
        guard bytes.count == Self.byteCount, bytes.starts(with: Self.magic),
            bytes.littleEndian(at: Self.byteCount - 8) == checksum(bytes.dropLast(8)),
            let hour = Int(exactly: bytes.littleEndian(at: 16) as UInt64)
        else { return nil }
        sequence = bytes.littleEndian(at: 8)
        self.hour = hour
        for index in 0..<Self.hours {
            guard let count = Int(exactly: bytes.littleEndian(at: 24 + 8 * index) as UInt64) else {
                return nil
            }
            written[index] = count
        }
    }
}

/// XXH3-64 of bytes.
func checksum(_ bytes: ArraySlice<UInt8>) -> UInt64 {
    unsafe bytes.withUnsafeBytes { unsafe thimble_xxh3_64($0.baseAddress, $0.count) }
}
