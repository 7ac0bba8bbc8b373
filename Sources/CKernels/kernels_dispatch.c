//! The choice of variants at run time: what this processor and its operating system can run.
#include "variants.h"
#if defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#elif defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

static int32_t append(const thimble_kernels *tables[], int32_t count, int32_t capacity,
                      const thimble_kernels *table) {
    if (count >= capacity) return count;
    tables[count] = table;
    return count + 1;
}

#if defined(__x86_64__)
static int has_avx512(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
           && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")
           && __builtin_cpu_supports("avx512vnni");
}

// Whether the processor has tiles of bytes, and the operating system saves them and lets this process use
// them: Linux wants to be asked first, since their 8 KiB make a signal's frame larger.
static int has_amx(void) {
    uint32_t a, b, c, d;
    enum { tile_features = 1 << 24 | 1 << 25, tile_state = 1 << 17 | 1 << 18 };
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & tile_features) != tile_features) return 0;
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    if ((low & tile_state) != tile_state) return 0;
#if defined(__linux__)
    enum { request_permission = 0x1023, tile_data = 18 };
    return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
    return 0;
#endif
}
#endif

int32_t thimble_kernels_available(const thimble_kernels *tables[], int32_t capacity) {
    int32_t count = append(tables, 0, capacity, thimble_kernels_scalar());
#if defined(__x86_64__)
    // The compiler's run time reports AVX and what builds on it only where the operating system saves the
    // registers.
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c")) {
        count = append(tables, count, capacity, &thimble_kernels_avx2);
        if (has_avx512()) {
            count = append(tables, count, capacity, &thimble_kernels_avx512);
            if (has_amx()) count = append(tables, count, capacity, &thimble_kernels_amx);
        }
    }
#elif defined(__aarch64__) && defined(__linux__)
    if (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) {
        count = append(tables, count, capacity, &thimble_kernels_neon);
        if (getauxval(AT_HWCAP2) & HWCAP2_I8MM) {
            count = append(tables, count, capacity, &thimble_kernels_neon_i8mm);
        }
    }
#endif
    return count;
}

int64_t thimble_attention_scratch_count(int64_t head_size) {
    // Rows and keys come in steps of their own size, whatever the heads' grouping and the pages' size are.
    int64_t width = (head_size + 15) / 16 * 16;  // the longest vectors that a variant keeps heads in
    int64_t queries = ATTENTION_ROWS * width, sums = ATTENTION_ROWS * width;
    int64_t scores = ATTENTION_ROWS * ATTENTION_KEYS, keys_and_values = 2 * ATTENTION_KEYS * width;
    int64_t largest_total_shrink = 4 * ATTENTION_ROWS;
    return queries + sums + scores + keys_and_values + largest_total_shrink;
}
