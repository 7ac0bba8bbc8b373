//! The way of large things to the device: host memory that is copied while more is being written.

internal import VulkanCompute

/// Two windows in turn: one is copied to the device while the other is filled. They grow to the largest fill,
/// and go when nothing is on its way any more.
final class HostWindows {
    private struct Window {
        var buffer: DeviceBuffer
        /// What copies from it.
        var submission: UInt64
    }

    static let count = 2
    private var windows: [Window] = []
    private var next = 0

    /// A window of at least `byteCount` bytes that nothing reads any more, to be filled and then copied by
    /// `copy(to:)`.
    func take(
        _ byteCount: Int, on device: VulkanDevice, _ stream: CommandStream
    ) throws(VulkanError) -> DeviceBuffer {
        guard windows.count == Self.count else {
            windows.append(
                Window(buffer: try DeviceBuffer(device, byteCount: byteCount, kind: .host), submission: 0))
            next = windows.count - 1
            return windows[next].buffer
        }
        next = (next + 1) % Self.count
        try stream.wait(for: windows[next].submission)
        if windows[next].buffer.byteCount < byteCount {
            windows[next].buffer = try DeviceBuffer(device, byteCount: byteCount, kind: .host)
        }
        return windows[next].buffer
    }

    /// Copies the first bytes of the window taken last to `range` of `target`, in their turn.
    func copy(to target: DeviceBuffer, _ range: Range<Int>, _ stream: CommandStream) throws(VulkanError) {
        stream.copy(
            from: windows[next].buffer, at: 0, to: target, at: range.lowerBound, byteCount: range.count)
        windows[next].submission = try stream.submit()
    }

    /// Gives the memory back. The stream must have been waited for.
    func release() { windows = [] }
}
