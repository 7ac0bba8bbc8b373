//! Holds every variant that this machine runs against the definition; `bench` measures them instead.
#include "bench.h"
#include "conformance.h"
#include <stdio.h>
#include <string.h>

static int32_t run(const thimble_kernels *kernels, uint64_t seed) {
    char report[4096];
    int32_t failures = thimble_conformance_run(kernels, seed, report, sizeof report);
    printf("%-12s %s", kernels->name, failures == 0 ? "conforms\n" : "fails\n");
    if (failures > 0) printf("%d checks failed:\n%s", failures, report);
    return failures;
}

int main(int count, char **arguments) {
    const thimble_kernels *tables[8];
    int32_t variants = thimble_kernels_available(tables, 8), failures = 0;
    int measures = count > 1 && strcmp(arguments[1], "bench") == 0;
    for (int32_t i = 0; i < variants; i++) {
        if (measures) {
            if (count == 2 || strcmp(arguments[2], tables[i]->name) == 0) thimble_bench_run(tables[i]);
        } else {
            failures += run(tables[i], 1);
        }
    }
    return failures > 0;
}
