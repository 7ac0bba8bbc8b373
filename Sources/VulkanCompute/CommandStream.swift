//! The stream of commands to a device: recorded as they come, submitted in runs.

internal import CVulkan

/// Commands in the order asked for, each after what the one before has written.
///
/// Recording cannot fail for the caller: the first fault is kept, what follows is dropped, and `submit` or
/// `wait` throws it, once: then commands are taken again, unless the device is lost. Nothing is allocated
/// once the stream is made.
@safe public final class CommandStream {
    public let device: VulkanDevice
    private let pool: VkCommandPool
    /// Taken in turn; each with the submission that last used it.
    private var buffers: [(commands: VkCommandBuffer, submission: UInt64)] = unsafe []
    private var next = 0
    /// Being recorded; nil between submissions.
    private var open: VkCommandBuffer?
    private var fault: VulkanError?
    /// Commands in the open buffer.
    private var commandCount = 0
    private var lastWasTransfer = false
    /// Whether the next command may run beside the one before.
    private var isIndependent = false
    /// Of the last submission.
    private var lastSubmission: UInt64 = 0
    /// Submissions of copies that the next submission waits for.
    private var awaitedCopies: UInt64?
    /// Submitting a run early lets the device start; each submission costs some microseconds.
    private static let commandsInRun = 64
    private static let bufferCount = 8

    public init(_ device: VulkanDevice) throws(VulkanError) {
        self.device = device
        unsafe pool = try device.makeCommandPool(family: device.physical.details.queue_family)
        for _ in 0..<Self.bufferCount { unsafe buffers.append((try device.makeCommandBuffer(in: pool), 0)) }
    }

    deinit {
        if unsafe open != nil { device.closeStream() }
        guard device.drain() else { return }
        unsafe device.functions.pointee.vkDestroyCommandPool(device.handle, pool, nil)
    }

    // MARK: Commands

    /// Runs `pipeline` over `groups` workgroups.
    ///
    /// Precondition: the parameters are as the shader declares them, at most 128 bytes; no group count is
    /// above 65,535 but the first, which may be 2^31 - 1 at most where the device allows it.
    public func dispatch<Parameters: BitwiseCopyable>(
        _ pipeline: ComputePipeline, _ parameters: Parameters, groups: (Int, Int, Int)
    ) {
        let byteCount = MemoryLayout<Parameters>.size
        precondition(byteCount <= VulkanDevice.pushByteCount && byteCount % 4 == 0)
        precondition(groups.0 > 0 && groups.1 > 0 && groups.2 > 0)
        guard let commands = unsafe begin(isTransfer: false) else { return }
        let functions = unsafe device.functions
        unsafe functions.pointee.vkCmdBindPipeline(
            commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline.handle)
        unsafe withUnsafeBytes(of: parameters) { bytes in
            unsafe functions.pointee.vkCmdPushConstants(
                commands, device.layout, VkShaderStageFlags(VK_SHADER_STAGE_COMPUTE_BIT.rawValue), 0,
                UInt32(byteCount), bytes.baseAddress)
        }
        unsafe functions.pointee.vkCmdDispatch(
            commands, UInt32(groups.0), UInt32(groups.1), UInt32(groups.2))
        end()
    }

    /// Copies bytes of one buffer to another. Precondition: both ranges lie inside, and are not empty.
    public func copy(
        from source: DeviceBuffer, at sourceOffset: Int, to target: DeviceBuffer, at targetOffset: Int,
        byteCount: Int
    ) {
        precondition(byteCount > 0 && sourceOffset >= 0 && targetOffset >= 0)
        precondition(
            sourceOffset + byteCount <= source.byteCount && targetOffset + byteCount <= target.byteCount)
        guard let commands = unsafe begin(isTransfer: true) else { return }
        var region = VkBufferCopy(
            srcOffset: UInt64(sourceOffset), dstOffset: UInt64(targetOffset), size: UInt64(byteCount))
        unsafe device.functions.pointee.vkCmdCopyBuffer(
            commands, source.buffer.buffer, target.buffer.buffer, 1, &region)
        end()
    }

    /// Zeroes a whole buffer.
    public func zero(_ buffer: DeviceBuffer) {
        guard let commands = unsafe begin(isTransfer: true) else { return }
        unsafe device.functions.pointee.vkCmdFillBuffer(
            commands, buffer.buffer.buffer, 0, UInt64(VK_WHOLE_SIZE), 0)
        end()
    }

    /// The next command need not wait for the one before.
    public func markIndependent() { isIndependent = true }

    /// Makes the host see, after a wait, what commands so far have written.
    public func publishToHost() {
        // Also where the last of them filled a run, and nothing is open.
        guard let commands = unsafe openBuffer() else { return }
        unsafe thimble_vulkan_host_barrier(device.functions, commands)
    }

    /// Writes the time to a query when all commands so far are done. Precondition: it was reset.
    func writeTimestamp(_ query: UInt32, of queries: VkQueryPool) {
        guard let commands = unsafe openBuffer() else { return }
        unsafe device.functions.pointee.vkCmdWriteTimestamp(
            commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, queries, query)
    }

    func reset(_ queries: VkQueryPool, count: UInt32) {
        guard let commands = unsafe openBuffer() else { return }
        unsafe device.functions.pointee.vkCmdResetQueryPool(commands, queries, 0, count)
    }

    private func begin(isTransfer: Bool) -> VkCommandBuffer? {
        guard let commands = unsafe openBuffer() else { return nil }
        if !isIndependent {
            unsafe thimble_vulkan_barrier(device.functions, commands, lastWasTransfer, isTransfer)
            lastWasTransfer = isTransfer
        } else {
            lastWasTransfer = lastWasTransfer || isTransfer
        }
        isIndependent = false
        commandCount += 1
        return unsafe commands
    }

    private func end() {
        if commandCount >= Self.commandsInRun, recording == nil { submitOpen() }
    }

    // MARK: Runs

    /// The open command buffer, begun if need be; nil after a fault.
    private func openBuffer() -> VkCommandBuffer? {
        if fault != nil { return nil }
        if let open = unsafe open { return unsafe open }
        do throws(VulkanError) {
            let (commands, submission) = unsafe buffers[next]
            try device.wait(for: submission)
            unsafe try begin(unsafe commands, mayRepeat: false)
            device.openStream()
            unsafe open = commands
            commandCount = 0
            // What earlier submissions did with transfers is before it too.
            lastWasTransfer = true
            return unsafe commands
        } catch {
            fault = error
            return nil
        }
    }

    private func begin(_ commands: VkCommandBuffer, mayRepeat: Bool) throws(VulkanError) {
        var information = unsafe VkCommandBufferBeginInfo()
        unsafe information.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO
        let usage =
            mayRepeat
            ? VK_COMMAND_BUFFER_USAGE_SIMULTANEOUS_USE_BIT : VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT
        unsafe information.flags = VkCommandBufferUsageFlags(usage.rawValue)
        try device.check(
            unsafe device.functions.pointee.vkBeginCommandBuffer(commands, &information),
            "vkBeginCommandBuffer")
    }

    private func submitOpen() {
        guard fault == nil, let commands = unsafe open else { return }
        do throws(VulkanError) {
            unsafe open = nil
            device.closeStream()
            try device.check(
                unsafe device.functions.pointee.vkEndCommandBuffer(commands), "vkEndCommandBuffer")
            lastSubmission = unsafe try device.submit(unsafe commands, afterCopies: awaitedCopies)
            awaitedCopies = nil
            unsafe buffers[next].submission = lastSubmission
            next = unsafe (next + 1) % buffers.count
        } catch { fault = error }
    }

    /// Starts what was recorded so far. Returns what `wait(for:)` takes.
    @discardableResult
    public func submit() throws(VulkanError) -> UInt64 {
        submitOpen()
        try throwFault()
        return lastSubmission
    }

    private func throwFault() throws(VulkanError) {
        guard let fault else { return }
        // A lost device says so itself, again and again.
        self.fault = nil
        throw fault
    }

    /// Waits like `wait()`, and keeps a fault for the next one to throw. Nothing runs then, unless the driver
    /// fails to wait at all.
    public func settle() {
        do { try wait() } catch {
            fault = error
            device.drain()
        }
    }

    /// Lets what comes from here on wait for all copies that were submitted beside it.
    public func joinCopies() {
        submitOpen()
        awaitedCopies = device.copiesSubmitted
    }

    /// Submits what was recorded so far, and waits until all of it has run.
    public func wait() throws(VulkanError) {
        try wait(for: try submit())
    }

    /// Waits for an earlier submission.
    public func wait(for submission: UInt64) throws(VulkanError) { try device.wait(for: submission) }

    // MARK: Recordings

    private var recording: Recording?

    /// Commands that were recorded once, and can be run many times.
    @safe public final class Recording {
        fileprivate let stream: CommandStream
        fileprivate let commands: VkCommandBuffer
        fileprivate init(_ stream: CommandStream, _ commands: VkCommandBuffer) {
            self.stream = stream
            unsafe self.commands = commands
        }

        deinit {
            guard stream.device.drain() else { return }
            // The buffer itself goes with the pool.
            _ = unsafe stream.device.functions.pointee.vkResetCommandBuffer(commands, 0)
        }
    }

    /// Records what `body` asks of this stream, instead of running it. What the commands use must live as
    /// long as the recording runs.
    public func record(_ body: () -> Void) throws(VulkanError) -> Recording {
        precondition(recording == nil)
        try submit()
        let made = unsafe Recording(self, unsafe try device.makeCommandBuffer(in: pool))
        unsafe try begin(unsafe made.commands, mayRepeat: true)
        device.openStream()
        unsafe open = unsafe made.commands
        lastWasTransfer = true
        recording = made
        body()
        recording = nil
        unsafe open = nil
        device.closeStream()
        try throwFault()
        try device.check(
            unsafe device.functions.pointee.vkEndCommandBuffer(made.commands), "vkEndCommandBuffer")
        return made
    }

    /// Queues `times` runs of a recording after all commands so far. Returns what `wait(for:)` takes.
    ///
    /// Precondition: `times` is in 1...64.
    @discardableResult
    public func run(_ recorded: Recording, times: Int = 1) throws(VulkanError) -> UInt64 {
        precondition((1...64).contains(times))
        try submit()
        lastSubmission = unsafe try device.submit(
            unsafe recorded.commands, repetitions: times, afterCopies: awaitedCopies)
        awaitedCopies = nil
        return lastSubmission
    }
}
