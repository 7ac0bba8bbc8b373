//! An opened device: its queues, their timelines, and the kinds of its memory.

internal import CVulkan
internal import Threads

/// A device that computes. Everything made on it keeps it open.
///
/// Not safe to use from several threads at a time.
@safe public final class VulkanDevice {
    public let physical: PhysicalDevice
    /// A copy, for `vkGetDeviceProcAddr` gives functions of this device alone.
    let functions: UnsafeMutablePointer<thimble_vulkan>
    let handle: VkDevice
    let queue: VkQueue
    /// Counts submissions: its value is the number of those that are done.
    private let timeline: VkSemaphore
    /// Submissions so far.
    private(set) var submitted: UInt64 = 0
    /// Where copies run beside what `queue` does; `queue` itself where the device has no other.
    private let copyQueue: VkQueue
    /// Counts the submissions to it.
    private let copyTimeline: VkSemaphore
    /// Submissions of copies so far, and those that are known to be done.
    private(set) var copiesSubmitted: UInt64 = 0
    private var copiesFinished: UInt64 = 0
    /// The last submission that waits for copies, and how many of theirs it waits for.
    private var joined: (submission: UInt64, copies: UInt64) = (0, 0)
    /// Of the layout of every pipeline: push constants alone.
    static let pushByteCount = 128
    let layout: VkPipelineLayout
    private let deviceMemoryType: UInt32
    private let hostMemoryType: UInt32
    /// Whether the host writes device memory in place.
    public let isDeviceMemoryMapped: Bool
    /// Set once the device is lost; every later call fails at once.
    private(set) var isLost = false
    /// Submissions that are known to be done.
    private var finished: UInt64 = 0
    /// Streams with commands that are not submitted yet.
    private var openStreams = 0
    private let retirement = Monitor(Retirement())

    /// Opens `physical`. Throws `unavailable` where it cannot be used, else what the driver says.
    public init(_ physical: PhysicalDevice) throws(VulkanError) {
        if let reason = physical.rejection {
            throw VulkanError(.unavailable, "\(physical.name) cannot be used: \(reason)")
        }
        let functions = UnsafeMutablePointer<thimble_vulkan>.allocate(capacity: 1)
        unsafe functions.initialize(to: physical.instance.functions.pointee)
        var made = unsafe (
            device: VkDevice?.none, queue: VkQueue?.none, copyQueue: VkQueue?.none,
            timeline: VkSemaphore?.none, copyTimeline: VkSemaphore?.none, layout: VkPipelineLayout?.none
        )
        do throws(VulkanError) {
            var details = physical.details
            try VulkanError.check(
                unsafe thimble_vulkan_create_device(
                    functions, physical.handle, &details, &made.device, &made.queue, &made.copyQueue),
                "vkCreateDevice")
            unsafe physical.instance.replace(functions)
            try VulkanError.check(
                unsafe thimble_vulkan_create_timeline(functions, made.device, &made.timeline),
                "vkCreateSemaphore")
            try VulkanError.check(
                unsafe thimble_vulkan_create_timeline(functions, made.device, &made.copyTimeline),
                "vkCreateSemaphore")
            try VulkanError.check(
                unsafe thimble_vulkan_create_layout(
                    functions, made.device, UInt32(Self.pushByteCount), &made.layout),
                "vkCreatePipelineLayout")
            var result = VK_SUCCESS
            let types = unsafe thimble_vulkan_buffer_memory_types(functions, made.device, &result)
            try VulkanError.check(result, "vkCreateBuffer")
            guard let device = Self.deviceMemoryType(of: physical, among: types),
                let host = Self.hostMemoryType(of: physical, among: types)
            else { throw VulkanError(.unavailable, "\(physical.name) has no memory for buffers") }
            deviceMemoryType = device.type
            isDeviceMemoryMapped = device.isMapped
            hostMemoryType = host
        } catch {
            if unsafe made.layout != nil {
                unsafe functions.pointee.vkDestroyPipelineLayout(made.device, made.layout, nil)
            }
            if unsafe made.timeline != nil {
                unsafe functions.pointee.vkDestroySemaphore(made.device, made.timeline, nil)
            }
            if unsafe made.copyTimeline != nil {
                unsafe functions.pointee.vkDestroySemaphore(made.device, made.copyTimeline, nil)
            }
            if unsafe made.device != nil { unsafe functions.pointee.vkDestroyDevice(made.device, nil) }
            unsafe functions.deallocate()
            throw error
        }
        self.physical = physical
        unsafe self.functions = functions
        unsafe handle = made.device!
        unsafe queue = made.queue!
        unsafe timeline = made.timeline!
        unsafe copyQueue = made.copyQueue!
        unsafe copyTimeline = made.copyTimeline!
        unsafe layout = made.layout!
    }

    deinit {
        // What still runs would touch what is about to go. A lost device has nothing running.
        guard drain() else {
            // Nobody can tell whether it does: all that it may touch stays, and so does what made it.
            _ = unsafe Unmanaged.passRetained(physical.instance)
            retirement.withLock { $0.leaveAlone() }
            return
        }
        retirement.withLock { unsafe $0.destroyAll(functions, handle) }
        unsafe functions.pointee.vkDestroyPipelineLayout(handle, layout, nil)
        unsafe functions.pointee.vkDestroySemaphore(handle, timeline, nil)
        unsafe functions.pointee.vkDestroySemaphore(handle, copyTimeline, nil)
        unsafe functions.pointee.vkDestroyDevice(handle, nil)
        unsafe functions.deallocate()
    }

    /// Device memory that the host sees at its own speed, if all of the device's is such; else device memory
    /// alone. Through a bus, decompressing into it took ten times what copying from the host's does.
    private static func deviceMemoryType(
        of physical: PhysicalDevice, among types: UInt32
    ) -> (type: UInt32, isMapped: Bool)? {
        let local = physical.memoryType(among: types, with: VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT)
        let mapped = physical.memoryType(
            among: types, with: VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT, VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT,
            VK_MEMORY_PROPERTY_HOST_COHERENT_BIT, VK_MEMORY_PROPERTY_HOST_CACHED_BIT)
        guard let local else { return nil }
        let largest = physical.heaps.filter(\.isDeviceLocal).map(\.byteCount).max() ?? 0
        if let mapped, physical.heap(ofType: mapped).byteCount == largest { return (mapped, true) }
        return (local, false)
    }

    /// Memory that the host reads at its own speed, if there is such.
    private static func hostMemoryType(of physical: PhysicalDevice, among types: UInt32) -> UInt32? {
        physical.memoryType(
            among: types, with: VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT, VK_MEMORY_PROPERTY_HOST_COHERENT_BIT,
            VK_MEMORY_PROPERTY_HOST_CACHED_BIT)
            ?? physical.memoryType(
                among: types, with: VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT, VK_MEMORY_PROPERTY_HOST_COHERENT_BIT)
    }

    /// Bytes of device memory that this process may still take, as it was when the device was listed: what
    /// the driver says, else all there is.
    public var availableByteCount: Int {
        let heap = physical.heap(ofType: deviceMemoryType)
        return max((heap.budget ?? heap.byteCount) - (heap.usage ?? 0), 0)
    }

    /// Bytes of device memory that this process holds, by a newer listing of this device; nil where the
    /// driver does not say.
    public func usedByteCount(in listing: [PhysicalDevice]) -> Int? {
        listing.first { $0.index == physical.index }?.heap(ofType: deviceMemoryType).usage
    }

    func memoryType(for kind: DeviceBuffer.Kind) -> (type: UInt32, isMapped: Bool) {
        switch kind {
        case .device: (deviceMemoryType, isDeviceMemoryMapped)
        case .host: (hostMemoryType, true)
        }
    }

    /// Throws unless `result` is a success, and remembers a loss.
    func check(_ result: VkResult, _ call: String) throws(VulkanError) {
        if result == VK_ERROR_DEVICE_LOST { isLost = true }
        try VulkanError.check(result, call)
    }

    /// Queues `repetitions` runs of a command buffer, which begin when so many submissions of copies are
    /// done. Returns what `wait(for:)` takes.
    func submit(
        _ commands: VkCommandBuffer, repetitions: Int = 1, afterCopies copies: UInt64? = nil
    ) throws(VulkanError) -> UInt64 {
        if isLost { throw VulkanError("vkQueueSubmit", VK_ERROR_DEVICE_LOST) }
        retirement.withLock { $0.isBusy = true }
        try check(
            unsafe thimble_vulkan_submit(
                functions, queue, commands, UInt32(repetitions), copies == nil ? nil : copyTimeline,
                copies ?? 0, timeline, submitted + 1), "vkQueueSubmit")
        submitted += 1
        if let copies { joined = (submitted, copies) }
        return submitted
    }

    /// Queues copies beside what `submit` has queued, once so many of that are done. Returns what
    /// `wait(forCopies:)` takes.
    func submitCopies(
        _ commands: VkCommandBuffer, after submission: UInt64
    ) throws(VulkanError) -> UInt64 {
        if isLost { throw VulkanError("vkQueueSubmit", VK_ERROR_DEVICE_LOST) }
        retirement.withLock { $0.isBusy = true }
        try check(
            unsafe thimble_vulkan_submit(
                functions, copyQueue, commands, 1, timeline, submission, copyTimeline, copiesSubmitted + 1),
            "vkQueueSubmit")
        copiesSubmitted += 1
        return copiesSubmitted
    }

    /// Waits until that many submissions of copies are done.
    func wait(forCopies value: UInt64) throws(VulkanError) {
        if isLost { throw VulkanError("vkWaitSemaphores", VK_ERROR_DEVICE_LOST) }
        if value <= copiesFinished { return }
        try check(
            unsafe thimble_vulkan_wait(functions, handle, copyTimeline, value, UInt64.max),
            "vkWaitSemaphores")
        copiesFinished = value
    }

    /// Waits until that many submissions are done.
    func wait(for value: UInt64) throws(VulkanError) {
        if isLost { throw VulkanError("vkWaitSemaphores", VK_ERROR_DEVICE_LOST) }
        try check(
            unsafe thimble_vulkan_wait(functions, handle, timeline, value, UInt64.max), "vkWaitSemaphores")
        finished = max(finished, value)
        if value >= joined.submission { copiesFinished = max(copiesFinished, joined.copies) }
        destroyRetiredIfIdle()
    }

    /// Waits until nothing runs, and returns whether nothing does: where the driver fails to wait, that is
    /// not known, and what commands may use must stay as it is.
    @discardableResult
    public func drain() -> Bool {
        func isOver(_ result: VkResult) -> Bool {
            // A lost device has nothing running.
            result == VK_SUCCESS || result == VK_ERROR_DEVICE_LOST
        }
        func hasEnded(_ timeline: VkSemaphore, _ value: UInt64, _ known: UInt64) -> Bool {
            let isKnown = known == value
            return unsafe isKnown
                || isOver(thimble_vulkan_wait(functions, handle, timeline, value, UInt64.max))
        }
        // A driver that lacks memory to wait in one way may have it for another; there is no third.
        let isIdle = unsafe isOver(functions.pointee.vkDeviceWaitIdle(handle))
        guard
            unsafe isIdle
                || hasEnded(timeline, submitted, finished)
                    && hasEnded(copyTimeline, copiesSubmitted, copiesFinished)
        else { return false }
        finished = submitted
        copiesFinished = copiesSubmitted
        destroyRetiredIfIdle()
        return true
    }

    // MARK: What goes while commands may use it

    /// States that a stream has begun to record commands.
    func openStream() {
        openStreams += 1
        retirement.withLock { $0.isBusy = true }
    }

    /// States that the commands of a stream are submitted, or dropped.
    func closeStream() { openStreams -= 1 }

    private func destroyRetiredIfIdle() {
        guard openStreams == 0, finished == submitted, copiesFinished == copiesSubmitted else { return }
        retirement.withLock { retirement in
            retirement.isBusy = false
            unsafe retirement.destroyAll(functions, handle)
        }
    }

    /// Destroys what nobody holds any more, now or when no command can use it. Safe on any thread.
    func retire(_ thing: Retired) {
        retirement.withLock { retirement in
            if retirement.isBusy {
                retirement.things.append(thing)
            } else {
                unsafe thing.destroy(functions, handle)
            }
        }
    }
}
