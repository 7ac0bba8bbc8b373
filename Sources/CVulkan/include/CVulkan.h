//! Vulkan as Thimble uses it: the functions, found when the program runs, and calls that fill nested
//! structures.
#ifndef CVULKAN_H
#define CVULKAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#define VK_NO_PROTOTYPES
#include <vulkan/vulkan.h>

/// Functions that need no device. `vkGetInstanceProcAddr` finds them all.
#define THIMBLE_VULKAN_INSTANCE_FUNCTIONS(X) \
    X(vkDestroyInstance) \
    X(vkEnumeratePhysicalDevices) \
    X(vkGetPhysicalDeviceProperties2) \
    X(vkGetPhysicalDeviceFeatures2) \
    X(vkGetPhysicalDeviceMemoryProperties2) \
    X(vkGetPhysicalDeviceQueueFamilyProperties) \
    X(vkEnumerateDeviceExtensionProperties) \
    X(vkCreateDevice) \
    X(vkGetDeviceProcAddr) \
    X(vkCreateDebugUtilsMessengerEXT) \
    X(vkDestroyDebugUtilsMessengerEXT)

/// Functions of a device.
#define THIMBLE_VULKAN_DEVICE_FUNCTIONS(X) \
    X(vkDestroyDevice) \
    X(vkGetDeviceQueue) \
    X(vkDeviceWaitIdle) \
    X(vkCreateBuffer) \
    X(vkDestroyBuffer) \
    X(vkGetBufferMemoryRequirements) \
    X(vkGetBufferDeviceAddress) \
    X(vkAllocateMemory) \
    X(vkFreeMemory) \
    X(vkBindBufferMemory) \
    X(vkMapMemory) \
    X(vkCreateShaderModule) \
    X(vkDestroyShaderModule) \
    X(vkCreatePipelineLayout) \
    X(vkDestroyPipelineLayout) \
    X(vkCreateComputePipelines) \
    X(vkDestroyPipeline) \
    X(vkCreatePipelineCache) \
    X(vkDestroyPipelineCache) \
    X(vkGetPipelineCacheData) \
    X(vkCreateCommandPool) \
    X(vkDestroyCommandPool) \
    X(vkAllocateCommandBuffers) \
    X(vkResetCommandBuffer) \
    X(vkBeginCommandBuffer) \
    X(vkEndCommandBuffer) \
    X(vkCmdBindPipeline) \
    X(vkCmdPushConstants) \
    X(vkCmdDispatch) \
    X(vkCmdPipelineBarrier) \
    X(vkCmdCopyBuffer) \
    X(vkCmdFillBuffer) \
    X(vkCmdResetQueryPool) \
    X(vkCmdWriteTimestamp) \
    X(vkCreateQueryPool) \
    X(vkDestroyQueryPool) \
    X(vkGetQueryPoolResults) \
    X(vkCreateSemaphore) \
    X(vkDestroySemaphore) \
    X(vkWaitSemaphores) \
    X(vkGetSemaphoreCounterValue) \
    X(vkQueueSubmit)

/// What the validation layer says, and to whom: `user` as it was given.
typedef void (*thimble_vulkan_listener)(void *user, const char *message);

/// The functions of one instance and its device. A test may put others in their place.
struct thimble_vulkan {
    thimble_vulkan_listener listener;
    void *listener_user;
    PFN_vkGetInstanceProcAddr vkGetInstanceProcAddr;
    PFN_vkCreateInstance vkCreateInstance;
    PFN_vkEnumerateInstanceVersion vkEnumerateInstanceVersion;
    PFN_vkEnumerateInstanceLayerProperties vkEnumerateInstanceLayerProperties;
    /// Of extensions; null where no device, or this one, has them.
    void *vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR;
    PFN_vkGetMemoryHostPointerPropertiesEXT vkGetMemoryHostPointerPropertiesEXT;
    /// The families whose queues use a device's buffers.
    uint32_t queue_families[2], queue_family_count;
#define X(name) PFN_##name name;
    THIMBLE_VULKAN_INSTANCE_FUNCTIONS(X)
    THIMBLE_VULKAN_DEVICE_FUNCTIONS(X)
#undef X
};

/// Opens the system's Vulkan loader, libvulkan.so.1, and finds what needs no instance. False where there is
/// none. The library stays open for as long as the process lives.
bool thimble_vulkan_open(struct thimble_vulkan *vulkan);

struct thimble_vulkan_instance {
    VkInstance instance;
    VkDebugUtilsMessengerEXT messenger;
};

/// Makes an instance and finds its functions. With a listener, the Khronos validation layer must be there, is
/// enabled with synchronisation validation, and every warning and error it has is told. `vulkan` must then
/// stay where it is until the instance is destroyed.
VkResult thimble_vulkan_create_instance(
    struct thimble_vulkan *vulkan, thimble_vulkan_listener listener, void *user,
    struct thimble_vulkan_instance *instance);

enum { THIMBLE_VULKAN_MATRIX_SHAPES = 32 };

/// A shape of cooperative matrices with scope of a subgroup: `[m, k] x [k, n]`.
struct thimble_vulkan_matrix_shape {
    uint32_t m, n, k;
    /// `VkComponentTypeKHR` of the factors and of the sum.
    uint32_t factor, sum;
};

/// What Thimble wants to know of a device.
struct thimble_vulkan_description {
    VkPhysicalDeviceProperties properties;
    VkPhysicalDeviceMemoryProperties memory;
    /// Bytes of each heap that this process may use now, and does: zero without VK_EXT_memory_budget.
    uint64_t heap_budget[VK_MAX_MEMORY_HEAPS];
    uint64_t heap_usage[VK_MAX_MEMORY_HEAPS];
    char driver_name[VK_MAX_DRIVER_NAME_SIZE];
    char driver_info[VK_MAX_DRIVER_INFO_SIZE];
    uint8_t device_uuid[VK_UUID_SIZE];
    uint8_t driver_uuid[VK_UUID_SIZE];
    /// Bytes of the largest buffer.
    uint64_t maximum_allocation;
    uint32_t subgroup_size, minimum_subgroup_size, maximum_subgroup_size;
    VkSubgroupFeatureFlags subgroup_operations;
    VkShaderStageFlags required_subgroup_size_stages;
    /// Streaming multiprocessors; zero where the driver does not say.
    uint32_t processor_count;
    /// The family for compute, and its timestamps' valid bits; `UINT32_MAX` without one.
    uint32_t queue_family;
    /// The family that copies beside it; the same where no other does.
    uint32_t copy_family;
    /// What the host's memory must be a multiple of for the device to use it in place; 0 where it cannot.
    uint64_t host_memory_alignment;
    uint32_t timestamp_bits;
    bool buffer_device_address, int64, int16, float16, int8, storage8, storage16, scalar_layout;
    bool timeline_semaphore, subgroup_size_control, full_subgroups, integer_dot_product;
    bool memory_model, memory_model_device_scope, memory_budget;
    bool cooperative_matrix, cooperative_matrix2;
    uint32_t matrix_shape_count;
    struct thimble_vulkan_matrix_shape matrix_shapes[THIMBLE_VULKAN_MATRIX_SHAPES];
};

VkResult thimble_vulkan_describe(
    const struct thimble_vulkan *vulkan, VkPhysicalDevice device,
    struct thimble_vulkan_description *description);

/// Makes a device with a queue of each family described and every feature described, and finds its
/// functions. `copy_queue` is `queue` where one family does both. On failure nothing is left behind.
VkResult thimble_vulkan_create_device(
    struct thimble_vulkan *vulkan, VkPhysicalDevice physical,
    const struct thimble_vulkan_description *description,
    VkDevice *device, VkQueue *queue, VkQueue *copy_queue);

struct thimble_vulkan_buffer {
    VkBuffer buffer;
    VkDeviceMemory memory;
    VkDeviceAddress address;
    /// Where the host sees it; null where it does not.
    void *mapped;
};

/// Makes a buffer of `byte_count` bytes in memory of the type of that index, mapped if the host can see it.
/// On failure nothing is left behind.
VkResult thimble_vulkan_create_buffer(
    const struct thimble_vulkan *vulkan, VkDevice device, uint64_t byte_count, uint32_t memory_type,
    bool is_mapped,
    struct thimble_vulkan_buffer *buffer);

/// Makes a buffer to copy from of `byte_count` bytes of the host's memory at `host`, where they stay as long
/// as it lives. On failure nothing is left behind.
///
/// Both are multiples of the alignment described, which is not 0.
VkResult thimble_vulkan_import_buffer(
    const struct thimble_vulkan *vulkan, VkDevice device, void *host, uint64_t byte_count,
    struct thimble_vulkan_buffer *buffer);

/// The memory types that a buffer may lie in, as bits. Zero on failure, with `result` saying which.
uint32_t thimble_vulkan_buffer_memory_types(
    const struct thimble_vulkan *vulkan, VkDevice device, VkResult *result);

void thimble_vulkan_destroy_buffer(
    const struct thimble_vulkan *vulkan, VkDevice device, const struct thimble_vulkan_buffer *buffer);

/// A pipeline's layout without descriptors: `push_byte_count` bytes of push constants.
VkResult thimble_vulkan_create_layout(
    const struct thimble_vulkan *vulkan, VkDevice device, uint32_t push_byte_count, VkPipelineLayout *layout);

/// A compute pipeline from SPIR-V with the entry point `main`. Specialisation constant `i` gets
/// `constants[i]`. `subgroup_size` is required with full subgroups; 0 leaves it to the driver.
VkResult thimble_vulkan_create_pipeline(
    const struct thimble_vulkan *vulkan, VkDevice device, VkPipelineCache cache, VkPipelineLayout layout,
    const uint32_t *words, size_t byte_count, const uint32_t *constants, uint32_t constant_count,
    uint32_t subgroup_size, VkPipeline *pipeline);

VkResult thimble_vulkan_create_timeline(
    const struct thimble_vulkan *vulkan, VkDevice device, VkSemaphore *timeline);

/// Submits `repetitions` times the command buffer; the timeline reaches `value` when all have run. They begin
/// when `awaited`, another timeline unless it is null, has reached `awaited_value`.
VkResult thimble_vulkan_submit(
    const struct thimble_vulkan *vulkan, VkQueue queue, VkCommandBuffer commands, uint32_t repetitions,
    VkSemaphore awaited, uint64_t awaited_value, VkSemaphore timeline, uint64_t value);

/// Waits until the timeline reaches `value`.
VkResult thimble_vulkan_wait(
    const struct thimble_vulkan *vulkan, VkDevice device, VkSemaphore timeline, uint64_t value,
    uint64_t nanoseconds);

/// Makes later commands wait for, and see, what earlier ones did. Shaders always; transfers where said: each
/// stage that is not named costs less.
void thimble_vulkan_barrier(
    const struct thimble_vulkan *vulkan, VkCommandBuffer commands, bool after_transfer, bool before_transfer);

/// Makes later copies wait for earlier ones, on a queue that may do nothing else; or makes the host see what
/// these wrote, once they are known to be done.
void thimble_vulkan_copy_barrier(
    const struct thimble_vulkan *vulkan, VkCommandBuffer commands, bool is_for_host);

/// Makes the host see what earlier commands wrote, once they are known to be done.
void thimble_vulkan_host_barrier(const struct thimble_vulkan *vulkan, VkCommandBuffer commands);

#endif
