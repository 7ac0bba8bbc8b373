//! What was let go while commands may still use it.

internal import CVulkan

/// A thing of the device that commands use.
@safe enum Retired {
    /// With what owns its memory, where that is the host's.
    case buffer(thimble_vulkan_buffer, of: AnyObject?)
    case pipeline(VkPipeline)
    case queries(VkQueryPool)

    func destroy(_ functions: UnsafeMutablePointer<thimble_vulkan>, _ device: VkDevice) {
        switch self {
        case .buffer(var buffer, _): unsafe thimble_vulkan_destroy_buffer(functions, device, &buffer)
        case .pipeline(let pipeline): unsafe functions.pointee.vkDestroyPipeline(device, pipeline, nil)
        case .queries(let queries): unsafe functions.pointee.vkDestroyQueryPool(device, queries, nil)
        }
    }
}

/// Things that wait until the device is idle: commands name them by handle or by address, and keep nothing.
struct Retirement: @unchecked Sendable {
    /// Whether commands are being recorded or may be running.
    var isBusy = false
    var things: [Retired] = []

    mutating func destroyAll(_ functions: UnsafeMutablePointer<thimble_vulkan>, _ device: VkDevice) {
        for thing in things { unsafe thing.destroy(functions, device) }
        things.removeAll()
    }

    /// Gives up what waits, for good: it stays, with what owns its memory.
    mutating func leaveAlone() {
        for case .buffer(_, let owner?) in things { _ = unsafe Unmanaged.passRetained(owner) }
        things.removeAll()
    }
}
