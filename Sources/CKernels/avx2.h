//! What the AVX2 files share. Include it inside no function: it opens the target attribute for the whole
//! file.
#pragma once
#if defined(__x86_64__)
#include "variants.h"
#include <immintrin.h>
#include <string.h>

// The package is built for the baseline processor; these files are for one that has AVX2, FMA and F16C.
// AVX2_END closes it at the end of each file.
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#define AVX2_END _Pragma("clang attribute pop")

// Functions whose constant arguments shape the code: loops over them unroll into registers.
#define TEMPLATE static inline __attribute__((always_inline))

typedef __m256 f32x8;
typedef __m256i i32x8;

TEMPLATE f32x8 f32x8_from_halves(const void *p) {
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}

TEMPLATE float f32x8_sum(f32x8 v) {
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

TEMPLATE float f32x8_largest(f32x8 v) {
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

// exp(x) for x <= 0, relative error below 3e-7; 0 where the result would not be a normal float. NaN stays
// NaN.
//
// x = n ln 2 + r with |r| <= ln 2 / 2; e^r is its Taylor polynomial of degree 6, whose remainder is below
// r^7 / 7! = 1.2e-7; 2^n goes straight into the exponent bits.
TEMPLATE f32x8 f32x8_exp_nonpositive(f32x8 x) {
    const f32x8 smallest = _mm256_set1_ps(-87.33f);  // e^-87.33 is just above the smallest normal float
    f32x8 normal = _mm256_cmp_ps(x, smallest, _CMP_NLT_UQ);
    f32x8 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504f)),
                              _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    // ln 2 in two parts: n times the first is exact.
    f32x8 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0x1.62e4p-1f), x);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0x1.7f7d1cp-20f), r);
    f32x8 e = _mm256_set1_ps(1.0f / 720);
    e = _mm256_fmadd_ps(e, r, _mm256_set1_ps(1.0f / 120));
    e = _mm256_fmadd_ps(e, r, _mm256_set1_ps(1.0f / 24));
    e = _mm256_fmadd_ps(e, r, _mm256_set1_ps(1.0f / 6));
    e = _mm256_fmadd_ps(e, r, _mm256_set1_ps(0.5f));
    e = _mm256_fmadd_ps(e, r, _mm256_set1_ps(1));
    e = _mm256_fmadd_ps(e, r, _mm256_set1_ps(1));
    i32x8 power = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    return _mm256_and_ps(_mm256_mul_ps(e, _mm256_castsi256_ps(power)), normal);
}

// Lanes below `count` all ones, the rest zero; for masked loads and stores. count may be beyond 0...8.
TEMPLATE i32x8 lanes_below(int64_t count) {
    int32_t limit = count > 8 ? 8 : count < 0 ? 0 : (int32_t)count;
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(limit), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

// Rows end in a part of a vector: lanes from `count` on are zero, and memory beyond them is not touched.
TEMPLATE f32x8 load_part(const float *p, int64_t count) {
    return count >= 8 ? _mm256_loadu_ps(p) : _mm256_maskload_ps(p, lanes_below(count));
}
TEMPLATE f32x8 load_part_of_halves(const uint16_t *p, int64_t count) {
    if (count >= 8) return f32x8_from_halves(p);
    uint16_t part[8] = {0};
    memcpy(part, p, (size_t)count * sizeof *p);
    return f32x8_from_halves(part);
}
TEMPLATE void store_part(float *p, int64_t count, f32x8 x) {
    if (count >= 8) {
        _mm256_storeu_ps(p, x);
    } else {
        _mm256_maskstore_ps(p, lanes_below(count), x);
    }
}

void thimble_avx2_matmul_q4(const thimble_weights *w, const thimble_quantized *x, int64_t tokens,
                            int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride);
void thimble_avx2_matmul_q8(const thimble_weights *w, const thimble_quantized *x, int64_t tokens,
                            int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride);
void thimble_avx2_matmul_f16(const thimble_weights *w, const float *x, int64_t x_stride, int64_t tokens,
                             int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride);
void thimble_avx2_matmul_f32(const thimble_weights *w, const float *x, int64_t x_stride, int64_t tokens,
                             int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride);
void thimble_avx2_store_int8(const float *x, int64_t count, int8_t *codes, float *scale);
void thimble_avx2_store_int5(const float *x, int64_t count, uint32_t *codes, uint32_t *word);
void thimble_avx2_attention(const thimble_attention *a, int64_t kv_head, int64_t token_begin,
                            int64_t token_end, float *scratch);
#endif
