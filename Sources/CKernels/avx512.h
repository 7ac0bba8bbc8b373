//! What the AVX-512 files share. Include it inside no function: it opens the target attribute for the whole
//! file.
#pragma once
#if defined(__x86_64__)
#include "variants.h"
#include <immintrin.h>
#include <string.h>

// The package is built for the baseline processor; these files are for one that has AVX-512 with VNNI.
// AVX512_END closes it at the end of each file. Tuned for other processors, the compiler would take products
// of 16-bit integers and their sums apart into two instructions, for a latency that these loops hide anyway.
#define AVX512_FEATURES "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,tune=znver4"
#pragma clang attribute push(__attribute__((target(AVX512_FEATURES))), apply_to = function)
#define AVX512_END _Pragma("clang attribute pop")

// Functions whose constant arguments shape the code: loops over them unroll into registers.
#define TEMPLATE static inline __attribute__((always_inline))

typedef __m512 f32x16;
typedef __m512i i32x16;

// The first `count` lanes; count may be beyond 0...16.
TEMPLATE __mmask16 lanes_below(int64_t count) {
    return count >= 16 ? 0xffff : count <= 0 ? 0 : (__mmask16)((1u << count) - 1);
}

// Rows end in a part of a vector: lanes from `count` on are zero, and memory beyond them is not touched.
TEMPLATE f32x16 load_part(const float *p, int64_t count) {
    return _mm512_maskz_loadu_ps(lanes_below(count), p);
}
TEMPLATE f32x16 load_halves(const uint16_t *p, __mmask16 real) {
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(real, p));
}
TEMPLATE void store_part(float *p, int64_t count, f32x16 x) {
    _mm512_mask_storeu_ps(p, lanes_below(count), x);
}

// exp(x) for x <= 0, relative error below 3e-7; 0 where the result would not be a normal float. NaN stays
// NaN.
//
// x = n ln 2 + r with |r| <= ln 2 / 2; e^r is its Taylor polynomial of degree 6, whose remainder is below
// r^7 / 7! = 1.2e-7.
TEMPLATE f32x16 f32x16_exp_nonpositive(f32x16 x) {
    const f32x16 smallest = _mm512_set1_ps(-87.33f);  // e^-87.33 is just above the smallest normal float
    __mmask16 normal = _mm512_cmp_ps_mask(x, smallest, _CMP_NLT_UQ);
    f32x16 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)),
                                    _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    // ln 2 in two parts: n times the first is exact.
    f32x16 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0x1.62e4p-1f), x);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0x1.7f7d1cp-20f), r);
    f32x16 e = _mm512_set1_ps(1.0f / 720);
    e = _mm512_fmadd_ps(e, r, _mm512_set1_ps(1.0f / 120));
    e = _mm512_fmadd_ps(e, r, _mm512_set1_ps(1.0f / 24));
    e = _mm512_fmadd_ps(e, r, _mm512_set1_ps(1.0f / 6));
    e = _mm512_fmadd_ps(e, r, _mm512_set1_ps(0.5f));
    e = _mm512_fmadd_ps(e, r, _mm512_set1_ps(1));
    e = _mm512_fmadd_ps(e, r, _mm512_set1_ps(1));
    return _mm512_maskz_scalef_ps(normal, e, n);
}

TEMPLATE int32_t word_at(const void *p) {
    int32_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

void thimble_avx512_quantize(const float *x, int64_t count, int64_t padded, int8_t *codes, float *scales,
                             int32_t *sums);
void thimble_avx512_rms_norm(const float *x, const float *weight, int64_t count, float epsilon, float *y);
void thimble_avx512_add_rms_norm(const float *x, const float *weight, int64_t count, float epsilon,
                                 float *residual);
void thimble_avx512_layer_norm(const float *x, const float *weight, const float *bias, int64_t count,
                               float epsilon, float *y);
void thimble_avx512_add(const float *x, int64_t count, float *y);
void thimble_avx512_add_scaled(const float *x, float factor, int64_t count, float *y);
void thimble_avx512_swiglu(const float *x, int64_t count, float *y);
void thimble_avx512_gelu(const float *x, int64_t count, float *y);
void thimble_avx512_rope_interleaved(float *x, const float *cosines, const float *sines, int64_t pairs);
void thimble_avx512_rope_half(float *x, const float *cosines, const float *sines, int64_t pairs);
void thimble_avx512_store_f16(const float *x, int64_t count, uint16_t *y);
void thimble_avx512_matmul_q4(const thimble_weights *w, const thimble_quantized *x, int64_t tokens,
                              int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride);
void thimble_avx512_matmul_q8(const thimble_weights *w, const thimble_quantized *x, int64_t tokens,
                              int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride);
void thimble_avx512_matmul_f16(const thimble_weights *w, const float *x, int64_t x_stride, int64_t tokens,
                               int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride);
void thimble_avx512_matmul_f32(const thimble_weights *w, const float *x, int64_t x_stride, int64_t tokens,
                               int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride);
void thimble_avx2_matmul_f16(const thimble_weights *w, const float *x, int64_t x_stride, int64_t tokens,
                             int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride);
void thimble_avx512_store_int8(const float *x, int64_t count, int8_t *codes, float *scale);
void thimble_avx512_store_int5(const float *x, int64_t count, uint32_t *codes, uint32_t *word);
void thimble_avx512_attention(const thimble_attention *a, int64_t kv_head, int64_t token_begin,
                              int64_t token_end, float *scratch);
#endif
