//! One property test for every variant of the kernels: held against the definition over odd shapes, every
//! type and extreme values.
#pragma once
#include <CKernels.h>

// Holds every kernel of the table against the scalar table and returns how many checks failed: 0 where the
// variant conforms. `report` gets the first failures, one a line, ended by a zero; the seed decides the
// random inputs.
int32_t thimble_conformance_run(const thimble_kernels *kernels, uint64_t seed, char *report,
                                size_t report_capacity);

// The same as far as the first family of checks that has failures: whether there is one is then known.
int32_t thimble_conformance_probe(const thimble_kernels *kernels, uint64_t seed, char *report,
                                  size_t report_capacity);
