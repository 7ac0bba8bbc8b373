//! Holds copies by all threads against the bytes that they are of.

import CPUBackend
import TestSupport
import Tensors
import Testing

/// Nothing, less than a thread's slice, whole slices, and a few bytes beyond.
@Test(arguments: [0, 1, 4095, 256 << 10, (256 << 10) + 1, (3 << 20) + 13])
func bytesAreCopiedByAllThreads(byteCount: Int) throws {
    var generator = SeededGenerator(seed: UInt64(byteCount))
    let bytes = (0..<byteCount + 100).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
    for threadCount in [1, 2, 5] {
        let backend = CPUBackend(threadCount: threadCount)
        let memory = try backend.makeMemory(byteCount: bytes.count, label: "test")
        unsafe backend.fill(memory, 0..<bytes.count) { unsafe $0.copyBytes(from: bytes) }
        for offset in [0, 1, 64, 100] {
            let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount + 2, alignment: 1)
            defer { unsafe copy.deallocate() }
            unsafe copy.initializeMemory(as: UInt8.self, repeating: 7)
            try unsafe backend.read(
                memory, offset..<offset + byteCount,
                into: UnsafeMutableRawBufferPointer(rebasing: copy[1..<1 + byteCount]))
            let isSame = unsafe copy.elementsEqual([7] + bytes[offset..<offset + byteCount] + [7])
            #expect(isSame, "\(threadCount) threads, from \(offset)")
        }
    }
}
