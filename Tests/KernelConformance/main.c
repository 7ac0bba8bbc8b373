//! Holds the variants named, or every one that this machine runs, against the definition; `bench` measures
//! them instead, and `list` names those that this machine runs.
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

// Whether the arguments name a variant, or none at all.
static int is_wanted(const thimble_kernels *kernels, int count, char **names) {
    for (int i = 0; i < count; i++) {
        if (strcmp(names[i], kernels->name) == 0) return 1;
    }
    return count == 0;
}

int main(int count, char **arguments) {
    const thimble_kernels *tables[8];
    int32_t variants = thimble_kernels_available(tables, 8), failures = 0;
    int measures = count > 1 && strcmp(arguments[1], "bench") == 0;
    int lists = count > 1 && strcmp(arguments[1], "list") == 0, first = measures || lists ? 2 : 1;
    for (int32_t i = 0; i < variants; i++) {
        if (!is_wanted(tables[i], count - first, arguments + first)) continue;
        if (lists) {
            printf("%s\n", tables[i]->name);
        } else if (measures) {
            thimble_bench_run(tables[i]);
        } else {
            failures += run(tables[i], 1);
        }
    }
    return failures > 0;
}
