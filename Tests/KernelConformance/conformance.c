//! One run of every family of checks over a variant.
#include "checks.h"

// The family that takes longest comes last.
static void (*const families[])(checks *) = {check_quantization, check_products,   check_rows,
                                             check_storing,      check_resampling, check_attention};

static int32_t run(const thimble_kernels *kernels, uint64_t seed, char *report, size_t report_capacity,
                   int ends_early) {
    checks c = {.kernels = kernels,
                .scalar = thimble_kernels_scalar(),
                .state = seed,
                .report = report,
                .capacity = report_capacity};
    if (report_capacity > 0) report[0] = 0;
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        families[i](&c);
        if (ends_early && c.failures > 0) break;
    }
    return c.failures;
}

int32_t thimble_conformance_run(const thimble_kernels *kernels, uint64_t seed, char *report,
                                size_t report_capacity) {
    return run(kernels, seed, report, report_capacity, 0);
}

int32_t thimble_conformance_probe(const thimble_kernels *kernels, uint64_t seed, char *report,
                                  size_t report_capacity) {
    return run(kernels, seed, report, report_capacity, 1);
}
