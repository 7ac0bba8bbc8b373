//! What libFuzzer offers to a program with a main of its own, and the call that makes a file of memory.
#pragma once

#include <stddef.h>
#include <stdint.h>

/// Runs the fuzzer as its command line says; returns or exits when it is done.
int LLVMFuzzerRunDriver(int *argument_count, char ***arguments,
                        int (*run)(const uint8_t *bytes, size_t count));

/// Linux's call, which C libraries declare only for programs that ask for GNU's extensions.
int memfd_create(const char *name, unsigned int flags);
