//! What the NEON files share: vectors of four floats, and the walk over a matrix's tiles.
#pragma once
#if defined(__aarch64__)
#include "variants.h"
#include <arm_neon.h>
#include <string.h>

// Functions whose constant arguments shape the code: loops over them unroll into registers.
#define TEMPLATE static inline __attribute__((always_inline))

enum { block = THIMBLE_BLOCK, tile_rows = THIMBLE_TILE_ROWS, unit_bytes = 64 };
enum { quads = tile_rows / 4 };  // vectors of four rows in a tile
enum { shared_tokens = 4 };      // tokens that share a tile's weights

// Rows end in a part of a vector: lanes from `count` on are zero, and memory beyond them is not touched.
TEMPLATE float32x4_t f32x4_load_part(const float *p, int64_t count) {
    if (count >= 4) return vld1q_f32(p);
    float part[4] = {0};
    if (count > 0) memcpy(part, p, (size_t)count * sizeof *p);
    return vld1q_f32(part);
}

TEMPLATE void f32x4_store_part(float *p, int64_t count, float32x4_t x) {
    if (count >= 4) {
        vst1q_f32(p, x);
    } else if (count > 0) {
        float part[4];
        vst1q_f32(part, x);
        memcpy(p, part, (size_t)count * sizeof *p);
    }
}

// Four halves as floats.
TEMPLATE float32x4_t f32x4_from_halves(const uint16_t *p) {
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}

TEMPLATE float32x4_t f32x4_load_part_of_halves(const uint16_t *p, int64_t count) {
    if (count >= 4) return f32x4_from_halves(p);
    uint16_t part[4] = {0};
    if (count > 0) memcpy(part, p, (size_t)count * sizeof *p);
    return f32x4_from_halves(part);
}

// exp(x) for x <= 0, relative error below 3e-7; 0 where the result would not be a normal float. NaN stays
// NaN.
//
// x = n ln 2 + r with |r| <= ln 2 / 2; e^r is its Taylor polynomial of degree 6, whose remainder is below
// r^7 / 7! = 1.2e-7; 2^n goes straight into the exponent bits.
TEMPLATE float32x4_t f32x4_exp_nonpositive(float32x4_t x) {
    // e^-87.33 is just above the smallest normal float. A comparison with NaN is false, so that NaN is kept.
    uint32x4_t vanishes = vcltq_f32(x, vdupq_n_f32(-87.33f));
    float32x4_t n = vrndnq_f32(vmulq_n_f32(x, 1.44269504f));
    // ln 2 in two parts: n times the first is exact.
    float32x4_t r = vfmsq_n_f32(x, n, 0x1.62e4p-1f);
    r = vfmsq_n_f32(r, n, 0x1.7f7d1cp-20f);
    float32x4_t e = vdupq_n_f32(1.0f / 720);
    e = vfmaq_f32(vdupq_n_f32(1.0f / 120), e, r);
    e = vfmaq_f32(vdupq_n_f32(1.0f / 24), e, r);
    e = vfmaq_f32(vdupq_n_f32(1.0f / 6), e, r);
    e = vfmaq_f32(vdupq_n_f32(0.5f), e, r);
    e = vfmaq_f32(vdupq_n_f32(1), e, r);
    e = vfmaq_f32(vdupq_n_f32(1), e, r);
    int32x4_t power = vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)), 23);
    float32x4_t y = vmulq_f32(e, vreinterpretq_f32_s32(power));
    return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(y), vanishes));
}

// One tile of codes against consecutive tokens.
typedef struct {
    const uint8_t *codes;
    const uint16_t *scales;
    int64_t blocks;         // blocks along a row
    int64_t group_blocks;   // blocks that share a weight scale
    const int8_t *x;        // [tokens][blocks * 32]
    const float *x_scales;  // [tokens][blocks]
} integer_tile;

// 4-bit codes of four rows: inputs 0...3 of each, and inputs 4...7.
TEMPLATE void unpack_q4(const uint8_t *codes, int8x16_t *low, int8x16_t *high) {
    uint8x16_t pair = vld1q_u8(codes);
    *low = vsubq_s8(vreinterpretq_s8_u8(vandq_u8(pair, vdupq_n_u8(15))), vdupq_n_s8(8));
    *high = vsubq_s8(vreinterpretq_s8_u8(vshrq_n_u8(pair, 4)), vdupq_n_s8(8));
}

// Four rows' sum of a token += weight scales of block b * the token's scale * dots.
TEMPLATE float32x4_t add_dots(const integer_tile *t, int64_t b, int64_t token, int64_t quad, int32x4_t dots,
                              float32x4_t sum) {
    float32x4_t scale = f32x4_from_halves(t->scales + b / t->group_blocks * tile_rows + quad * 4);
    float32x4_t both = vmulq_n_f32(scale, t->x_scales[token * t->blocks + b]);
    return vfmaq_f32(sum, both, vcvtq_f32_s32(dots));
}

// Stores the first `rows` of a tile's 16 outputs.
TEMPLATE void store_tile(const float32x4_t sums[quads], int64_t rows, float *y) {
    for (int64_t i = 0; i < quads; i++) f32x4_store_part(y + i * 4, rows - i * 4, sums[i]);
}

// Writes the first `rows` outputs of a tile for 1 to shared_tokens tokens.
typedef void integer_panel_function(const integer_tile *t, int64_t tokens, int64_t rows, float *y,
                                    int64_t y_stride);

TEMPLATE void for_each_integer_panel(integer_panel_function *panel, const int32_t bits,
                                     const thimble_weights *w, const thimble_quantized *x, int64_t tokens,
                                     int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride) {
    int64_t blocks = w->padded_columns / block;
    for (int64_t tile = tile_begin; tile < tile_end; tile++) {
        int64_t row = tile * tile_rows;
        integer_tile t = {
            .codes = (const uint8_t *)w->codes + tile * (w->padded_columns * bits / 32 * unit_bytes),
            .scales = w->scales + tile * (w->padded_columns / w->group * tile_rows),
            .blocks = blocks,
            .group_blocks = w->group / block,
        };
        for (int64_t token = 0; token < tokens; token += shared_tokens) {
            t.x = x->codes + token * w->padded_columns;
            t.x_scales = x->scales + token * blocks;
            int64_t count = tokens - token < shared_tokens ? tokens - token : shared_tokens;
            panel(&t, count, w->rows - row, y + token * y_stride + row, y_stride);
        }
    }
}

// With the dot product instructions (Armv8.2 and later, as Cortex-A76).
void thimble_neon_matmul_q4(const thimble_weights *w, const thimble_quantized *x, int64_t tokens,
                            int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride);
void thimble_neon_matmul_q8(const thimble_weights *w, const thimble_quantized *x, int64_t tokens,
                            int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride);
integer_panel_function thimble_neon_panel_q4;
integer_panel_function thimble_neon_panel_q8;
// With the 8-bit matrix product as well (Armv8.6, as Neoverse V1).
void thimble_neon_i8mm_matmul_q4(const thimble_weights *w, const thimble_quantized *x, int64_t tokens,
                                 int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride);
void thimble_neon_i8mm_matmul_q8(const thimble_weights *w, const thimble_quantized *x, int64_t tokens,
                                 int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride);
void thimble_neon_matmul_f16(const thimble_weights *w, const float *x, int64_t x_stride, int64_t tokens,
                             int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride);
void thimble_neon_matmul_f32(const thimble_weights *w, const float *x, int64_t x_stride, int64_t tokens,
                             int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride);
void thimble_neon_attention(const thimble_attention *a, int64_t kv_head, int64_t token_begin,
                            int64_t token_end, float *scratch);
void thimble_neon_resample_row(const thimble_taps *taps, const uint8_t *row, uint8_t *out);
void thimble_neon_blend_rows(const uint8_t *const rows[], const int16_t *weights, int64_t count,
                             int32_t precision, int64_t length, uint8_t *out);
#endif
