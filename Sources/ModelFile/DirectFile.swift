//! A file read past the system's cache of files: straight from the disk, where its file system allows that.

import Glibc
import Synchronization

/// Reads of a file that leave nothing of it in the system's memory, and find nothing of it there.
///
/// Where the file system refuses direct reads, the bytes go through the cache, which is told before and after
/// to forget them. Safe from several threads at once, each with a buffer of its own.
package final class DirectFile: Sendable {
    /// What a direct read's offset, length and memory are multiples of, in bytes: disks ask for 512 or 4096.
    /// One that asks for more refuses, and is read the other way.
    package static let alignment = 4096

    /// O_DIRECT, which the C library shows to GNU programs only. Linux has it in another bit on ARM.
    #if arch(arm64) || arch(arm)
        package static let openFlag: Int32 = 0o200000
    #else
        package static let openFlag: Int32 = 0o40000
    #endif

    /// Bytes of a buffer that any range of `count` bytes fits in, wherever it begins.
    package static func bufferByteCount(for count: Int) -> Int {
        ContainerFormat.aligned(count + alignment - 1, to: alignment)
    }

    /// The file, open in the ordinary way.
    package let input: InputFile
    /// The same file open for direct reads; below 0 where it cannot be.
    private let descriptor: Int32
    private let isRefused: Atomic<Bool>

    /// Whether reads go past the cache, as far as is known: the first that is refused is the last tried.
    package var isDirect: Bool { !isRefused.load(ordering: .relaxed) }

    /// Opens what `input` has open once more, even if it has lost its name. Where that fails, reads are not
    /// direct.
    package init(_ input: InputFile) {
        self.input = input
        let descriptor = retryingInterrupted {
            unsafe open("/proc/self/fd/\(input.descriptor)", O_RDONLY | O_CLOEXEC | Self.openFlag)
        }
        self.descriptor = descriptor
        isRefused = Atomic(descriptor < 0)
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// Reads `range` and what its first and last block hold beside it; returns the part of `buffer` that then
    /// holds the range. Fewer bytes in the file than that is an error.
    ///
    /// Precondition: the range is not empty; `buffer` is aligned and has `bufferByteCount(for: range.count)`
    /// bytes.
    package func read(
        _ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer
    ) throws(InputFault) -> UnsafeMutableRawBufferPointer {
        let start = range.lowerBound / Self.alignment * Self.alignment
        let whole = ContainerFormat.aligned(range.upperBound, to: Self.alignment) - start
        precondition(range.lowerBound >= 0 && !range.isEmpty && buffer.count >= whole)
        precondition(UInt(bitPattern: buffer.baseAddress) % UInt(Self.alignment) == 0)
        // The last block of a file need not be whole.
        let needed = range.upperBound - start
        var done = 0
        // What a short read leaves unaligned, a direct one cannot go on from.
        while isDirect, done < needed, done % Self.alignment == 0 {
            let count = unsafe pread(
                descriptor, buffer.baseAddress! + done, whole - done, off_t(start + done))
            if count > 0 {
                done += count
            } else if count == 0 {
                throw .ended(size: start + done)
            } else if errno == EINVAL {
                isRefused.store(true, ordering: .relaxed)
            } else if errno != EINTR {
                throw .system(operation: "read", code: errno)
            }
        }
        if done < needed {
            input.forget(start..<start + whole)
            defer { input.forget(start..<start + whole) }
            try unsafe input.read(
                at: start + done, into: UnsafeMutableRawBufferPointer(rebasing: buffer[done..<needed]))
        }
        return unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[range.lowerBound - start..<needed])
    }
}

extension InputFile {
    /// Asks the system to keep none of these bytes in its memory. It need not: some file systems have no
    /// other place for them.
    fileprivate func forget(_ range: Range<Int>) {
        _ = posix_fadvise(descriptor, off_t(range.lowerBound), off_t(range.count), POSIX_FADV_DONTNEED)
    }
}
