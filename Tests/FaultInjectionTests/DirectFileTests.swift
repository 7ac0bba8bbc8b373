//! Direct reads on a bad disk, and on a file system that takes none after all.

import CFaultInjection
import Foundation
import ModelFile
import TestSupport
import Testing
import Thimble

@Suite(.serialized, .enabled(if: fault_injection_is_linked(), "a sanitizer stands before the system calls"))
struct DirectFileTests {
    private let folder: TemporaryDirectory
    private let bytes: [UInt8] = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) }

    init() throws {
        folder = try TemporaryDirectory()
        try folder.write(bytes, to: "file")
    }

    /// Opens a file, and reads ranges of it directly.
    private var reading: Scenario {
        Scenario("read directly", in: folder.url) {
            do throws(InputFault) {
                let file = DirectFile(try InputFile(path: self.folder.path("file")))
                let ranges = [0..<4096, 5_000..<5_001, 4_000..<270_000, 299_000..<300_000]
                var sums: [Int] = []
                for range in ranges { sums.append(try self.sum(range, of: file)) }
                return "\(sums)"
            } catch { throw ThimbleError(.io, error.detail) }
        }
    }

    private func sum(_ range: Range<Int>, of file: DirectFile) throws(InputFault) -> Int {
        var memory: UnsafeMutableRawPointer?
        let count = DirectFile.bufferByteCount(for: range.count)
        precondition(unsafe posix_memalign(&memory, DirectFile.alignment, count) == 0)
        defer { unsafe free(memory) }
        let buffer = unsafe UnsafeMutableRawBufferPointer(start: memory, count: count)
        return unsafe try file.read(range, into: buffer).reduce(0) { $0 &* 31 &+ Int($1) }
    }

    @Test func readsAreSeen() throws {
        #expect(try sweep(reading, .error(FAULT_READ, EIO)).calls == 4)
        #expect(try sweep(reading, .error(FAULT_OPEN, EMFILE, .either)).calls == 2)
    }

    @Test(arguments: [
        Fault.error(FAULT_READ, EIO), .error(FAULT_READ, EINTR, .success), .nothing(FAULT_READ),
        // A read may move less than a block, from which no direct one goes on.
        .short(FAULT_READ), .error(FAULT_OPEN, EINTR, .success), .error(FAULT_STAT, EIO),
        // Without a second descriptor, reads are not direct.
        .error(FAULT_OPEN, EMFILE, .either), .error(FAULT_OPEN, EINVAL, .either),
        .error(FAULT_CLOSE, EIO, .success),
    ])
    func everyCallMayFail(fault: Fault) throws { try sweep(reading, fault) }

    /// A file system may open a file for direct reads and then refuse them, the first or a later one. Read
    /// through the cache, a file that cannot be read is an error.
    @Test func whatIsRefusedIsReadThroughTheCache() throws {
        let result = try sweep(reading, .error(FAULT_READ, EINVAL, .either))
        let file = DirectFile(try InputFile(path: folder.path("file")))
        _ = try sum(0..<1, of: file)
        #expect(result.successes == (file.isDirect ? 4 : 0))
        #expect(result.errors[.io] == (file.isDirect ? 4 : 8))
    }
}
