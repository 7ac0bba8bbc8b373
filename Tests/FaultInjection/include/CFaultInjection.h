//! Makes a chosen system call of the test process fail, as a bad disk or a full memory would.
#ifndef CFAULTINJECTION_H
#define CFAULTINJECTION_H

#include <stdbool.h>
#include <stdint.h>

/// Kinds of calls. Each is counted by itself.
typedef enum {
    /// open, openat, creat.
    FAULT_OPEN,
    /// read, pread, readv.
    FAULT_READ,
    /// write, pwrite, writev.
    FAULT_WRITE,
    /// fsync, fdatasync.
    FAULT_SYNC,
    /// rename, renameat, renameat2.
    FAULT_RENAME,
    /// ftruncate.
    FAULT_TRUNCATE,
    /// close. The descriptor is closed all the same, as Linux does it.
    FAULT_CLOSE,
    /// mmap of memory or of a file.
    FAULT_MAP,
    /// fstat.
    FAULT_STAT,
    FAULT_KINDS
} fault_kind;

/// What a failing call does.
typedef enum {
    /// It returns -1, and `errno` is the number given.
    FAULT_ERROR,
    /// A read or a write moves one byte.
    FAULT_SHORT,
    /// A read or a write moves nothing and returns 0.
    FAULT_NOTHING,
} fault_manner;

/// Whose calls are counted and fail.
typedef enum {
    /// Those of the calling thread.
    FAULT_THREAD,
    /// Those of any thread on files whose path begins with the prefix given.
    FAULT_FILES,
} fault_scope;

/// What a window saw.
typedef struct {
    /// Calls of the kind asked for.
    int64_t calls;
    /// How many of them failed.
    int64_t injected;
    /// Descriptors opened less descriptors closed, in the window's scope.
    int64_t open_descriptors;
    /// Bytes mapped in the window's scope less those of them that were unmapped, by whatever thread.
    int64_t mapped_bytes;
} fault_report;

/// Whether calls pass through here at all. They do not where a sanitizer has put itself between.
bool fault_injection_is_linked(void);

/// Opens a window: of the calls of `kind` in `scope`, `count` fail from the one numbered `first` on, counted
/// from 0. One window is open at a time in the process. `prefix` is of meaning for FAULT_FILES.
void fault_injection_begin(fault_kind kind, fault_manner manner, int32_t error_number, int64_t first,
                           int64_t count, fault_scope scope, const char *prefix);

/// Closes the window.
fault_report fault_injection_end(void);

#endif
