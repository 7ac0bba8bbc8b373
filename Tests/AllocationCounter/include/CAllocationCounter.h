//! Counts what the process asks the system's heap for, on every thread. A program that links this has its
//! malloc and its kin in place of the C library's; they count and pass on.
#pragma once
#include <stdint.h>

// Whether anything is counted: only with glibc, and not under a sanitizer, which has a malloc of its own.
int32_t allocation_counter_is_available(void);

// Counts from zero, from now on.
void allocation_counter_start(void);

// Stops counting. Returns how many blocks were asked for since the start.
int64_t allocation_counter_stop(void);
