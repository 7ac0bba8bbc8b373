//! A device whose memory the host does not see: what is filled goes through the host's.

import CVulkan
import TestSupport
import Tensors
import Testing
import VulkanBackend
import VulkanCompute

/// Shows a driver with another kind of memory before its own: the device's, which the host cannot map. Calls
/// reach the driver as if its own had been asked for.
enum HiddenMemory {
    nonisolated(unsafe) private static let opened = Result {
        let listener = ValidationListener { Issue.record("validation: \($0)") }
        let instance = unsafe try VulkanInstance(listener: ValidatedVulkan.hasLayer ? listener : nil) {
            unsafe HiddenMemory.hide($0)
        }
        let index = try VulkanBackendTests.vulkan.physical.index
        return try VulkanBackend(try VulkanDevice(try instance.devices()[index]))
    }

    /// A backend on the tests' device, its memory hidden; watched by the validation layer where there is one.
    static var backend: VulkanBackend { get throws { try unsafe opened.get() } }

    nonisolated(unsafe) private static var properties: PFN_vkGetPhysicalDeviceMemoryProperties2?
    nonisolated(unsafe) private static var requirements: PFN_vkGetBufferMemoryRequirements?
    nonisolated(unsafe) private static var allocate: PFN_vkAllocateMemory?
    /// The driver's own type that stands behind the one made up.
    nonisolated(unsafe) private static var deviceType: UInt32 = 0

    /// Called when the instance's functions are found, and again with the device's.
    static func hide(_ functions: UnsafeMutablePointer<thimble_vulkan>) {
        if let found = unsafe functions.pointee.vkGetPhysicalDeviceMemoryProperties2,
            unsafe properties == nil
        {
            unsafe properties = found
            unsafe hideProperties(functions)
        }
        guard let found = unsafe functions.pointee.vkAllocateMemory else { return }
        unsafe (allocate, requirements) = (found, functions.pointee.vkGetBufferMemoryRequirements)
        unsafe hideAllocations(functions)
    }

    private static func hideProperties(_ functions: UnsafeMutablePointer<thimble_vulkan>) {
        unsafe functions.pointee.vkGetPhysicalDeviceMemoryProperties2 = { device, result in
            unsafe HiddenMemory.properties!(device, result)
            let count = unsafe result!.pointee.memoryProperties.memoryTypeCount
            unsafe withUnsafeMutablePointer(to: &result!.pointee.memoryProperties.memoryTypes) { types in
                unsafe types.withMemoryRebound(to: VkMemoryType.self, capacity: 32) { types in
                    let local = VkMemoryPropertyFlags(VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT.rawValue)
                    unsafe HiddenMemory.deviceType =
                        (0..<count).first { unsafe types[Int($0)].propertyFlags & local != 0 } ?? 0
                    let heap = unsafe types[Int(HiddenMemory.deviceType)].heapIndex
                    for index in (0..<Int(count)).reversed() {
                        unsafe types[index + 1] = types[index]
                        // The host's memory is the device's no more.
                        unsafe types[index + 1].propertyFlags &= ~local
                    }
                    unsafe types[0] = VkMemoryType(propertyFlags: local, heapIndex: heap)
                }
            }
            unsafe result!.pointee.memoryProperties.memoryTypeCount = count + 1
        }
    }

    private static func hideAllocations(_ functions: UnsafeMutablePointer<thimble_vulkan>) {
        unsafe functions.pointee.vkGetBufferMemoryRequirements = { device, buffer, result in
            unsafe HiddenMemory.requirements!(device, buffer, result)
            unsafe result!.pointee.memoryTypeBits = result!.pointee.memoryTypeBits << 1 | 1
        }
        unsafe functions.pointee.vkAllocateMemory = { device, information, allocator, memory in
            var own = unsafe information!.pointee
            let asked = unsafe own.memoryTypeIndex
            unsafe own.memoryTypeIndex = asked == 0 ? HiddenMemory.deviceType : asked - 1
            return unsafe HiddenMemory.allocate!(device, &own, allocator, memory)
        }
    }
}

extension VulkanBackendTests {
    @Suite struct UnmappedMemoryTests {
        @Test func memoryThatTheHostDoesNotSeeIsFilledAndRead() throws {
            let backend = try HiddenMemory.backend
            #expect(!backend.device.isDeviceMemoryMapped)
            var generator = SeededGenerator(seed: 1)
            for count in [1, 1 << 18, 1 << 20, 3 << 20] {
                let memory = try backend.makeMemory(byteCount: count * 4 + 4, label: "test")
                let all = Activation(memory, rows: 1, columns: count + 1)
                #expect(try backend.values(of: all).allSatisfy { $0 == 0 })
                let values = generator.floats(count)
                backend.write(values, to: Activation(memory, offset: 4, rows: 1, columns: count))
                #expect(try backend.values(of: all) == [0] + values)
            }
            #expect(try #require(try backend.secondsToCopy(byteCount: 1 << 20)) > 0)
        }

        @Test func onlyMemoryThatTheHostDoesNotSeeTakesACopy() throws {
            let seconds = try backend.secondsToCopy(byteCount: 1 << 20)
            #expect((seconds == nil) == (try vulkan.device.isDeviceMemoryMapped))
        }
    }
}
