//! Bytes that go from the host's memory to the host's memory, by all threads: one alone copies a fraction of
//! what memory takes.

public import Tensors

extension CPUBackend {
    public func read(
        _ memory: any BackendMemory, _ bytes: Range<Int>, into target: UnsafeMutableRawBufferPointer
    ) throws(BackendError) {
        precondition(bytes.lowerBound >= 0 && bytes.upperBound <= memory.byteCount)
        precondition(target.count == bytes.count)
        guard let base = target.baseAddress else { return }
        let loop = unsafe CopyLoop(
            source: UnsafeRawPointer(hostBase(memory)) + bytes.lowerBound, target: base,
            byteCount: bytes.count)
        pool.run(
            loop, count: loop.count, cost: LoopCost(.copying, units: min(CopyLoop.slice, max(bytes.count, 1)))
        )
    }
}

/// A copy, slice by slice.
@safe private struct CopyLoop: ParallelLoop {
    let source: UnsafeRawPointer
    let target: UnsafeMutableRawPointer
    let byteCount: Int

    /// Bytes of an iteration: so many that threads write pages of their own, and so few that all have some.
    static let slice = 256 << 10

    var count: Int { (byteCount + Self.slice - 1) / Self.slice }

    func run(_ indices: Range<Int>, worker: Int) {
        let start = indices.lowerBound * Self.slice
        let end = min(indices.upperBound * Self.slice, byteCount)
        unsafe (target + start).copyMemory(from: source + start, byteCount: end - start)
    }
}
