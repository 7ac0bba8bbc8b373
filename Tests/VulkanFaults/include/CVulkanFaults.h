//! Stands between Thimble and the Vulkan driver in tests: fails the chosen call, and counts what lives. What
//! the driver takes from the heap in a call is left out of CAllocationCounter's count of the calling thread.
#ifndef CVULKANFAULTS_H
#define CVULKANFAULTS_H

#include <CVulkan.h>
#include <stdbool.h>
#include <stdint.h>

/// What a call may return, as the specification lists it. Bits.
enum {
    VULKAN_FAULT_HOST_MEMORY = 1,
    VULKAN_FAULT_DEVICE_MEMORY = 2,
    VULKAN_FAULT_LOST = 4,
    VULKAN_FAULT_INITIALIZATION = 8,
    VULKAN_FAULT_DRIVER = 16,
    VULKAN_FAULT_OBJECTS = 32,
    VULKAN_FAULT_MAPPING = 64,
};

/// What the window saw.
struct vulkan_fault_report {
    /// Calls of any function that were failed.
    int64_t injected;
    /// Objects and command buffers made, whether they still live or not.
    int64_t made;
    /// Objects made and not destroyed.
    int64_t alive;
    /// Objects that were alive when their device or instance was destroyed, and destructions of objects that
    /// were not alive.
    int64_t misplaced;
};

/// Puts the counting functions in the place of those of `vulkan`, and of all that it will find. To be given
/// to `VulkanInstance(listener:replacing:)`.
void vulkan_faults_install(struct thimble_vulkan *vulkan);

/// Functions that return a `VkResult`, which can be made to fail.
int32_t vulkan_fault_function_count(void);
const char *vulkan_fault_function_name(int32_t function);
/// The bits above that it may return.
uint32_t vulkan_fault_errors(int32_t function);
/// The result that a bit stands for.
VkResult vulkan_fault_result(uint32_t error);

/// The names of Thimble's table, from 0; null beyond its end.
const char *vulkan_fault_table_name(int32_t index);
/// A function of Thimble's table that nothing stands before; null if there is none.
const char *vulkan_fault_unknown_function(void);

/// Opens a window: the call numbered `first`, from 0, of that function returns `error`, one of the bits
/// above. If it is lasting, so does every later call of any function that may. A function below 0 fails
/// nothing.
void vulkan_fault_begin(int32_t function, int64_t first, uint32_t error, bool is_lasting);

/// Makes the driver deny that it has the function of that name; null denies nothing. The name must last.
void vulkan_fault_hide(const char *name);

/// Lets waits be as they are, where a lasting fault would fail them too.
void vulkan_fault_spare_waits(bool spares);

/// Leaves what lives now out of all counts from here on.
void vulkan_fault_forget(void);

/// Makes the heaps of every device say that they have so many bytes; 0 changes nothing.
void vulkan_fault_limit_heaps(uint64_t byte_count);

/// Makes every device say that a workgroup has so many bytes of shared memory; 0 changes nothing.
void vulkan_fault_limit_shared_memory(uint32_t byte_count);

/// Makes every device say that it is a GPU with memory of its own.
void vulkan_fault_pretend_discrete(bool is_discrete);

/// Calls of that function since a window was last opened.
int64_t vulkan_fault_calls(int32_t function);

/// Closes the window.
struct vulkan_fault_report vulkan_fault_end(void);

#endif
