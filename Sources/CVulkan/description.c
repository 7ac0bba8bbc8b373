//! What a device is and can do, as far as Thimble cares.
#include "CVulkan.h"
#include "cooperative_matrix.h"
#include <stdlib.h>
#include <string.h>

/// Whether the device has the extension; its list is `count` long.
static bool has(const VkExtensionProperties *list, uint32_t count, const char *name) {
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(list[i].extensionName, name) == 0) return true;
    return false;
}

/// The family that computes and does nothing else if there is one, for others may wait behind a screen.
static void find_queue_family(const struct thimble_vulkan *vulkan, VkPhysicalDevice device,
    struct thimble_vulkan_description *description) {
    VkQueueFamilyProperties families[64];
    uint32_t count = 64;
    vulkan->vkGetPhysicalDeviceQueueFamilyProperties(device, &count, families);
    description->queue_family = UINT32_MAX;
    for (uint32_t i = 0; i < count; i++) {
        const VkQueueFlags flags = families[i].queueFlags;
        if (!(flags & VK_QUEUE_COMPUTE_BIT) || families[i].queueCount == 0) continue;
        const bool is_better = !(flags & VK_QUEUE_GRAPHICS_BIT);
        if (description->queue_family != UINT32_MAX && !is_better) continue;
        description->queue_family = i;
        description->timestamp_bits = families[i].timestampValidBits;
        if (is_better) break;
    }
}

/// A family that only copies, whose queues do so while others compute.
static void find_copy_family(const struct thimble_vulkan *vulkan, VkPhysicalDevice device,
    struct thimble_vulkan_description *description) {
    VkQueueFamilyProperties families[64];
    uint32_t count = 64;
    vulkan->vkGetPhysicalDeviceQueueFamilyProperties(device, &count, families);
    description->copy_family = description->queue_family;
    for (uint32_t i = 0; i < count; i++) {
        const VkQueueFlags others = VK_QUEUE_COMPUTE_BIT | VK_QUEUE_GRAPHICS_BIT;
        const VkQueueFlags flags = families[i].queueFlags;
        if (!(flags & VK_QUEUE_TRANSFER_BIT) || flags & others || families[i].queueCount == 0) continue;
        description->copy_family = i;
        return;
    }
}

static void find_matrix_shapes(const struct thimble_vulkan *vulkan, VkPhysicalDevice device,
    struct thimble_vulkan_description *description) {
    const PFN_thimble_cooperative_matrix_properties list =
        (PFN_thimble_cooperative_matrix_properties)vulkan->vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR;
    uint32_t count = 0;
    if (!list || list(device, &count, NULL) != VK_SUCCESS || count == 0) return;
    struct thimble_cooperative_matrix_properties *shapes = calloc(count, sizeof *shapes);
    if (!shapes) return;
    for (uint32_t i = 0; i < count; i++) shapes[i].type = THIMBLE_COOPERATIVE_MATRIX_PROPERTIES;
    if (list(device, &count, shapes) == VK_SUCCESS) {
        for (uint32_t i = 0; i < count; i++) {
            if (shapes[i].scope != THIMBLE_SCOPE_SUBGROUP || shapes[i].a_type != shapes[i].b_type) continue;
            if (shapes[i].c_type != shapes[i].result_type || shapes[i].saturating) continue;
            if (description->matrix_shape_count == THIMBLE_VULKAN_MATRIX_SHAPES) break;
            description->matrix_shapes[description->matrix_shape_count++] =
                (struct thimble_vulkan_matrix_shape){
                    shapes[i].m, shapes[i].n, shapes[i].k, shapes[i].a_type, shapes[i].result_type};
        }
    }
    free(shapes);
}

VkResult thimble_vulkan_describe(const struct thimble_vulkan *vulkan, VkPhysicalDevice device,
    struct thimble_vulkan_description *description) {
    memset(description, 0, sizeof *description);
    description->queue_family = description->copy_family = UINT32_MAX;
    VkPhysicalDeviceProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2};
    vulkan->vkGetPhysicalDeviceProperties2(device, &properties);
    description->properties = properties.properties;
    // What follows asks for structures that an older device does not know.
    if (description->properties.apiVersion < VK_API_VERSION_1_3) return VK_SUCCESS;

    uint32_t count = 0;
    VkResult result = vulkan->vkEnumerateDeviceExtensionProperties(device, NULL, &count, NULL);
    if (result != VK_SUCCESS) return result;
    VkExtensionProperties *extensions = calloc(count ? count : 1, sizeof *extensions);
    if (!extensions) return VK_ERROR_OUT_OF_HOST_MEMORY;
    result = vulkan->vkEnumerateDeviceExtensionProperties(device, NULL, &count, extensions);
    if (result < 0) {
        free(extensions);
        return result;
    }
    const bool has_matrix = has(extensions, count, "VK_KHR_cooperative_matrix");
    const bool has_matrix2 = has_matrix && has(extensions, count, "VK_NV_cooperative_matrix2");
    const bool has_multiprocessors = has(extensions, count, VK_NV_SHADER_SM_BUILTINS_EXTENSION_NAME);
    const bool has_host_memory = has(extensions, count, VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME);
    description->memory_budget = has(extensions, count, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
    free(extensions);

    VkPhysicalDeviceShaderSMBuiltinsPropertiesNV multiprocessors = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_SM_BUILTINS_PROPERTIES_NV};
    VkPhysicalDeviceExternalMemoryHostPropertiesEXT host_memory = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_MEMORY_HOST_PROPERTIES_EXT,
        .pNext = has_multiprocessors ? &multiprocessors : NULL};
    VkPhysicalDeviceVulkan13Properties properties13 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_PROPERTIES,
        .pNext = has_host_memory ? (void *)&host_memory : host_memory.pNext};
    VkPhysicalDeviceVulkan12Properties properties12 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_PROPERTIES, .pNext = &properties13};
    VkPhysicalDeviceVulkan11Properties properties11 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_PROPERTIES, .pNext = &properties12};
    properties.pNext = &properties11;
    vulkan->vkGetPhysicalDeviceProperties2(device, &properties);
    memcpy(description->driver_name, properties12.driverName, sizeof description->driver_name);
    memcpy(description->driver_info, properties12.driverInfo, sizeof description->driver_info);
    memcpy(description->device_uuid, properties11.deviceUUID, VK_UUID_SIZE);
    memcpy(description->driver_uuid, properties11.driverUUID, VK_UUID_SIZE);
    description->maximum_allocation = properties11.maxMemoryAllocationSize;
    if (description->maximum_allocation > properties13.maxBufferSize)
        description->maximum_allocation = properties13.maxBufferSize;
    description->subgroup_size = properties11.subgroupSize;
    if (properties11.subgroupSupportedStages & VK_SHADER_STAGE_COMPUTE_BIT)
        description->subgroup_operations = properties11.subgroupSupportedOperations;
    description->minimum_subgroup_size = properties13.minSubgroupSize;
    description->maximum_subgroup_size = properties13.maxSubgroupSize;
    description->required_subgroup_size_stages = properties13.requiredSubgroupSizeStages;
    description->processor_count = multiprocessors.shaderSMCount;
    description->host_memory_alignment = host_memory.minImportedHostPointerAlignment;

    struct thimble_cooperative_matrix2_features matrix2 = {.type = THIMBLE_COOPERATIVE_MATRIX2_FEATURES};
    struct thimble_cooperative_matrix_features matrix = {
        .type = THIMBLE_COOPERATIVE_MATRIX_FEATURES, .next = has_matrix2 ? &matrix2 : NULL};
    VkPhysicalDeviceVulkan13Features features13 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES, .pNext = has_matrix ? &matrix : NULL};
    VkPhysicalDeviceVulkan12Features features12 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES, .pNext = &features13};
    VkPhysicalDeviceVulkan11Features features11 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES, .pNext = &features12};
    VkPhysicalDeviceFeatures2 features = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, .pNext = &features11};
    vulkan->vkGetPhysicalDeviceFeatures2(device, &features);
    description->int64 = features.features.shaderInt64;
    description->int16 = features.features.shaderInt16;
    description->storage16 = features11.storageBuffer16BitAccess;
    description->storage8 = features12.storageBuffer8BitAccess;
    description->float16 = features12.shaderFloat16;
    description->int8 = features12.shaderInt8;
    description->buffer_device_address = features12.bufferDeviceAddress;
    description->scalar_layout = features12.scalarBlockLayout;
    description->timeline_semaphore = features12.timelineSemaphore;
    description->memory_model = features12.vulkanMemoryModel;
    description->memory_model_device_scope = features12.vulkanMemoryModelDeviceScope;
    description->subgroup_size_control = features13.subgroupSizeControl;
    description->full_subgroups = features13.computeFullSubgroups;
    description->integer_dot_product = features13.shaderIntegerDotProduct;
    description->cooperative_matrix = has_matrix && matrix.cooperative_matrix && description->memory_model;
    description->cooperative_matrix2 = description->cooperative_matrix && has_matrix2 &&
        matrix2.workgroup_scope && matrix2.flexible_dimensions && matrix2.reductions && matrix2.conversions &&
        matrix2.per_element_operations && matrix2.tensor_addressing && matrix2.block_loads;
    if (description->cooperative_matrix) find_matrix_shapes(vulkan, device, description);

    VkPhysicalDeviceMemoryBudgetPropertiesEXT budget = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT};
    VkPhysicalDeviceMemoryProperties2 memory = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2,
        .pNext = description->memory_budget ? &budget : NULL};
    vulkan->vkGetPhysicalDeviceMemoryProperties2(device, &memory);
    description->memory = memory.memoryProperties;
    memcpy(description->heap_budget, budget.heapBudget, sizeof description->heap_budget);
    memcpy(description->heap_usage, budget.heapUsage, sizeof description->heap_usage);
    find_queue_family(vulkan, device, description);
    find_copy_family(vulkan, device, description);
    return VK_SUCCESS;
}

VkResult thimble_vulkan_create_device(struct thimble_vulkan *vulkan, VkPhysicalDevice physical,
    const struct thimble_vulkan_description *description, VkDevice *device, VkQueue *queue,
    VkQueue *copy_queue) {
    const float priority = 1;
    const bool has_copy_family = description->copy_family != description->queue_family;
    vulkan->queue_families[0] = description->queue_family;
    vulkan->queue_families[1] = description->copy_family;
    vulkan->queue_family_count = has_copy_family ? 2 : 1;
    VkDeviceQueueCreateInfo queues[2];
    for (uint32_t i = 0; i < vulkan->queue_family_count; i++)
        queues[i] = (VkDeviceQueueCreateInfo){
            .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
            .queueFamilyIndex = vulkan->queue_families[i],
            .queueCount = 1,
            .pQueuePriorities = &priority,
        };
    const struct thimble_cooperative_matrix2_features matrix2 = {
        .type = THIMBLE_COOPERATIVE_MATRIX2_FEATURES,
        .workgroup_scope = VK_TRUE,
        .flexible_dimensions = VK_TRUE,
        .reductions = VK_TRUE,
        .conversions = VK_TRUE,
        .per_element_operations = VK_TRUE,
        .tensor_addressing = VK_TRUE,
        .block_loads = VK_TRUE,
    };
    const struct thimble_cooperative_matrix_features matrix = {
        .type = THIMBLE_COOPERATIVE_MATRIX_FEATURES,
        .next = description->cooperative_matrix2 ? (void *)&matrix2 : NULL,
        .cooperative_matrix = VK_TRUE,
    };
    const VkPhysicalDeviceVulkan13Features features13 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES,
        .pNext = description->cooperative_matrix ? (void *)&matrix : NULL,
        .subgroupSizeControl = description->subgroup_size_control,
        .computeFullSubgroups = description->full_subgroups,
        .shaderIntegerDotProduct = description->integer_dot_product,
        .maintenance4 = VK_TRUE,
    };
    const VkPhysicalDeviceVulkan12Features features12 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
        .pNext = (void *)&features13,
        .storageBuffer8BitAccess = VK_TRUE,
        .shaderFloat16 = VK_TRUE,
        .shaderInt8 = VK_TRUE,
        .scalarBlockLayout = VK_TRUE,
        .timelineSemaphore = VK_TRUE,
        .bufferDeviceAddress = VK_TRUE,
        .vulkanMemoryModel = description->memory_model,
        .vulkanMemoryModelDeviceScope = description->memory_model_device_scope,
    };
    const VkPhysicalDeviceVulkan11Features features11 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES,
        .pNext = (void *)&features12,
        .storageBuffer16BitAccess = VK_TRUE,
    };
    const VkPhysicalDeviceFeatures2 features = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
        .pNext = (void *)&features11,
        .features = {.shaderInt64 = VK_TRUE, .shaderInt16 = VK_TRUE},
    };
    const char *extensions[4];
    uint32_t extension_count = 0;
    if (description->memory_budget) extensions[extension_count++] = VK_EXT_MEMORY_BUDGET_EXTENSION_NAME;
    if (description->cooperative_matrix) extensions[extension_count++] = "VK_KHR_cooperative_matrix";
    if (description->cooperative_matrix2) extensions[extension_count++] = "VK_NV_cooperative_matrix2";
    if (description->host_memory_alignment)
        extensions[extension_count++] = VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME;
    const VkDeviceCreateInfo information = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
        .pNext = &features,
        .queueCreateInfoCount = vulkan->queue_family_count,
        .pQueueCreateInfos = queues,
        .enabledExtensionCount = extension_count,
        .ppEnabledExtensionNames = extensions,
    };
    const VkResult result = vulkan->vkCreateDevice(physical, &information, NULL, device);
    if (result != VK_SUCCESS) return result;
    bool has_all = true;
#define X(name) \
    vulkan->name = (PFN_##name)vulkan->vkGetDeviceProcAddr(*device, #name); \
    has_all = has_all && vulkan->name;
    THIMBLE_VULKAN_DEVICE_FUNCTIONS(X)
#undef X
    if (!has_all) {
        if (vulkan->vkDestroyDevice) vulkan->vkDestroyDevice(*device, NULL);
        *device = NULL;
        return VK_ERROR_INITIALIZATION_FAILED;
    }
    vulkan->vkGetMemoryHostPointerPropertiesEXT = NULL;
    if (description->host_memory_alignment)
        vulkan->vkGetMemoryHostPointerPropertiesEXT =
            (PFN_vkGetMemoryHostPointerPropertiesEXT)vulkan->vkGetDeviceProcAddr(
                *device, "vkGetMemoryHostPointerPropertiesEXT");
    vulkan->vkGetDeviceQueue(*device, description->queue_family, 0, queue);
    *copy_queue = *queue;
    if (has_copy_family) vulkan->vkGetDeviceQueue(*device, description->copy_family, 0, copy_queue);
    return VK_SUCCESS;
}
