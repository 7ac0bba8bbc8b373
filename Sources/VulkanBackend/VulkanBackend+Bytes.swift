//! Bytes of the device's memory on their way to the host.

public import Tensors
internal import VulkanCompute

extension VulkanBackend {
    public func read(
        _ memory: any BackendMemory, _ runs: [Range<Int>], _ body: (UnsafeRawBufferPointer) -> Void
    ) throws(BackendError) {
        let source = deviceBuffer(memory)
        // Many small runs are waited for once.
        var taken = 0
        for run in runs {
            precondition(run.lowerBound >= 0 && run.upperBound <= memory.byteCount)
            var start = run.lowerBound
            while start < run.upperBound {
                if taken == readback.byteCount {
                    try unsafe lend(taken, body)
                    taken = 0
                }
                let count = min(run.upperBound - start, readback.byteCount - taken)
                stream.copy(from: source, at: start, to: readback, at: taken, byteCount: count)
                taken += count
                start += count
            }
        }
        try unsafe lend(taken, body)
    }

    /// Waits for the copies to the readback memory, and lends its first bytes.
    private func lend(
        _ byteCount: Int, _ body: (UnsafeRawBufferPointer) -> Void
    ) throws(BackendError) {
        stream.publishToHost()
        do { try wait() } catch { throw BackendError(error, doing: "while computing") }
        guard let mapped = unsafe readback.mapped else { preconditionFailure("the host sees host memory") }
        if byteCount > 0 { unsafe body(UnsafeRawBufferPointer(rebasing: mapped[..<byteCount])) }
    }
}
