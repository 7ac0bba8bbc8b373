//! How many cores the scheduler may run this process on.
#define _GNU_SOURCE
#include "CKernels.h"
#include <sched.h>
#include <unistd.h>

int32_t thimble_schedulable_cores(void) {
#if defined(__linux__)
    cpu_set_t mask;
    // Fails on a machine of more cores than the mask has bits.
    if (sched_getaffinity(0, sizeof mask, &mask) == 0) return CPU_COUNT(&mask);
#endif
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : (int32_t)count;
}
