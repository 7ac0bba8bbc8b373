//! The counting malloc.
#define _GNU_SOURCE
#include "CAllocationCounter.h"

#include <errno.h>
#include <stdatomic.h>
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

#if defined(__GLIBC__) && !defined(IS_SANITIZED)

int32_t allocation_counter_is_available(void) { return 1; }

static void note(void) {
    if (atomic_load_explicit(&is_counting, memory_order_relaxed)) atomic_fetch_add(&count, 1);
}

// The C library's own, under names that stay when ours take the place of the usual ones.
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t elements, size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size) {
    note();
    return __libc_malloc(size);
}

void *calloc(size_t elements, size_t size) {
    note();
    return __libc_calloc(elements, size);
}

void *realloc(void *block, size_t size) {
    note();
    return __libc_realloc(block, size);
}

void *memalign(size_t alignment, size_t size) {
    note();
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    note();
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **block, size_t alignment, size_t size) {
    note();
    void *made = __libc_memalign(alignment, size);
    if (!made) return ENOMEM;
    *block = made;
    return 0;
}

#else

int32_t allocation_counter_is_available(void) { return 0; }

#endif
