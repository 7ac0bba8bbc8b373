//! What the variants share: the tables that the dispatch lists, and the sizes that all of them keep to.
#pragma once
#include "CKernels.h"

// Query rows (a token with a head of the group) that an attention pass holds at once, and keys it takes in a step.
// Keys cost one conversion from float16 a pass, so that more rows make them cheaper; scratch grows with both.
#define ATTENTION_ROWS 48
#define ATTENTION_KEYS 64

// Scores are held within this bound, so that the difference of two is never infinity - infinity.
#define ATTENTION_SCORE_LIMIT 3e38f

// A block whose largest magnitude is below this quantizes to zeros: 127 / magnitude must be a finite float.
#define QUANTIZE_SMALLEST 0x1p-120f

// A matrix row is read one word a cache line, so that no vector unit helps: every variant uses the definition.
void thimble_scalar_gather_row(const thimble_weights *w, int32_t bits, int64_t row, int64_t columns, float *y);

#if defined(__x86_64__)
extern const thimble_kernels thimble_kernels_avx2;
#endif
#if defined(__aarch64__)
extern const thimble_kernels thimble_kernels_neon;
#endif
