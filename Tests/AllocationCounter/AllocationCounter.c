//! The malloc that counts, and refuses.
#define _GNU_SOURCE
#include "CAllocationCounter.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define IS_SANITIZED 1
#endif
#endif

static atomic_bool is_counting;
static atomic_llong count;

void allocation_counter_start(void) {
    atomic_store(&count, 0);
    atomic_store(&is_counting, 1);
}

int64_t allocation_counter_stop(void) {
    atomic_store(&is_counting, 0);
    return atomic_load(&count);
}

/// What the calling thread has asked for.
static _Thread_local struct {
    bool is_open;
    int64_t count;
    int32_t pauses;
} own;

void allocation_thread_counter_start(void) {
    own.count = 0;
    own.is_open = true;
}

int64_t allocation_thread_counter_stop(void) {
    own.is_open = false;
    return own.count;
}

void allocation_pause_begin(void) { own.pauses++; }
void allocation_pause_end(void) { own.pauses--; }

/// What is refused to the calling thread, and what it has done since.
static _Thread_local struct {
    bool is_open;
    int64_t first, count;
    allocation_report report;
} refusal;

void allocation_refusal_begin(int64_t first, int64_t number) {
    refusal.first = first;
    refusal.count = number;
    refusal.report = (allocation_report){0};
    refusal.is_open = true;
}

allocation_report allocation_refusal_end(void) {
    refusal.is_open = false;
    return refusal.report;
}

#if defined(__GLIBC__) && !defined(IS_SANITIZED)

int32_t allocation_counter_is_available(void) { return 1; }

/// Counts a call; false where it is to be refused.
static bool note(void) {
    if (atomic_load_explicit(&is_counting, memory_order_relaxed)) atomic_fetch_add(&count, 1);
    if (own.is_open && own.pauses == 0) own.count++;
    if (!refusal.is_open) return true;
    int64_t number = refusal.report.calls++;
    if (number < refusal.first || number - refusal.first >= refusal.count) return true;
    refusal.report.refused++;
    errno = ENOMEM;
    return false;
}

/// Counts a block as held.
static void *held(void *block) {
    if (refusal.is_open && block != NULL) refusal.report.held_blocks++;
    return block;
}

// The C library's own, under names that stay when ours take the place of the usual ones.
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t elements, size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *block);

void *malloc(size_t size) {
    return note() ? held(__libc_malloc(size)) : NULL;
}

void *calloc(size_t elements, size_t size) {
    return note() ? held(__libc_calloc(elements, size)) : NULL;
}

void *realloc(void *block, size_t size) {
    if (!note()) return NULL;
    void *grown = __libc_realloc(block, size);
    return block == NULL ? held(grown) : grown;
}

void free(void *block) {
    if (refusal.is_open && block != NULL) refusal.report.held_blocks--;
    __libc_free(block);
}

void *memalign(size_t alignment, size_t size) {
    return note() ? held(__libc_memalign(alignment, size)) : NULL;
}

void *aligned_alloc(size_t alignment, size_t size) {
    return note() ? held(__libc_memalign(alignment, size)) : NULL;
}

int posix_memalign(void **block, size_t alignment, size_t size) {
    void *made = note() ? held(__libc_memalign(alignment, size)) : NULL;
    if (!made) return ENOMEM;
    *block = made;
    return 0;
}

#else

int32_t allocation_counter_is_available(void) { return 0; }

#endif
