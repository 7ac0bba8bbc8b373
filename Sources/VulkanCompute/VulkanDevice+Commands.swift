//! What a stream of commands or copies is recorded in.

internal import CVulkan

extension VulkanDevice {
    /// A pool whose buffers are recorded again one by one, for the queues of that family.
    func makeCommandPool(family: UInt32) throws(VulkanError) -> VkCommandPool {
        var information = unsafe VkCommandPoolCreateInfo()
        unsafe information.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO
        unsafe information.flags = VkCommandPoolCreateFlags(
            VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT.rawValue)
        unsafe information.queueFamilyIndex = family
        var pool: VkCommandPool?
        try check(
            unsafe functions.pointee.vkCreateCommandPool(handle, &information, nil, &pool),
            "vkCreateCommandPool")
        return unsafe pool!
    }

    func makeCommandBuffer(in pool: VkCommandPool) throws(VulkanError) -> VkCommandBuffer {
        var information = unsafe VkCommandBufferAllocateInfo()
        unsafe information.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO
        unsafe information.commandPool = pool
        unsafe information.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY
        unsafe information.commandBufferCount = 1
        var buffer: VkCommandBuffer?
        try check(
            unsafe functions.pointee.vkAllocateCommandBuffers(handle, &information, &buffer),
            "vkAllocateCommandBuffers")
        return unsafe buffer!
    }
}
