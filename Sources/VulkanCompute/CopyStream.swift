//! Copies to a device beside what it computes.

internal import CVulkan

/// Copies that run beside a device's commands, on a queue of their own where there is one: each after the
/// copies before it, and after as many of the commands as it is asked to wait for.
///
/// A fault is kept like that of a `CommandStream`, and thrown once by `wait` or `throwFault`.
@safe public final class CopyStream {
    public let device: VulkanDevice
    private let pool: VkCommandPool
    /// Taken in turn; each with the submission of copies that last used it.
    private var buffers: [(commands: VkCommandBuffer, submission: UInt64)] = unsafe []
    private var next = 0
    /// Being recorded; nil between submissions.
    private var open: VkCommandBuffer?
    /// Bytes that the open buffer copies, and the submission of commands that it waits for.
    private var openByteCount = 0
    private var awaited: UInt64 = 0
    private var fault: VulkanError?
    /// So many bytes are a submission: copying begins while more is recorded.
    private static let bytesInRun = 4 << 20
    private static let bufferCount = 8

    public init(_ device: VulkanDevice) throws(VulkanError) {
        self.device = device
        unsafe pool = try device.makeCommandPool(family: device.physical.details.copy_family)
        for _ in 0..<Self.bufferCount { unsafe buffers.append((try device.makeCommandBuffer(in: pool), 0)) }
    }

    deinit {
        if unsafe open != nil { device.closeStream() }
        guard device.drain() else { return }
        unsafe device.functions.pointee.vkDestroyCommandPool(device.handle, pool, nil)
    }

    /// Copies bytes of one buffer to another once that many submissions of commands are done. Precondition:
    /// both ranges lie inside, and are not empty.
    public func copy(
        from source: DeviceBuffer, at sourceOffset: Int, to target: DeviceBuffer, at targetOffset: Int,
        byteCount: Int, after submission: UInt64
    ) {
        precondition(byteCount > 0 && sourceOffset >= 0 && targetOffset >= 0)
        precondition(
            sourceOffset + byteCount <= source.byteCount && targetOffset + byteCount <= target.byteCount)
        guard let commands = unsafe openBuffer() else { return }
        awaited = max(awaited, submission)
        var region = VkBufferCopy(
            srcOffset: UInt64(sourceOffset), dstOffset: UInt64(targetOffset), size: UInt64(byteCount))
        unsafe device.functions.pointee.vkCmdCopyBuffer(
            commands, source.buffer.buffer, target.buffer.buffer, 1, &region)
        openByteCount += byteCount
        if openByteCount >= Self.bytesInRun { submit() }
    }

    private func openBuffer() -> VkCommandBuffer? {
        if fault != nil { return nil }
        if let open = unsafe open { return unsafe open }
        do throws(VulkanError) {
            let (commands, submission) = unsafe buffers[next]
            try device.wait(forCopies: submission)
            var information = unsafe VkCommandBufferBeginInfo()
            unsafe information.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO
            unsafe information.flags = VkCommandBufferUsageFlags(
                VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT.rawValue)
            try device.check(
                unsafe device.functions.pointee.vkBeginCommandBuffer(commands, &information),
                "vkBeginCommandBuffer")
            // A place may still be written to by copies of a pass that was given up.
            unsafe thimble_vulkan_copy_barrier(device.functions, commands, false)
            device.openStream()
            unsafe open = commands
            (openByteCount, awaited) = (0, 0)
            return unsafe commands
        } catch {
            fault = error
            return nil
        }
    }

    /// Makes the host see, after a wait, what copies so far have written.
    public func publishToHost() {
        guard let commands = unsafe openBuffer() else { return }
        unsafe thimble_vulkan_copy_barrier(device.functions, commands, true)
    }

    /// Starts the copies that were asked for so far. Returns what `wait(for:)` takes for the last of them.
    @discardableResult
    public func submit() -> UInt64 {
        guard fault == nil, let commands = unsafe open else { return device.copiesSubmitted }
        unsafe open = nil
        device.closeStream()
        do throws(VulkanError) {
            try device.check(
                unsafe device.functions.pointee.vkEndCommandBuffer(commands), "vkEndCommandBuffer")
            let submission = unsafe try device.submitCopies(unsafe commands, after: awaited)
            unsafe buffers[next].submission = submission
            next = unsafe (next + 1) % buffers.count
        } catch { fault = error }
        return device.copiesSubmitted
    }

    /// Whether a fault is kept.
    public var hasFault: Bool { fault != nil }

    /// What `wait(for:)` will take for copies that are asked for now.
    public var nextSubmission: UInt64 { device.copiesSubmitted + 1 }

    /// Waits until that many submissions of copies are done, the open one begun if it is among them; a fault
    /// is kept.
    public func wait(for submission: UInt64) {
        if submission > device.copiesSubmitted { submit() }
        guard fault == nil else { return }
        do { try device.wait(forCopies: min(submission, device.copiesSubmitted)) } catch { fault = error }
    }

    /// Throws the fault that was kept, once. What was being recorded before it is dropped.
    public func throwFault() throws(VulkanError) {
        guard let fault else { return }
        self.fault = nil
        if unsafe open != nil {
            unsafe open = nil
            device.closeStream()
        }
        throw fault
    }
}
