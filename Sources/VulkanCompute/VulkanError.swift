//! Why a call of Vulkan failed.

internal import CVulkan

/// A call of Vulkan that did not succeed.
public struct VulkanError: Error, Equatable, CustomStringConvertible {
    public enum Code: Sendable {
        /// There is no Vulkan here, or none that will do.
        case unavailable
        /// Device or host memory was refused.
        case outOfMemory
        /// The device stopped answering. Nothing on it can be used any more.
        case deviceLost
        /// Anything else that a driver may say.
        case failed
    }

    public let code: Code
    /// What was asked of Vulkan, and what it said.
    public let description: String

    init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }

    init(_ call: String, _ result: VkResult) {
        switch result {
        case VK_ERROR_OUT_OF_HOST_MEMORY: self.init(.outOfMemory, "\(call): out of host memory")
        case VK_ERROR_OUT_OF_DEVICE_MEMORY: self.init(.outOfMemory, "\(call): out of device memory")
        case VK_ERROR_TOO_MANY_OBJECTS: self.init(.outOfMemory, "\(call): too many allocations")
        case VK_ERROR_MEMORY_MAP_FAILED: self.init(.outOfMemory, "\(call): no address space for it")
        case VK_ERROR_INITIALIZATION_FAILED: self.init(.unavailable, "\(call): the driver does not start")
        case VK_ERROR_DEVICE_LOST: self.init(.deviceLost, "\(call): the device was lost")
        default: self.init(.failed, "\(call): error \(result.rawValue)")
        }
    }

    /// Throws unless `result` is a success; codes above zero are.
    static func check(_ result: VkResult, _ call: String) throws(VulkanError) {
        if result.rawValue < 0 { throw VulkanError(call, result) }
    }
}
