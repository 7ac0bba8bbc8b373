//! What `read_memory.comp` is told: memory to read and do nothing with.
#ifndef THIMBLE_PARAMETERS_READ_MEMORY_H
#define THIMBLE_PARAMETERS_READ_MEMORY_H
#ifdef __STDC_VERSION__
#include <stdint.h>
#endif

// Any grid is right; as many workgroups as the device runs at once are meant. Addresses are of the device.
struct thimble_read_memory {
    // uint32 [4 * count]
    uint64_t x;
    // uint32: changes only if all that was read is one certain number, so that no load is dead.
    uint64_t sink;
    // Runs of 16 bytes.
    uint32_t count;
};

#endif
