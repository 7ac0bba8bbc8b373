//! Stands before the C library's calls: counts those in the window, and fails the chosen ones.
#define _GNU_SOURCE
#include "CFaultInjection.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>

// A sanitizer stands before these calls itself, and must see them.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define HAS_SANITIZER 1
#endif
#endif

#define DESCRIPTORS 65536
#define MAPPINGS 4096

static struct {
    fault_kind kind;
    fault_manner manner;
    int32_t error_number;
    int64_t first, count;
    fault_scope scope;
    char prefix[512];
} window;
static atomic_bool is_open;
static _Thread_local bool is_thread;
static atomic_int_fast64_t calls, injected, open_descriptors, mapped_bytes;
/// Descriptors of files that begin with the prefix.
static atomic_bool watched[DESCRIPTORS];
/// Addresses of the memory that the window has seen mapped; null in free places. A buffer may end on another
/// thread than it was made on.
static _Atomic(void *) mappings[MAPPINGS];

void fault_injection_begin(fault_kind kind, fault_manner manner, int32_t error_number, int64_t first,
                           int64_t count, fault_scope scope, const char *prefix) {
    window.kind = kind;
    window.manner = manner;
    window.error_number = error_number;
    window.first = first;
    window.count = count;
    window.scope = scope;
    strncpy(window.prefix, prefix == NULL ? "" : prefix, sizeof window.prefix - 1);
    calls = injected = open_descriptors = mapped_bytes = 0;
    for (int i = 0; i < MAPPINGS; i++) {
        mappings[i] = NULL;
    }
    is_thread = scope == FAULT_THREAD;
    atomic_store(&is_open, true);
}

fault_report fault_injection_end(void) {
    atomic_store(&is_open, false);
    is_thread = false;
    return (fault_report){calls, injected, open_descriptors, mapped_bytes};
}

#if !defined(__linux__) || defined(HAS_SANITIZER)

bool fault_injection_is_linked(void) { return false; }

#else

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

bool fault_injection_is_linked(void) { return true; }

/// Whether the window is open for a call on this descriptor.
static bool sees(int descriptor) {
    if (!atomic_load_explicit(&is_open, memory_order_acquire)) {
        return false;
    }
    if (window.scope == FAULT_THREAD) {
        return is_thread;
    }
    return descriptor >= 0 && descriptor < DESCRIPTORS && watched[descriptor];
}

/// Whether the window is open for a call on this path.
static bool sees_path(const char *path) {
    if (!atomic_load_explicit(&is_open, memory_order_acquire)) {
        return false;
    }
    return window.scope == FAULT_THREAD ? is_thread
                                        : strncmp(path, window.prefix, strlen(window.prefix)) == 0;
}

/// Counts a call that the window sees; whether it is to fail.
static bool fails(fault_kind kind) {
    if (kind != window.kind) {
        return false;
    }
    int64_t number = atomic_fetch_add(&calls, 1);
    if (number < window.first || number - window.first >= window.count) {
        return false;
    }
    atomic_fetch_add(&injected, 1);
    return true;
}

/// The result of a failing call that can only fail outright.
static int fail(void) {
    errno = window.error_number;
    return -1;
}

/// The bytes that a read or a write is to move: `size`, fewer, or -1 with `errno` set.
static ssize_t moved(fault_kind kind, int descriptor, size_t size) {
    if (!sees(descriptor) || !fails(kind)) {
        return (ssize_t)size;
    }
    switch (window.manner) {
    case FAULT_ERROR: return fail();
    case FAULT_SHORT: return size > 0 ? 1 : 0;
    case FAULT_NOTHING: return 0;
    }
    return fail();
}

static int open_file(int folder, const char *path, int flags, int mode) {
    bool seen = sees_path(path);
    if (seen && fails(FAULT_OPEN)) {
        return fail();
    }
    int descriptor = (int)syscall(SYS_openat, folder, path, flags, mode);
    if (seen && descriptor >= 0) {
        atomic_fetch_add(&open_descriptors, 1);
    }
    if (descriptor >= 0 && descriptor < DESCRIPTORS) {
        watched[descriptor] = seen;
    }
    return descriptor;
}

static int mode_of(int flags, va_list arguments) {
    return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(arguments, int) : 0;
}

#define OPEN(NAME, PARAMETERS, FOLDER)                  \
    int NAME PARAMETERS {                               \
        va_list arguments;                              \
        va_start(arguments, flags);                     \
        int mode = mode_of(flags, arguments);           \
        va_end(arguments);                              \
        return open_file(FOLDER, path, flags, mode);    \
    }

OPEN(open, (const char *path, int flags, ...), AT_FDCWD)
OPEN(open64, (const char *path, int flags, ...), AT_FDCWD)
OPEN(openat, (int folder, const char *path, int flags, ...), folder)
OPEN(openat64, (int folder, const char *path, int flags, ...), folder)

int creat(const char *path, mode_t mode) {
    return open_file(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, (int)mode);
}

int close(int descriptor) {
    bool seen = sees(descriptor);
    if (seen) {
        atomic_fetch_add(&open_descriptors, -1);
    }
    if (descriptor >= 0 && descriptor < DESCRIPTORS) {
        watched[descriptor] = false;
    }
    int result = (int)syscall(SYS_close, descriptor);
    return seen && fails(FAULT_CLOSE) ? fail() : result;
}

// Closes its descriptor by a way of its own. One that a stream has opened itself was not counted.
int closedir(DIR *stream) {
    static int (*_Atomic next)(DIR *);
    if (next == NULL) {
        next = (int (*)(DIR *))dlsym(RTLD_NEXT, "closedir");
    }
    int descriptor = dirfd(stream);
    if (descriptor >= 0 && descriptor < DESCRIPTORS) {
        if (watched[descriptor] && sees(descriptor)) {
            atomic_fetch_add(&open_descriptors, -1);
        }
        watched[descriptor] = false;
    }
    return next(stream);
}

#define MOVE(NAME, KIND, NUMBER, BYTES)                                         \
    ssize_t NAME(int descriptor, BYTES bytes, size_t size) {                    \
        ssize_t count = moved(KIND, descriptor, size);                          \
        return size > 0 && count <= 0 ? count : syscall(NUMBER, descriptor, bytes, count); \
    }
#define MOVE_AT(NAME, KIND, NUMBER, BYTES)                                      \
    ssize_t NAME(int descriptor, BYTES bytes, size_t size, off_t offset) {      \
        ssize_t count = moved(KIND, descriptor, size);                          \
        return size > 0 && count <= 0 ? count                                   \
                                      : syscall(NUMBER, descriptor, bytes, count, offset); \
    }

MOVE(read, FAULT_READ, SYS_read, void *)
MOVE(write, FAULT_WRITE, SYS_write, const void *)
MOVE_AT(pread, FAULT_READ, SYS_pread64, void *)
MOVE_AT(pread64, FAULT_READ, SYS_pread64, void *)
MOVE_AT(pwrite, FAULT_WRITE, SYS_pwrite64, const void *)
MOVE_AT(pwrite64, FAULT_WRITE, SYS_pwrite64, const void *)

ssize_t readv(int descriptor, const struct iovec *parts, int count) {
    if (sees(descriptor) && fails(FAULT_READ)) {
        return fail();
    }
    return syscall(SYS_readv, descriptor, parts, count);
}

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    if (sees(descriptor) && fails(FAULT_WRITE)) {
        return fail();
    }
    return syscall(SYS_writev, descriptor, parts, count);
}

int fsync(int descriptor) {
    return sees(descriptor) && fails(FAULT_SYNC) ? fail() : (int)syscall(SYS_fsync, descriptor);
}

int fdatasync(int descriptor) {
    return sees(descriptor) && fails(FAULT_SYNC) ? fail() : (int)syscall(SYS_fdatasync, descriptor);
}

int fstat(int descriptor, struct stat *status) {
    return sees(descriptor) && fails(FAULT_STAT)
               ? fail()
               : (int)syscall(SYS_newfstatat, descriptor, "", status, AT_EMPTY_PATH);
}

int fstat64(int descriptor, struct stat64 *status) { return fstat(descriptor, (struct stat *)status); }

int ftruncate(int descriptor, off_t size) {
    return sees(descriptor) && fails(FAULT_TRUNCATE) ? fail() : (int)syscall(SYS_ftruncate, descriptor, size);
}

int ftruncate64(int descriptor, off_t size) { return ftruncate(descriptor, size); }

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags) {
    return sees_path(to) && fails(FAULT_RENAME)
               ? fail()
               : (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
}

int renameat(int from_folder, const char *from, int to_folder, const char *to) {
    return renameat2(from_folder, from, to_folder, to, 0);
}

int rename(const char *from, const char *to) { return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0); }

void *mmap(void *address, size_t size, int protection, int flags, int descriptor, off_t offset) {
    bool seen = sees(descriptor);
    if (seen && fails(FAULT_MAP)) {
        errno = window.error_number;
        return MAP_FAILED;
    }
    void *result = (void *)syscall(SYS_mmap, address, size, protection, flags, descriptor, offset);
    if (seen && result != MAP_FAILED) {
        for (int i = 0; i < MAPPINGS; i++) {
            void *none = NULL;
            if (atomic_compare_exchange_strong(&mappings[i], &none, result)) {
                atomic_fetch_add(&mapped_bytes, (int64_t)size);
                break;
            }
        }
    }
    return result;
}

void *mmap64(void *address, size_t size, int protection, int flags, int descriptor, off_t offset) {
    return mmap(address, size, protection, flags, descriptor, offset);
}

int munmap(void *address, size_t size) {
    for (int i = 0; atomic_load(&is_open) && i < MAPPINGS; i++) {
        void *expected = address;
        if (atomic_compare_exchange_strong(&mappings[i], &expected, NULL)) {
            atomic_fetch_add(&mapped_bytes, -(int64_t)size);
            break;
        }
    }
    return (int)syscall(SYS_munmap, address, size);
}

#endif
