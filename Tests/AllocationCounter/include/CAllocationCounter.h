//! Counts what the process asks the system's heap for, on every thread. A program that links this has its
//! malloc and its kin in place of the C library's; they count and pass on, or refuse.
#pragma once
#include <stdint.h>

// Whether anything is counted: only with glibc, and not under a sanitizer, which has a malloc of its own.
int32_t allocation_counter_is_available(void);

// Counts from zero, from now on.
void allocation_counter_start(void);

// Stops counting. Returns how many blocks were asked for since the start.
int64_t allocation_counter_stop(void);

// Counts what the calling thread asks for, from zero and from now on.
void allocation_thread_counter_start(void);

// Stops that. Returns how many blocks were asked for, those within pauses not counted.
int64_t allocation_thread_counter_stop(void);

// Encloses what the calling thread does in another's code, in a driver say, whose blocks are not to be
// counted as its own. Pauses nest.
void allocation_pause_begin(void);
void allocation_pause_end(void);

// What the calling thread did while memory was refused to it.
typedef struct {
    int64_t calls;
    int64_t refused;
    // Blocks taken less blocks given back.
    int64_t held_blocks;
} allocation_report;

// Refuses `number` of the calling thread's calls from the one numbered `first` on, counted from 0. Swift's
// runtime cannot bear that, so only C is to run before the end.
void allocation_refusal_begin(int64_t first, int64_t number);

// Refuses no more.
allocation_report allocation_refusal_end(void);
