//! What `copy.comp` is told: words from one place to another.
#ifndef THIMBLE_PARAMETERS_COPY_H
#define THIMBLE_PARAMETERS_COPY_H
#ifdef __STDC_VERSION__
#include <stdint.h>
#endif

// Any grid is right; a thread for each word or a few is meant. Addresses are of the device, aligned to 4.
struct thimble_copy {
    // uint32 [count]
    uint64_t x;
    // uint32 [count], no part of x.
    uint64_t y;
    uint32_t count;
};

#endif
