//! Stands between Thimble and the Vulkan driver in tests: fails the chosen call, and counts what lives.
#include "CVulkanFaults.h"

#include <CAllocationCounter.h>
#include <stdatomic.h>
#include <string.h>

#include "functions.h"

enum function {
#define NUMBER(name, ...) NUMBER_##name,
    PLAIN_FUNCTIONS(NUMBER) MAKING_FUNCTIONS(NUMBER) FUNCTIONS
};

static const struct {
    const char *name;
    uint32_t errors;
} functions[FUNCTIONS] = {
#define ENTRY(name, errors, ...) {#name, errors},
    PLAIN_FUNCTIONS(ENTRY) MAKING_FUNCTIONS(ENTRY)
};

/// The driver's own.
static struct {
#define REAL(name, ...) PFN_##name name;
#define REAL_QUIET(result, name, ...) PFN_##name name;
    PLAIN_FUNCTIONS(REAL) MAKING_FUNCTIONS(REAL) DESTROYING_FUNCTIONS(REAL) QUIET_FUNCTIONS(REAL_QUIET)
    REAL(vkDestroyInstance) REAL(vkDestroyDevice) REAL(vkDestroyDebugUtilsMessengerEXT)
    REAL(vkGetInstanceProcAddr) REAL(vkGetDeviceProcAddr) REAL(vkGetPhysicalDeviceMemoryProperties2)
    REAL(vkGetPhysicalDeviceProperties2)
} real;

static struct {
    int32_t function;
    int64_t first;
    uint32_t error;
    bool is_lasting;
    const char *hidden;
    uint64_t heap_byte_count;
    uint32_t shared_byte_count;
    bool is_discrete;
    bool spares_waits;
} window = {.function = -1};
/// Calls of each function.
static atomic_int_fast64_t calls[FUNCTIONS];
static atomic_int_fast64_t injected, made_count, misplaced;
static atomic_bool is_failing;

/// Leaves what the driver takes in a call out of the count of its thread: it is not ours.
#define IN_DRIVER \
    allocation_pause_begin(); \
    __attribute__((cleanup(leave_driver), unused)) const char in_driver = 0

static void leave_driver(const char *unused) {
    (void)unused;
    allocation_pause_end();
}

// MARK: What lives

enum { MOST_OBJECTS = 65536 };
/// Handles in the order made, null in free places. Drivers may give one handle to several objects.
static struct {
    uint64_t handle;
    bool is_of_instance;
} objects[MOST_OBJECTS];
static int object_limit;
static atomic_flag objects_lock = ATOMIC_FLAG_INIT;

static void lock(void) {
    while (atomic_flag_test_and_set(&objects_lock)) {
    }
}

static void add(uint64_t handle, bool is_of_instance) {
    made_count++;
    lock();
    int place = 0;
    while (place < object_limit && objects[place].handle) place++;
    if (place < MOST_OBJECTS) {
        objects[place].handle = handle;
        objects[place].is_of_instance = is_of_instance;
        if (place == object_limit) object_limit++;
    }
    atomic_flag_clear(&objects_lock);
}

static void take(uint64_t handle) {
    if (!handle) return;
    lock();
    int place = 0;
    while (place < object_limit && objects[place].handle != handle) place++;
    if (place < object_limit) {
        objects[place].handle = 0;
    } else {
        misplaced++;
    }
    atomic_flag_clear(&objects_lock);
}

void vulkan_fault_forget(void) {
    lock();
    object_limit = 0;
    atomic_flag_clear(&objects_lock);
}

static int64_t alive(bool with_instance) {
    lock();
    int64_t count = 0;
    for (int i = 0; i < object_limit; i++)
        count += objects[i].handle && (with_instance || !objects[i].is_of_instance);
    atomic_flag_clear(&objects_lock);
    return count;
}

// MARK: What fails

static bool waits(enum function function) {
    return function == NUMBER_vkDeviceWaitIdle || function == NUMBER_vkWaitSemaphores ||
        function == NUMBER_vkGetSemaphoreCounterValue;
}

static bool fails(enum function function) {
    const int64_t call = calls[function]++;
    const bool may =
        functions[function].errors & window.error && !(window.spares_waits && waits(function));
    if (is_failing && window.is_lasting && may) {
        injected++;
        return true;
    }
    if ((int32_t)function != window.function || call != window.first) return false;
    is_failing = true;
    injected++;
    return true;
}

/// A lost device has nothing running: where one is feigned, what runs must end first.
#define PLAIN(name, errors, parameters, arguments) \
    static VKAPI_ATTR VkResult VKAPI_CALL instead_of_##name parameters { \
        IN_DRIVER; \
        /* Command buffers go with their pool, so that they are not among what lives. */ \
        made_count += NUMBER_##name == NUMBER_vkAllocateCommandBuffers; \
        if (!fails(NUMBER_##name)) return real.name arguments; \
        if (NUMBER_##name == NUMBER_vkDeviceWaitIdle && window.error == LOST) real.name arguments; \
        return vulkan_fault_result(window.error); \
    }
PLAIN_FUNCTIONS(PLAIN)

/// Whether the function makes something that no device has.
static bool is_of_instance(enum function function) {
    return function == NUMBER_vkCreateInstance || function == NUMBER_vkCreateDevice ||
        function == NUMBER_vkCreateDebugUtilsMessengerEXT;
}

#define MAKING(name, errors, parameters, arguments) \
    static VKAPI_ATTR VkResult VKAPI_CALL instead_of_##name parameters { \
        IN_DRIVER; \
        if (fails(NUMBER_##name)) return vulkan_fault_result(window.error); \
        const VkResult result = real.name arguments; \
        if (result == VK_SUCCESS) add((uint64_t)*made, is_of_instance(NUMBER_##name)); \
        return result; \
    }
MAKING_FUNCTIONS(MAKING)

#define DESTROYING(name, Object) \
    static VKAPI_ATTR void VKAPI_CALL instead_of_##name(VkDevice device, Object object, ALLOCATOR) { \
        IN_DRIVER; \
        take((uint64_t)object); \
        real.name(device, object, allocator); \
    }
DESTROYING_FUNCTIONS(DESTROYING)

#define QUIET(result, name, parameters, arguments) \
    static VKAPI_ATTR result VKAPI_CALL instead_of_##name parameters { \
        IN_DRIVER; \
        return real.name arguments; \
    }
QUIET_FUNCTIONS(QUIET)

static VKAPI_ATTR void VKAPI_CALL instead_of_vkDestroyDevice(VkDevice device, ALLOCATOR) {
    IN_DRIVER;
    misplaced += alive(false);
    take((uint64_t)device);
    real.vkDestroyDevice(device, allocator);
}

static VKAPI_ATTR void VKAPI_CALL instead_of_vkDestroyInstance(VkInstance instance, ALLOCATOR) {
    IN_DRIVER;
    misplaced += alive(true) - 1;
    take((uint64_t)instance);
    real.vkDestroyInstance(instance, allocator);
}

static VKAPI_ATTR void VKAPI_CALL instead_of_vkDestroyDebugUtilsMessengerEXT(
    VkInstance instance, VkDebugUtilsMessengerEXT messenger, ALLOCATOR) {
    IN_DRIVER;
    take((uint64_t)messenger);
    real.vkDestroyDebugUtilsMessengerEXT(instance, messenger, allocator);
}

static VKAPI_ATTR void VKAPI_CALL instead_of_vkGetPhysicalDeviceMemoryProperties2(
    VkPhysicalDevice device, VkPhysicalDeviceMemoryProperties2 *properties) {
    IN_DRIVER;
    real.vkGetPhysicalDeviceMemoryProperties2(device, properties);
    if (!window.heap_byte_count) return;
    VkPhysicalDeviceMemoryProperties *memory = &properties->memoryProperties;
    for (uint32_t i = 0; i < memory->memoryHeapCount; i++)
        memory->memoryHeaps[i].size = window.heap_byte_count;
    VkBaseOutStructure *next = properties->pNext;
    for (; next; next = next->pNext) {
        if (next->sType != VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT) continue;
        VkPhysicalDeviceMemoryBudgetPropertiesEXT *budget = (void *)next;
        for (uint32_t i = 0; i < memory->memoryHeapCount; i++) {
            budget->heapBudget[i] = window.heap_byte_count;
            budget->heapUsage[i] = 0;
        }
    }
}

static VKAPI_ATTR void VKAPI_CALL instead_of_vkGetPhysicalDeviceProperties2(
    VkPhysicalDevice device, VkPhysicalDeviceProperties2 *properties) {
    IN_DRIVER;
    real.vkGetPhysicalDeviceProperties2(device, properties);
    if (window.shared_byte_count)
        properties->properties.limits.maxComputeSharedMemorySize = window.shared_byte_count;
    if (window.is_discrete) properties->properties.deviceType = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU;
}

// MARK: How they are put in place

static PFN_vkVoidFunction replaced(const char *name, PFN_vkVoidFunction found);

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL instead_of_vkGetDeviceProcAddr(
    VkDevice device, const char *name) {
    return replaced(name, real.vkGetDeviceProcAddr(device, name));
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL instead_of_vkGetInstanceProcAddr(
    VkInstance instance, const char *name) {
    return replaced(name, real.vkGetInstanceProcAddr(instance, name));
}

static PFN_vkVoidFunction replaced(const char *name, PFN_vkVoidFunction found) {
    if (!found || (window.hidden && strcmp(window.hidden, name) == 0)) return NULL;
#define REPLACE(function, ...) \
    if (strcmp(name, #function) == 0) { \
        real.function = (PFN_##function)found; \
        return (PFN_vkVoidFunction)instead_of_##function; \
    }
    PLAIN_FUNCTIONS(REPLACE)
    MAKING_FUNCTIONS(REPLACE)
    DESTROYING_FUNCTIONS(REPLACE)
#define REPLACE_QUIET(result, ...) REPLACE(__VA_ARGS__)
    QUIET_FUNCTIONS(REPLACE_QUIET)
    REPLACE(vkDestroyDevice)
    REPLACE(vkDestroyInstance)
    REPLACE(vkDestroyDebugUtilsMessengerEXT)
    REPLACE(vkGetDeviceProcAddr)
    REPLACE(vkGetPhysicalDeviceMemoryProperties2)
    REPLACE(vkGetPhysicalDeviceProperties2)
    return found;
}

void vulkan_faults_install(struct thimble_vulkan *vulkan) {
    // Everything else is found through the first.
#define INSTALL(name) \
    if (vulkan->name != instead_of_##name) { \
        real.name = vulkan->name; \
        vulkan->name = instead_of_##name; \
    }
    INSTALL(vkGetInstanceProcAddr)
    INSTALL(vkCreateInstance)
    INSTALL(vkEnumerateInstanceVersion)
    INSTALL(vkEnumerateInstanceLayerProperties)
}

// MARK: What tests ask

int32_t vulkan_fault_function_count(void) { return FUNCTIONS; }
const char *vulkan_fault_function_name(int32_t function) { return functions[function].name; }
uint32_t vulkan_fault_errors(int32_t function) { return functions[function].errors; }

VkResult vulkan_fault_result(uint32_t error) {
    switch (error) {
    case VULKAN_FAULT_HOST_MEMORY: return VK_ERROR_OUT_OF_HOST_MEMORY;
    case VULKAN_FAULT_DEVICE_MEMORY: return VK_ERROR_OUT_OF_DEVICE_MEMORY;
    case VULKAN_FAULT_LOST: return VK_ERROR_DEVICE_LOST;
    case VULKAN_FAULT_INITIALIZATION: return VK_ERROR_INITIALIZATION_FAILED;
    case VULKAN_FAULT_DRIVER: return VK_ERROR_INCOMPATIBLE_DRIVER;
    case VULKAN_FAULT_OBJECTS: return VK_ERROR_TOO_MANY_OBJECTS;
    case VULKAN_FAULT_MAPPING: return VK_ERROR_MEMORY_MAP_FAILED;
    }
    return VK_ERROR_UNKNOWN;
}

static bool is_known(const char *name) {
#define KNOWN(function, ...) \
    if (strcmp(name, #function) == 0) return true;
    PLAIN_FUNCTIONS(KNOWN)
    MAKING_FUNCTIONS(KNOWN)
    DESTROYING_FUNCTIONS(KNOWN)
#define KNOWN_QUIET(result, ...) KNOWN(__VA_ARGS__)
    QUIET_FUNCTIONS(KNOWN_QUIET)
    KNOWN(vkDestroyDevice)
    KNOWN(vkDestroyInstance)
    KNOWN(vkDestroyDebugUtilsMessengerEXT)
    KNOWN(vkGetDeviceProcAddr)
    KNOWN(vkGetPhysicalDeviceMemoryProperties2)
    KNOWN(vkGetPhysicalDeviceProperties2)
    return false;
}

const char *vulkan_fault_table_name(int32_t index) {
#define NAME(name) #name,
    static const char *const names[] = {
        THIMBLE_VULKAN_INSTANCE_FUNCTIONS(NAME) THIMBLE_VULKAN_DEVICE_FUNCTIONS(NAME) NULL};
    return names[index];
}

const char *vulkan_fault_unknown_function(void) {
    int32_t index = 0;
    while (vulkan_fault_table_name(index) && is_known(vulkan_fault_table_name(index))) index++;
    return vulkan_fault_table_name(index);
}

void vulkan_fault_begin(int32_t function, int64_t first, uint32_t error, bool is_lasting) {
    window.function = function;
    window.first = first;
    window.error = error;
    window.is_lasting = is_lasting;
    for (int i = 0; i < FUNCTIONS; i++) calls[i] = 0;
    injected = made_count = misplaced = 0;
    is_failing = false;
}

void vulkan_fault_hide(const char *name) { window.hidden = name; }

void vulkan_fault_pretend_discrete(bool is_discrete) { window.is_discrete = is_discrete; }

void vulkan_fault_spare_waits(bool spares) { window.spares_waits = spares; }

void vulkan_fault_limit_heaps(uint64_t byte_count) { window.heap_byte_count = byte_count; }

void vulkan_fault_limit_shared_memory(uint32_t byte_count) { window.shared_byte_count = byte_count; }

int64_t vulkan_fault_calls(int32_t function) { return calls[function]; }

struct vulkan_fault_report vulkan_fault_end(void) {
    const struct vulkan_fault_report report = {injected, made_count, alive(true), misplaced};
    window.function = -1;
    is_failing = false;
    return report;
}
