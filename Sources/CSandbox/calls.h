//! The system calls that a confined program has.
#pragma once

#include <linux/filter.h>
#include <stddef.h>

/// Whether this build has a list for its processor.
#if defined(__x86_64__) || defined(__aarch64__)
#define CSANDBOX_HAS_CALLS 1
#else
#define CSANDBOX_HAS_CALLS 0
#endif

/// The most instructions that a filter takes.
enum { CSANDBOX_FILTER_MAX = 256 };

/// Writes the filter: the listed calls, `execve` of the path at the address `program` alone, no other call.
/// Returns the number of instructions.
size_t csandbox_filter(struct sock_filter filter[CSANDBOX_FILTER_MAX], const char *program);
