//! What comes to the device while it computes.

public import Tensors
internal import VulkanCompute

extension VulkanBackend {
    public func mark() -> BackendMark {
        do { return BackendMark(try stream.submit()) } catch {
            keep(error)
            return BackendMark(0)
        }
    }

    public func fillAside<E: Error>(
        _ memory: any BackendMemory, _ bytes: Range<Int>, after mark: BackendMark,
        _ body: (_ within: Range<Int>, UnsafeMutableRawBufferPointer) throws(E) -> Void
    ) throws(E) {
        precondition(bytes.lowerBound >= 0 && bytes.upperBound <= memory.byteCount)
        guard !bytes.isEmpty, let aside = openAside() else { return }
        try unsafe aside.fill(
            deviceBuffer(memory), at: bytes.lowerBound, byteCount: bytes.count, after: mark.position,
            fault: keep, body)
    }

    public func readAside(
        _ memory: any BackendMemory, _ runs: [Range<Int>], after mark: BackendMark,
        _ body: (UnsafeRawBufferPointer) -> Void
    ) throws(BackendError) {
        precondition(runs.allSatisfy { $0.lowerBound >= 0 && $0.upperBound <= memory.byteCount })
        guard let aside = openAside() else { return try synchronize() }
        // What was asked for goes on meanwhile.
        _ = self.mark()
        unsafe aside.read(deviceBuffer(memory), runs, after: mark.position, fault: keep, body)
        if hasFault || aside.stream.hasFault { try synchronize() }
    }

    public func reach(
        _ bytes: UnsafeRawBufferPointer, of owner: any BackendMemory
    ) -> (any BackendMemory)? {
        guard reachesHost, let buffer = unsafe try? DeviceBuffer(device, reaching: bytes, of: owner) else {
            return nil
        }
        return VulkanMemory(reaching: buffer)
    }

    public func copyAside(
        _ reached: any BackendMemory, to memory: any BackendMemory, after mark: BackendMark
    ) {
        precondition(reached.byteCount <= memory.byteCount)
        openAside()?.stream.copy(
            from: deviceBuffer(reached), at: 0, to: deviceBuffer(memory), at: 0,
            byteCount: reached.byteCount, after: mark.position)
    }

    public func joinAside() {
        guard let aside else { return }
        aside.stream.submit()
        stream.joinCopies()
        // What is computed next waits for it.
        profile?.add("layers on their way", in: stream)
    }
}
