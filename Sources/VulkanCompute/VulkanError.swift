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
    /// What it said, as its number; 0 where it said nothing.
    public let result: Int32

    /// A fault that Vulkan had no part in, of whoever uses a device.
    public init(_ code: Code, _ description: String) {
        self.init(code, description, result: VK_SUCCESS)
    }

    init(_ code: Code, _ description: String, result: VkResult) {
        self.code = code
        self.description = description
        self.result = result.rawValue
    }

    init(_ call: String, _ result: VkResult) {
        let (code, fault): (Code, String) =
            switch result {
            case VK_ERROR_OUT_OF_HOST_MEMORY: (.outOfMemory, "out of host memory")
            case VK_ERROR_OUT_OF_DEVICE_MEMORY: (.outOfMemory, "out of device memory")
            case VK_ERROR_TOO_MANY_OBJECTS: (.outOfMemory, "too many allocations")
            case VK_ERROR_MEMORY_MAP_FAILED: (.outOfMemory, "no address space for it")
            case VK_ERROR_INITIALIZATION_FAILED: (.unavailable, "the driver does not start")
            case VK_ERROR_DEVICE_LOST: (.deviceLost, "the device was lost")
            default: (.failed, "error \(result.rawValue)")
            }
        self.init(code, "\(call): \(fault)", result: result)
    }

    /// Throws unless `result` is a success; codes above zero are.
    static func check(_ result: VkResult, _ call: String) throws(VulkanError) {
        if result.rawValue < 0 { throw VulkanError(call, result) }
    }
}
