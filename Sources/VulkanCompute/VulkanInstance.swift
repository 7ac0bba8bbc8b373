//! The way into Vulkan: the loader, an instance, and the devices it shows.

public import CVulkan

/// The system's Vulkan loader, and an instance of it.
@safe public final class VulkanInstance {
    /// The functions, at an address that lasts as long as this does.
    let functions: UnsafeMutablePointer<thimble_vulkan>
    private let handles: thimble_vulkan_instance
    private let listener: ValidationListener?
    /// Puts a test's functions in the place of Vulkan's, once they are found.
    let replace: (UnsafeMutablePointer<thimble_vulkan>) -> Void

    /// Whether this machine has Vulkan's loader, with or without drivers.
    public static var hasLoader: Bool {
        var functions = unsafe thimble_vulkan()
        return unsafe thimble_vulkan_open(&functions)
    }

    /// Opens Vulkan. With a listener, the Khronos validation layer checks every call, synchronisation
    /// included.
    ///
    /// Throws `unavailable` where this machine has no Vulkan or, with a listener, no validation layer.
    public convenience init(listener: ValidationListener? = nil) throws(VulkanError) {
        unsafe try self.init(listener: listener, replacing: { _ in })
    }

    /// Opens Vulkan. `replacing` may put other functions in the place of the loader's: that is how tests make
    /// calls fail. It is called whenever functions have been found.
    public init(
        listener: ValidationListener?, replacing: @escaping (UnsafeMutablePointer<thimble_vulkan>) -> Void
    ) throws(VulkanError) {
        let functions = UnsafeMutablePointer<thimble_vulkan>.allocate(capacity: 1)
        unsafe functions.initialize(to: thimble_vulkan())
        // Nothing of `self` may be set before the last fault: a `deinit` would destroy what is not there.
        do throws(VulkanError) {
            unsafe handles = try Self.makeInstance(functions, listener, replacing)
        } catch {
            unsafe functions.deallocate()
            throw error
        }
        unsafe self.functions = functions
        self.listener = listener
        unsafe replace = replacing
    }

    private static func makeInstance(
        _ functions: UnsafeMutablePointer<thimble_vulkan>, _ listener: ValidationListener?,
        _ replacing: (UnsafeMutablePointer<thimble_vulkan>) -> Void
    ) throws(VulkanError) -> thimble_vulkan_instance {
        guard unsafe thimble_vulkan_open(functions) else {
            throw VulkanError(.unavailable, "this machine has no libvulkan.so.1")
        }
        unsafe replacing(functions)
        let hear: thimble_vulkan_listener = { user, message in
            guard let user = unsafe user, let message = unsafe message else { return }
            unsafe Unmanaged<ValidationListener>.fromOpaque(user).takeUnretainedValue()
                .hear(String(cString: message))
        }
        let user = unsafe listener.map { unsafe Unmanaged.passUnretained($0).toOpaque() }
        var handles = unsafe thimble_vulkan_instance()
        let result = unsafe thimble_vulkan_create_instance(
            functions, listener == nil ? nil : hear, user, &handles)
        switch result {
        case VK_SUCCESS: break
        case VK_ERROR_INCOMPATIBLE_DRIVER:
            throw VulkanError(.unavailable, "no driver for Vulkan is installed")
        case VK_ERROR_LAYER_NOT_PRESENT: throw VulkanError(.unavailable, "there is no validation layer")
        default: throw VulkanError("vkCreateInstance", result)
        }
        unsafe replacing(functions)
        return unsafe handles
    }

    deinit {
        if let messenger = unsafe handles.messenger {
            unsafe functions.pointee.vkDestroyDebugUtilsMessengerEXT(handles.instance, messenger, nil)
        }
        unsafe functions.pointee.vkDestroyInstance(handles.instance, nil)
        unsafe functions.deallocate()
    }

    /// The devices there are, in the driver's order, those that will not do among them.
    public func devices() throws(VulkanError) -> [PhysicalDevice] {
        var count: UInt32 = 0
        try VulkanError.check(
            unsafe functions.pointee.vkEnumeratePhysicalDevices(handles.instance, &count, nil),
            "vkEnumeratePhysicalDevices")
        var devices = unsafe [VkPhysicalDevice?](repeating: nil, count: Int(count))
        try VulkanError.check(
            unsafe functions.pointee.vkEnumeratePhysicalDevices(handles.instance, &count, &devices),
            "vkEnumeratePhysicalDevices")
        var found: [PhysicalDevice] = []
        for index in 0..<Int(count) {
            guard let device = unsafe devices[index] else { continue }
            unsafe found.append(try PhysicalDevice(device, index: found.count, of: self))
        }
        return found
    }
}

/// Told what the validation layer finds wrong.
public final class ValidationListener: Sendable {
    let hear: @Sendable (String) -> Void

    public init(_ hear: @escaping @Sendable (String) -> Void) { self.hear = hear }
}
