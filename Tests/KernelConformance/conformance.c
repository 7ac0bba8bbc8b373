//! One run of every family of checks over a variant.
#include "checks.h"

int32_t thimble_conformance_run(const thimble_kernels *kernels, uint64_t seed, char *report,
                                size_t report_capacity) {
    checks c = {.kernels = kernels,
                .scalar = thimble_kernels_scalar(),
                .state = seed,
                .report = report,
                .capacity = report_capacity};
    if (report_capacity > 0) report[0] = 0;
    check_quantization(&c);
    check_products(&c);
    check_rows(&c);
    check_storing(&c);
    check_attention(&c);
    check_resampling(&c);
    return c.failures;
}
