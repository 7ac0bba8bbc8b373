//! A Vulkan whose every call is watched by the Khronos validation layer.

import Foundation
public import VulkanCompute

/// The machine's Vulkan under the validation layer, synchronisation included, and the device that tests use.
public final class ValidatedVulkan {
    public let instance: VulkanInstance
    public let physical: PhysicalDevice
    public let device: VulkanDevice

    /// Opens the device whose name contains `THIMBLE_TEST_DEVICE`, where that is set, else the first that
    /// will do. `hear` gets what the layer finds wrong, on the thread that made the call; not that a
    /// structure is newer than the layer, which then cannot say.
    public init(_ hear: @escaping @Sendable (String) -> Void) throws {
        instance = try Self.instance { if !$0.contains("unknown VkStructureType") { hear($0) } }
        let devices = try instance.devices()
        let chosen =
            if let name = Self.deviceName {
                devices.first { $0.name.localizedCaseInsensitiveContains(name) }
            } else {
                devices.first { $0.rejection == nil }
            }
        guard let chosen else { throw NoDevice(found: devices.map(\.name)) }
        physical = chosen
        device = try VulkanDevice(chosen)
    }

    /// A machine whose device is asked for by name may lack the layer: what the device computes is held
    /// against the CPU all the same. Under a sanitizer nobody listens: the layer hears the same calls
    /// plainly.
    private static func instance(_ hear: @escaping @Sendable (String) -> Void) throws -> VulkanInstance {
        if isSanitized { return try VulkanInstance() }
        do { return try VulkanInstance(listener: ValidationListener(hear)) } catch {
            guard deviceName != nil else { throw error }
            return try VulkanInstance()
        }
    }

    /// No device will do, or none has the name asked for.
    private struct NoDevice: Error {
        let found: [String]
    }

    private static var deviceName: String? { ProcessInfo.processInfo.environment["THIMBLE_TEST_DEVICE"] }

    /// Whether tests can run: there are a driver that will do and the validation layer. Where a device is
    /// asked for by name they run whatever there is, so that its lack fails them.
    public static let isAvailable: Bool = deviceName != nil || (try? ValidatedVulkan { _ in }) != nil

    /// Whether the validation layer is there, and listens. What it alone can tell is not tested without it.
    public static let hasLayer: Bool =
        !isSanitized && (try? VulkanInstance(listener: ValidationListener { _ in })) != nil
}
