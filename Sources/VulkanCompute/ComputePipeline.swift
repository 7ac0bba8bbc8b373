//! A shader, compiled by the driver.

internal import CVulkan

/// A compute pipeline whose only interface is a block of push constants.
@safe public final class ComputePipeline {
    let device: VulkanDevice
    let handle: VkPipeline

    /// Compiles `code`, SPIR-V with the entry point `main`, specialisation constant `i` being `constants[i]`.
    ///
    /// Precondition: at most 64 constants; the code is valid, and the constants fit it.
    public init(
        _ device: VulkanDevice, code: UnsafeBufferPointer<UInt32>, constants: [UInt32], subgroupSize: Int,
        cache: borrowing PipelineCache
    ) throws(VulkanError) {
        precondition(constants.count <= 64)
        var pipeline: VkPipeline?
        try device.check(
            unsafe thimble_vulkan_create_pipeline(
                device.functions, device.handle, cache.handle, device.layout, code.baseAddress,
                code.count * 4,
                constants, UInt32(constants.count), UInt32(subgroupSize), &pipeline),
            "vkCreateComputePipelines")
        self.device = device
        unsafe handle = pipeline!
    }

    deinit { unsafe device.retire(.pipeline(handle)) }
}
