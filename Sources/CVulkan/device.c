//! Buffers, pipelines, timelines: what takes nested structures to make.
#include "CVulkan.h"
#include <string.h>

static const VkBufferUsageFlags buffer_usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT |
    VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
    VK_BUFFER_USAGE_TRANSFER_DST_BIT;

static VkResult create_unbound(const struct thimble_vulkan *vulkan, VkDevice device, uint64_t byte_count,
    VkBufferUsageFlags usage, const void *next, VkBuffer *buffer) {
    const VkBufferCreateInfo information = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
        .pNext = next,
        .size = byte_count,
        .usage = usage,
        .sharingMode =
            vulkan->queue_family_count > 1 ? VK_SHARING_MODE_CONCURRENT : VK_SHARING_MODE_EXCLUSIVE,
        .queueFamilyIndexCount = vulkan->queue_family_count,
        .pQueueFamilyIndices = vulkan->queue_families,
    };
    return vulkan->vkCreateBuffer(device, &information, NULL, buffer);
}

uint32_t thimble_vulkan_buffer_memory_types(
    const struct thimble_vulkan *vulkan, VkDevice device, VkResult *result) {
    VkBuffer buffer;
    *result = create_unbound(vulkan, device, 4096, buffer_usage, NULL, &buffer);
    if (*result != VK_SUCCESS) return 0;
    VkMemoryRequirements requirements;
    vulkan->vkGetBufferMemoryRequirements(device, buffer, &requirements);
    vulkan->vkDestroyBuffer(device, buffer, NULL);
    return requirements.memoryTypeBits;
}

VkResult thimble_vulkan_create_buffer(const struct thimble_vulkan *vulkan, VkDevice device,
    uint64_t byte_count, uint32_t memory_type, bool is_mapped, struct thimble_vulkan_buffer *buffer) {
    memset(buffer, 0, sizeof *buffer);
    VkResult result = create_unbound(vulkan, device, byte_count, buffer_usage, NULL, &buffer->buffer);
    if (result != VK_SUCCESS) return result;
    VkMemoryRequirements requirements;
    vulkan->vkGetBufferMemoryRequirements(device, buffer->buffer, &requirements);
    const VkMemoryAllocateFlagsInfo flags = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
        .flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT,
    };
    const VkMemoryAllocateInfo allocation = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
        .pNext = &flags,
        .allocationSize = requirements.size,
        .memoryTypeIndex = memory_type,
    };
    result = vulkan->vkAllocateMemory(device, &allocation, NULL, &buffer->memory);
    if (result == VK_SUCCESS) result = vulkan->vkBindBufferMemory(device, buffer->buffer, buffer->memory, 0);
    if (result == VK_SUCCESS && is_mapped)
        result = vulkan->vkMapMemory(device, buffer->memory, 0, VK_WHOLE_SIZE, 0, &buffer->mapped);
    if (result != VK_SUCCESS) {
        thimble_vulkan_destroy_buffer(vulkan, device, buffer);
        memset(buffer, 0, sizeof *buffer);
        return result;
    }
    const VkBufferDeviceAddressInfo address = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO,
        .buffer = buffer->buffer,
    };
    buffer->address = vulkan->vkGetBufferDeviceAddress(device, &address);
    return VK_SUCCESS;
}

VkResult thimble_vulkan_import_buffer(const struct thimble_vulkan *vulkan, VkDevice device, void *host,
    uint64_t byte_count, struct thimble_vulkan_buffer *buffer) {
    memset(buffer, 0, sizeof *buffer);
    const VkExternalMemoryHandleTypeFlagBits kind = VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT;
    VkMemoryHostPointerPropertiesEXT properties = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_HOST_POINTER_PROPERTIES_EXT};
    if (!vulkan->vkGetMemoryHostPointerPropertiesEXT) return VK_ERROR_FEATURE_NOT_PRESENT;
    VkResult result = vulkan->vkGetMemoryHostPointerPropertiesEXT(device, kind, host, &properties);
    if (result != VK_SUCCESS) return result;
    const VkExternalMemoryBufferCreateInfo external = {
        .sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO,
        .handleTypes = kind,
    };
    result = create_unbound(
        vulkan, device, byte_count, VK_BUFFER_USAGE_TRANSFER_SRC_BIT, &external, &buffer->buffer);
    if (result != VK_SUCCESS) return result;
    VkMemoryRequirements requirements;
    vulkan->vkGetBufferMemoryRequirements(device, buffer->buffer, &requirements);
    const uint32_t types = properties.memoryTypeBits & requirements.memoryTypeBits;
    if (types == 0 || requirements.size > byte_count) result = VK_ERROR_FEATURE_NOT_PRESENT;
    uint32_t type = 0;
    while (type < 31 && !(types & 1u << type)) type++;
    const VkImportMemoryHostPointerInfoEXT import = {
        .sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT,
        .handleType = kind,
        .pHostPointer = host,
    };
    const VkMemoryAllocateInfo allocation = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
        .pNext = &import,
        .allocationSize = byte_count,
        .memoryTypeIndex = type,
    };
    if (result == VK_SUCCESS) result = vulkan->vkAllocateMemory(device, &allocation, NULL, &buffer->memory);
    if (result == VK_SUCCESS) result = vulkan->vkBindBufferMemory(device, buffer->buffer, buffer->memory, 0);
    if (result != VK_SUCCESS) {
        thimble_vulkan_destroy_buffer(vulkan, device, buffer);
        memset(buffer, 0, sizeof *buffer);
    }
    return result;
}

void thimble_vulkan_destroy_buffer(
    const struct thimble_vulkan *vulkan, VkDevice device, const struct thimble_vulkan_buffer *buffer) {
    // Freeing memory unmaps it.
    vulkan->vkDestroyBuffer(device, buffer->buffer, NULL);
    vulkan->vkFreeMemory(device, buffer->memory, NULL);
}

VkResult thimble_vulkan_create_layout(const struct thimble_vulkan *vulkan, VkDevice device,
    uint32_t push_byte_count, VkPipelineLayout *layout) {
    const VkPushConstantRange range = {.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT, .size = push_byte_count};
    const VkPipelineLayoutCreateInfo information = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
        .pushConstantRangeCount = 1,
        .pPushConstantRanges = &range,
    };
    return vulkan->vkCreatePipelineLayout(device, &information, NULL, layout);
}

VkResult thimble_vulkan_create_pipeline(const struct thimble_vulkan *vulkan, VkDevice device,
    VkPipelineCache cache, VkPipelineLayout layout, const uint32_t *words, size_t byte_count,
    const uint32_t *constants, uint32_t constant_count, uint32_t subgroup_size, VkPipeline *pipeline) {
    const VkShaderModuleCreateInfo code = {
        .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
        .codeSize = byte_count,
        .pCode = words,
    };
    VkShaderModule module;
    VkResult result = vulkan->vkCreateShaderModule(device, &code, NULL, &module);
    if (result != VK_SUCCESS) return result;
    enum { most_constants = 64 };
    VkSpecializationMapEntry entries[most_constants];
    if (constant_count > most_constants) constant_count = most_constants;
    for (uint32_t i = 0; i < constant_count; i++)
        entries[i] = (VkSpecializationMapEntry){.constantID = i, .offset = 4 * i, .size = 4};
    const VkSpecializationInfo specialisation = {
        .mapEntryCount = constant_count,
        .pMapEntries = entries,
        .dataSize = 4 * constant_count,
        .pData = constants,
    };
    const VkPipelineShaderStageRequiredSubgroupSizeCreateInfo required = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO,
        .requiredSubgroupSize = subgroup_size,
    };
    const VkComputePipelineCreateInfo information = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .stage =
            {
                .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                .pNext = subgroup_size ? &required : NULL,
                .flags = subgroup_size ? VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT : 0,
                .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                .module = module,
                .pName = "main",
                .pSpecializationInfo = &specialisation,
            },
        .layout = layout,
    };
    result = vulkan->vkCreateComputePipelines(device, cache, 1, &information, NULL, pipeline);
    vulkan->vkDestroyShaderModule(device, module, NULL);
    return result;
}

VkResult thimble_vulkan_create_timeline(
    const struct thimble_vulkan *vulkan, VkDevice device, VkSemaphore *timeline) {
    const VkSemaphoreTypeCreateInfo type = {
        .sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
        .semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE,
    };
    const VkSemaphoreCreateInfo information = {
        .sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO,
        .pNext = &type,
    };
    return vulkan->vkCreateSemaphore(device, &information, NULL, timeline);
}

VkResult thimble_vulkan_submit(const struct thimble_vulkan *vulkan, VkQueue queue, VkCommandBuffer commands,
    uint32_t repetitions, VkSemaphore awaited, uint64_t awaited_value, VkSemaphore timeline, uint64_t value) {
    enum { most = 64 };
    VkCommandBuffer repeated[most];
    if (repetitions > most) repetitions = most;
    for (uint32_t i = 0; i < repetitions; i++) repeated[i] = commands;
    const VkPipelineStageFlags stage = VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
    const VkTimelineSemaphoreSubmitInfo values = {
        .sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
        .waitSemaphoreValueCount = awaited ? 1 : 0,
        .pWaitSemaphoreValues = &awaited_value,
        .signalSemaphoreValueCount = 1,
        .pSignalSemaphoreValues = &value,
    };
    const VkSubmitInfo information = {
        .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
        .pNext = &values,
        .waitSemaphoreCount = awaited ? 1 : 0,
        .pWaitSemaphores = &awaited,
        .pWaitDstStageMask = &stage,
        .commandBufferCount = repetitions,
        .pCommandBuffers = repeated,
        .signalSemaphoreCount = 1,
        .pSignalSemaphores = &timeline,
    };
    return vulkan->vkQueueSubmit(queue, 1, &information, VK_NULL_HANDLE);
}

VkResult thimble_vulkan_wait(const struct thimble_vulkan *vulkan, VkDevice device, VkSemaphore timeline,
    uint64_t value, uint64_t nanoseconds) {
    const VkSemaphoreWaitInfo information = {
        .sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO,
        .semaphoreCount = 1,
        .pSemaphores = &timeline,
        .pValues = &value,
    };
    return vulkan->vkWaitSemaphores(device, &information, nanoseconds);
}

void thimble_vulkan_barrier(const struct thimble_vulkan *vulkan, VkCommandBuffer commands,
    bool after_transfer, bool before_transfer) {
    VkMemoryBarrier barrier = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
        .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT,
        .dstAccessMask = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT,
    };
    VkPipelineStageFlags before = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT;
    VkPipelineStageFlags after = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT;
    if (after_transfer) {
        barrier.srcAccessMask |= VK_ACCESS_TRANSFER_WRITE_BIT;
        before |= VK_PIPELINE_STAGE_TRANSFER_BIT;
    }
    if (before_transfer) {
        barrier.dstAccessMask |= VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT;
        after |= VK_PIPELINE_STAGE_TRANSFER_BIT;
    }
    vulkan->vkCmdPipelineBarrier(commands, before, after, 0, 1, &barrier, 0, NULL, 0, NULL);
}

void thimble_vulkan_copy_barrier(
    const struct thimble_vulkan *vulkan, VkCommandBuffer commands, bool is_for_host) {
    const VkAccessFlags copies = VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT;
    const VkMemoryBarrier barrier = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
        .srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
        .dstAccessMask = is_for_host ? VK_ACCESS_HOST_READ_BIT : copies,
    };
    vulkan->vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TRANSFER_BIT,
        is_for_host ? VK_PIPELINE_STAGE_HOST_BIT : VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 1, &barrier, 0, NULL, 0,
        NULL);
}

void thimble_vulkan_host_barrier(const struct thimble_vulkan *vulkan, VkCommandBuffer commands) {
    const VkMemoryBarrier barrier = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
        .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
        .dstAccessMask = VK_ACCESS_HOST_READ_BIT,
    };
    vulkan->vkCmdPipelineBarrier(commands,
        VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_HOST_BIT, 0,
        1, &barrier, 0, NULL, 0, NULL);
}
