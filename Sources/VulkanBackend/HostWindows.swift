//! The way of large things to the device: host memory that is copied while more is being written.

internal import VulkanCompute

/// Two windows in turn: one is copied to the device while the other is filled. They grow to the largest fill,
/// and go when nothing is on its way any more.
final class HostWindows {
    /// Host memory that is lent to be filled.
    final class Window {
        fileprivate(set) var buffer: DeviceBuffer
        /// What copies from it.
        fileprivate var submission: UInt64 = 0
        /// Whether it is being filled.
        fileprivate var isLent = false

        fileprivate init(_ buffer: DeviceBuffer) { self.buffer = buffer }
    }

    static let count = 2
    private var windows: [Window] = []
    private var next = 0

    /// A window of at least `byteCount` bytes that nothing reads any more, to be filled, copied by
    /// `copy(from:)` and given back. While one is being filled another may be taken.
    func take(
        _ byteCount: Int, on device: VulkanDevice, _ stream: CommandStream
    ) throws(VulkanError) -> Window {
        let free = windows.indices.map { (next + 1 + $0) % windows.count }.first { !windows[$0].isLent }
        let window: Window
        if let free, windows.count >= Self.count {
            (next, window) = (free, windows[free])
            try stream.wait(for: window.submission)
            if window.buffer.byteCount < byteCount {
                window.buffer = try DeviceBuffer(device, byteCount: byteCount, kind: .host)
            }
        } else {
            // Fills inside fills inside fills take more windows than there are otherwise.
            window = Window(try DeviceBuffer(device, byteCount: byteCount, kind: .host))
            next = windows.count
            windows.append(window)
        }
        window.isLent = true
        return window
    }

    /// Copies the first bytes of `window` to `range` of `target`, in their turn.
    func copy(
        from window: Window, to target: DeviceBuffer, _ range: Range<Int>, _ stream: CommandStream
    ) throws(VulkanError) {
        stream.copy(from: window.buffer, at: 0, to: target, at: range.lowerBound, byteCount: range.count)
        window.submission = try stream.submit()
    }

    /// Takes back what was lent, filled or not.
    func giveBack(_ window: Window) { window.isLent = false }

    /// Gives the memory back. The stream must have been waited for.
    func release() { windows = [] }
}
