//! What the variants share: the tables that the dispatch lists, and the sizes that all of them keep to.
#pragma once
#include "CKernels.h"

// Query rows that an attention pass holds at once, and keys it takes in a step.
#define ATTENTION_ROWS THIMBLE_ATTENTION_ROWS
#define ATTENTION_KEYS 64

// A head in whole vectors of eight.
#define ATTENTION_WIDTH(head_size) (((head_size) + 7) / 8 * 8)

// A block whose largest magnitude is below this quantizes to zeros: 127 / magnitude must be a finite float.
#define QUANTIZE_SMALLEST 0x1p-120f

// Kernels of the definition that other variants may list as their own. Gathering a row is one of them
// everywhere: it reads one word a cache line, so that no vector unit helps.
void thimble_scalar_gather_row(const thimble_weights *w, int32_t bits, int64_t row, int64_t columns,
                               float *y);
void thimble_scalar_quantize(const float *x, int64_t count, int64_t padded, int8_t *codes, float *scales,
                             int32_t *sums);
void thimble_scalar_rms_norm(const float *x, const float *weight, int64_t count, float epsilon, float *y);
void thimble_scalar_add_rms_norm(const float *x, const float *weight, int64_t count, float epsilon,
                                 float *residual);
void thimble_scalar_layer_norm(const float *x, const float *weight, const float *bias, int64_t count,
                               float epsilon, float *y);
void thimble_scalar_add(const float *x, int64_t count, float *y);
void thimble_scalar_add_scaled(const float *x, float factor, int64_t count, float *y);
void thimble_scalar_swiglu(const float *x, int64_t count, float *y);
void thimble_scalar_gelu(const float *x, int64_t count, float *y);
void thimble_scalar_rope_interleaved(float *x, const float *cosines, const float *sines, int64_t pairs);
void thimble_scalar_rope_half(float *x, const float *cosines, const float *sines, int64_t pairs);
void thimble_scalar_store_f16(const float *x, int64_t count, uint16_t *y);
void thimble_scalar_store_int8(const float *x, int64_t count, int8_t *codes, float *scale);
void thimble_scalar_store_int5(const float *x, int64_t count, uint32_t *codes, uint32_t *word);
void thimble_scalar_attention(const thimble_attention *a, int64_t kv_head, int64_t token_begin,
                              int64_t token_end, float *scratch);
void thimble_scalar_resample_row(const thimble_taps *taps, const uint8_t *row, uint8_t *out);
void thimble_scalar_blend_rows(const uint8_t *const rows[], const int16_t *weights, int64_t count,
                               int32_t precision, int64_t length, uint8_t *out);

#if defined(__x86_64__)
void thimble_avx2_resample_row(const thimble_taps *taps, const uint8_t *row, uint8_t *out);
void thimble_avx2_blend_rows(const uint8_t *const rows[], const int16_t *weights, int64_t count,
                             int32_t precision, int64_t length, uint8_t *out);
extern const thimble_kernels thimble_kernels_avx2;
extern const thimble_kernels thimble_kernels_avx512;
extern const thimble_kernels thimble_kernels_amx;
#endif
#if defined(__aarch64__)
extern const thimble_kernels thimble_kernels_neon;
extern const thimble_kernels thimble_kernels_neon_i8mm;
#endif
