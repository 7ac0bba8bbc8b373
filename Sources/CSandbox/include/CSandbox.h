//! A program that reads what nobody vouches for: started with nothing but its input, and with limits.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/// What the child may use, as the kernel counts it.
typedef struct {
    /// Bytes of address space: its code, its libraries and all its memory.
    uint64_t address_bytes;
    /// Seconds of processor time.
    uint64_t cpu_seconds;
    /// Descriptors open at once, the three that it starts with among them.
    uint64_t descriptors;
} csandbox_limits;

/// What holds the child back besides the limits: bits of `csandbox_confinement`.
enum {
    /// Landlock: it reads what is under the given paths, and nothing else.
    CSANDBOX_FILES = 1,
    /// seccomp: of the system's calls it has those that reading, computing and writing take.
    CSANDBOX_CALLS = 2,
};

/// Which of them this kernel and this build offer.
int csandbox_confinement(void);

/// Exit statuses of a child that was not confined as asked and so never became the program.
enum {
    CSANDBOX_EXIT_LIMITS = 120,
    CSANDBOX_EXIT_FILES = 121,
    CSANDBOX_EXIT_CALLS = 122,
    CSANDBOX_EXIT_PROGRAM = 123,
    CSANDBOX_EXIT_STREAMS = 124,
};

/// Starts the program at `arguments[0]` (an absolute path) with the three descriptors as its standard input,
/// output and error, no other descriptor, and the given environment.
///
/// Where the kernel can, the child may read only under `readable` (absolute paths, missing ones passed over)
/// and execute only its program and what loads it; and it has no call that makes a process, a connection or
/// a change to a file. It has no privileges, gains none, and ends when this process does.
/// Lists end with NULL. Returns the child's id, to be waited for by the caller, or the negative errno.
pid_t csandbox_spawn(char *const arguments[], char *const environment[], const char *const readable[],
                     csandbox_limits limits, int input, int output, int error);

/// A pipe whose ends no program inherits that another thread starts. Returns 0 or -1.
int csandbox_pipe(int ends[2]);

/// A file without a name that holds `size` bytes and never changes. Returns its descriptor, or the negative
/// errno.
int csandbox_sealed_file(const void *bytes, size_t size);
