//! How fast the kernels of a variant are, on one thread.
#pragma once
#include <CKernels.h>

// Prints a line for each kernel that matters to a page: its best rate of a few runs.
void thimble_bench_run(const thimble_kernels *kernels);
