//! The functions of Vulkan that tests stand before, by what they do: lists for the preprocessor.
#ifndef VULKAN_FUNCTIONS_H
#define VULKAN_FUNCTIONS_H

#define HOST VULKAN_FAULT_HOST_MEMORY
#define MEMORY (HOST | VULKAN_FAULT_DEVICE_MEMORY)
#define LOST VULKAN_FAULT_LOST
#define INITIALIZATION VULKAN_FAULT_INITIALIZATION
#define OBJECTS VULKAN_FAULT_OBJECTS
#define ALLOCATOR const VkAllocationCallbacks *allocator

/// Functions that make nothing: name, what they may return, parameters, arguments.
#define PLAIN_FUNCTIONS(X) \
    X(vkEnumerateInstanceVersion, HOST, (uint32_t *version), (version)) \
    X(vkEnumerateInstanceLayerProperties, MEMORY, \
      (uint32_t *count, VkLayerProperties *layers), (count, layers)) \
    X(vkEnumeratePhysicalDevices, MEMORY | INITIALIZATION, \
      (VkInstance instance, uint32_t *count, VkPhysicalDevice *devices), (instance, count, devices)) \
    X(vkEnumerateDeviceExtensionProperties, MEMORY, \
      (VkPhysicalDevice device, const char *layer, uint32_t *count, VkExtensionProperties *extensions), \
      (device, layer, count, extensions)) \
    X(vkDeviceWaitIdle, MEMORY | LOST, (VkDevice device), (device)) \
    X(vkBindBufferMemory, MEMORY, \
      (VkDevice device, VkBuffer buffer, VkDeviceMemory memory, VkDeviceSize offset), \
      (device, buffer, memory, offset)) \
    X(vkMapMemory, MEMORY | VULKAN_FAULT_MAPPING, \
      (VkDevice device, VkDeviceMemory memory, VkDeviceSize offset, VkDeviceSize size, \
       VkMemoryMapFlags flags, void **data), (device, memory, offset, size, flags, data)) \
    X(vkGetPipelineCacheData, MEMORY, \
      (VkDevice device, VkPipelineCache cache, size_t *size, void *data), (device, cache, size, data)) \
    X(vkResetCommandBuffer, MEMORY, \
      (VkCommandBuffer commands, VkCommandBufferResetFlags flags), (commands, flags)) \
    X(vkBeginCommandBuffer, MEMORY, \
      (VkCommandBuffer commands, const VkCommandBufferBeginInfo *information), (commands, information)) \
    X(vkEndCommandBuffer, MEMORY, (VkCommandBuffer commands), (commands)) \
    X(vkAllocateCommandBuffers, MEMORY, \
      (VkDevice device, const VkCommandBufferAllocateInfo *information, VkCommandBuffer *commands), \
      (device, information, commands)) \
    X(vkGetQueryPoolResults, MEMORY | LOST, \
      (VkDevice device, VkQueryPool pool, uint32_t first, uint32_t count, size_t size, void *data, \
       VkDeviceSize stride, VkQueryResultFlags flags), \
      (device, pool, first, count, size, data, stride, flags)) \
    X(vkWaitSemaphores, MEMORY | LOST, \
      (VkDevice device, const VkSemaphoreWaitInfo *information, uint64_t timeout), \
      (device, information, timeout)) \
    X(vkGetSemaphoreCounterValue, MEMORY | LOST, \
      (VkDevice device, VkSemaphore semaphore, uint64_t *value), (device, semaphore, value)) \
    X(vkQueueSubmit, MEMORY | LOST, \
      (VkQueue queue, uint32_t count, const VkSubmitInfo *submits, VkFence fence), \
      (queue, count, submits, fence))

/// Functions that make one object: name, what they may return, parameters, arguments, where the object goes.
#define MAKING_FUNCTIONS(X) \
    X(vkCreateInstance, MEMORY | INITIALIZATION | VULKAN_FAULT_DRIVER, \
      (const VkInstanceCreateInfo *information, ALLOCATOR, VkInstance *made), \
      (information, allocator, made)) \
    X(vkCreateDevice, MEMORY | INITIALIZATION | LOST | OBJECTS, \
      (VkPhysicalDevice device, const VkDeviceCreateInfo *information, ALLOCATOR, VkDevice *made), \
      (device, information, allocator, made)) \
    X(vkCreateDebugUtilsMessengerEXT, HOST, \
      (VkInstance instance, const VkDebugUtilsMessengerCreateInfoEXT *information, ALLOCATOR, \
       VkDebugUtilsMessengerEXT *made), (instance, information, allocator, made)) \
    MAKING_FUNCTION(X, vkCreateBuffer, MEMORY, VkBufferCreateInfo, VkBuffer) \
    MAKING_FUNCTION(X, vkAllocateMemory, MEMORY | OBJECTS, VkMemoryAllocateInfo, VkDeviceMemory) \
    MAKING_FUNCTION(X, vkCreateShaderModule, MEMORY, VkShaderModuleCreateInfo, VkShaderModule) \
    MAKING_FUNCTION(X, vkCreatePipelineLayout, MEMORY, VkPipelineLayoutCreateInfo, VkPipelineLayout) \
    MAKING_FUNCTION(X, vkCreatePipelineCache, MEMORY, VkPipelineCacheCreateInfo, VkPipelineCache) \
    MAKING_FUNCTION(X, vkCreateCommandPool, MEMORY, VkCommandPoolCreateInfo, VkCommandPool) \
    MAKING_FUNCTION(X, vkCreateQueryPool, MEMORY, VkQueryPoolCreateInfo, VkQueryPool) \
    MAKING_FUNCTION(X, vkCreateSemaphore, MEMORY, VkSemaphoreCreateInfo, VkSemaphore) \
    X(vkCreateComputePipelines, MEMORY, \
      (VkDevice device, VkPipelineCache cache, uint32_t count, \
       const VkComputePipelineCreateInfo *information, ALLOCATOR, VkPipeline *made), \
      (device, cache, count, information, allocator, made))
#define MAKING_FUNCTION(X, name, errors, Information, Object) \
    X(name, errors, (VkDevice device, const Information *information, ALLOCATOR, Object *made), \
      (device, information, allocator, made))

/// Functions that destroy an object of a device.
#define DESTROYING_FUNCTIONS(X) \
    X(vkDestroyBuffer, VkBuffer) \
    X(vkFreeMemory, VkDeviceMemory) \
    X(vkDestroyShaderModule, VkShaderModule) \
    X(vkDestroyPipelineLayout, VkPipelineLayout) \
    X(vkDestroyPipeline, VkPipeline) \
    X(vkDestroyPipelineCache, VkPipelineCache) \
    X(vkDestroyCommandPool, VkCommandPool) \
    X(vkDestroyQueryPool, VkQueryPool) \
    X(vkDestroySemaphore, VkSemaphore)

/// Functions that cannot fail and make nothing: result, name, parameters, arguments.
#define QUIET_FUNCTIONS(X) \
    X(void, vkGetPhysicalDeviceFeatures2, \
      (VkPhysicalDevice device, VkPhysicalDeviceFeatures2 *features), (device, features)) \
    X(void, vkGetPhysicalDeviceQueueFamilyProperties, \
      (VkPhysicalDevice device, uint32_t *count, VkQueueFamilyProperties *properties), \
      (device, count, properties)) \
    X(void, vkGetDeviceQueue, \
      (VkDevice device, uint32_t family, uint32_t index, VkQueue *queue), (device, family, index, queue)) \
    X(void, vkGetBufferMemoryRequirements, \
      (VkDevice device, VkBuffer buffer, VkMemoryRequirements *requirements), \
      (device, buffer, requirements)) \
    X(VkDeviceAddress, vkGetBufferDeviceAddress, \
      (VkDevice device, const VkBufferDeviceAddressInfo *information), (device, information)) \
    X(void, vkCmdBindPipeline, \
      (VkCommandBuffer commands, VkPipelineBindPoint point, VkPipeline pipeline), \
      (commands, point, pipeline)) \
    X(void, vkCmdPushConstants, \
      (VkCommandBuffer commands, VkPipelineLayout layout, VkShaderStageFlags stages, uint32_t offset, \
       uint32_t size, const void *values), (commands, layout, stages, offset, size, values)) \
    X(void, vkCmdDispatch, \
      (VkCommandBuffer commands, uint32_t x, uint32_t y, uint32_t z), (commands, x, y, z)) \
    X(void, vkCmdPipelineBarrier, \
      (VkCommandBuffer commands, VkPipelineStageFlags before, VkPipelineStageFlags after, \
       VkDependencyFlags flags, uint32_t memory_count, const VkMemoryBarrier *memories, \
       uint32_t buffer_count, const VkBufferMemoryBarrier *buffers, uint32_t image_count, \
       const VkImageMemoryBarrier *images), \
      (commands, before, after, flags, memory_count, memories, buffer_count, buffers, image_count, \
       images)) \
    X(void, vkCmdCopyBuffer, \
      (VkCommandBuffer commands, VkBuffer from, VkBuffer to, uint32_t count, const VkBufferCopy *regions), \
      (commands, from, to, count, regions)) \
    X(void, vkCmdFillBuffer, \
      (VkCommandBuffer commands, VkBuffer buffer, VkDeviceSize offset, VkDeviceSize size, \
       uint32_t value), (commands, buffer, offset, size, value)) \
    X(void, vkCmdResetQueryPool, \
      (VkCommandBuffer commands, VkQueryPool pool, uint32_t first, uint32_t count), \
      (commands, pool, first, count)) \
    X(void, vkCmdWriteTimestamp, \
      (VkCommandBuffer commands, VkPipelineStageFlagBits stage, VkQueryPool pool, uint32_t query), \
      (commands, stage, pool, query))

#endif
