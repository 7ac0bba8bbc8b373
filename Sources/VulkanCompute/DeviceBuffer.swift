//! A buffer: memory of a device, or of the host where the device can reach it.

internal import CVulkan

/// One allocation, addressed by number. It may go while commands that were asked for use it: its memory is
/// kept until they are done.
@safe public final class DeviceBuffer {
    public enum Kind: Sendable {
        /// Fast for the device.
        case device
        /// Fast for the host, in reach of the device.
        case host
    }

    public let device: VulkanDevice
    let buffer: thimble_vulkan_buffer
    public let byteCount: Int
    /// Where shaders find byte 0.
    public let address: UInt64
    /// Where the host finds it; nil where it cannot.
    public let mapped: UnsafeMutableRawBufferPointer?

    /// A buffer of at least 4 bytes whose content is not defined. Throws `outOfMemory`, among others.
    ///
    /// Precondition: `byteCount` is not negative.
    public init(_ device: VulkanDevice, byteCount: Int, kind: Kind = .device) throws(VulkanError) {
        precondition(byteCount >= 0)
        self.device = device
        self.byteCount = byteCount
        // Whole words, for fills count in them.
        let size = max(byteCount + 3, 4) / 4 * 4
        guard size <= device.physical.details.maximum_allocation else {
            throw VulkanError(.outOfMemory, "allocating \(byteCount) bytes: the device takes fewer at once")
        }
        let memory = device.memoryType(for: kind)
        var buffer = unsafe thimble_vulkan_buffer()
        try device.check(
            unsafe thimble_vulkan_create_buffer(
                device.functions, device.handle, UInt64(size), memory.type, memory.isMapped, &buffer),
            "allocating \(byteCount) bytes")
        unsafe self.buffer = buffer
        address = unsafe buffer.address
        unsafe mapped = buffer.mapped.map {
            unsafe UnsafeMutableRawBufferPointer(start: $0, count: byteCount)
        }
    }

    deinit { unsafe device.retire(.buffer(buffer)) }
}
