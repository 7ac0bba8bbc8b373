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
    /// What keeps memory of the host's that the device reaches; nil where the memory is the buffer's.
    private let owner: AnyObject?
    /// Where shaders find byte 0; 0 where only copies do.
    public let address: UInt64
    /// Where the host finds it; nil where it cannot.
    public let mapped: UnsafeMutableRawBufferPointer?

    /// A buffer of at least 4 bytes whose content is not defined. Throws `outOfMemory`, among others.
    ///
    /// Precondition: `byteCount` is not negative.
    public init(_ device: VulkanDevice, byteCount: Int, kind: Kind = .device) throws(VulkanError) {
        precondition(byteCount >= 0)
        self.device = device
        owner = nil
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

    /// The host's own memory, for the device to copy from; `owner` keeps it where it is. Throws where the
    /// device cannot reach it, or the driver will not have it.
    ///
    /// Precondition: the bytes begin and end with pages of the host, the last of which may go on.
    public init(
        _ device: VulkanDevice, reaching bytes: UnsafeRawBufferPointer, of owner: AnyObject
    ) throws(VulkanError) {
        let alignment = Int(clamping: device.physical.details.host_memory_alignment)
        guard alignment > 0, alignment <= Self.hostPage, let start = bytes.baseAddress,
            UInt(bitPattern: start) % UInt(alignment) == 0, unsafe !bytes.isEmpty
        else { throw VulkanError(.unavailable, "the device does not reach the host's memory") }
        self.device = device
        self.owner = owner
        byteCount = bytes.count
        let size = (bytes.count + alignment - 1) / alignment * alignment
        var buffer = unsafe thimble_vulkan_buffer()
        try device.check(
            unsafe thimble_vulkan_import_buffer(
                device.functions, device.handle, UnsafeMutableRawPointer(mutating: start), UInt64(size),
                &buffer), "reaching \(bytes.count) bytes of the host's memory")
        unsafe self.buffer = buffer
        address = 0
        unsafe mapped = nil
    }

    private static let hostPage = 4096

    deinit { unsafe device.retire(.buffer(buffer, of: owner)) }
}
