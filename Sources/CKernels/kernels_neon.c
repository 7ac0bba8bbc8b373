//! The NEON variant, for processors with the dot product instructions (Armv8.2 and later, as Cortex-A76).
#include "variants.h"
#if defined(__aarch64__)
#include <arm_neon.h>
#include <math.h>

#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)

// Functions whose constant arguments shape the code: loops over them unroll into registers.
#define TEMPLATE static inline __attribute__((always_inline))

enum { block = THIMBLE_BLOCK, tile_rows = THIMBLE_TILE_ROWS, unit_bytes = 64 };
enum { shared_tokens = 4, quads = 4 };  // tokens that share a tile's weights; vectors of four rows in a tile

// One tile against consecutive tokens.
typedef struct {
    const uint8_t *codes;
    const uint16_t *scales;
    int64_t blocks;         // blocks along a row
    int64_t group_blocks;   // blocks that share a weight scale
    const int8_t *x;        // [tokens][blocks * 32]
    const float *x_scales;  // [tokens][blocks]
} integer_tile;

// Four halves as floats.
TEMPLATE float32x4_t widen(const uint16_t *p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }

// Four inputs, once for each of four rows.
TEMPLATE int8x16_t repeat_four(const int8_t *p) {
    return vreinterpretq_s8_s32(vld1q_dup_s32((const int32_t *)(const void *)p));
}

TEMPLATE void block_q4(const integer_tile *t, int64_t b, const int64_t tokens, int32x4_t dots[][quads]) {
    const uint8_t *codes = t->codes + b * (block / 8) * unit_bytes;
    for (int64_t unit = 0; unit < block / 8; unit++, codes += unit_bytes) {
        int8x16_t low[quads], high[quads];
        for (int64_t i = 0; i < quads; i++) {
            uint8x16_t pair = vld1q_u8(codes + i * 16);
            low[i] = vsubq_s8(vreinterpretq_s8_u8(vandq_u8(pair, vdupq_n_u8(15))), vdupq_n_s8(8));
            high[i] = vsubq_s8(vreinterpretq_s8_u8(vshrq_n_u8(pair, 4)), vdupq_n_s8(8));
        }
        for (int64_t token = 0; token < tokens; token++) {
            const int8_t *x = t->x + (token * t->blocks + b) * block + unit * 8;
            int8x16_t x0 = repeat_four(x), x4 = repeat_four(x + 4);
            for (int64_t i = 0; i < quads; i++) {
                dots[token][i] = vdotq_s32(vdotq_s32(dots[token][i], low[i], x0), high[i], x4);
            }
        }
    }
}

TEMPLATE void block_q8(const integer_tile *t, int64_t b, const int64_t tokens, int32x4_t dots[][quads]) {
    const int8_t *codes = (const int8_t *)t->codes + b * (block / 4) * unit_bytes;
    for (int64_t unit = 0; unit < block / 4; unit++, codes += unit_bytes) {
        for (int64_t token = 0; token < tokens; token++) {
            int8x16_t x = repeat_four(t->x + (token * t->blocks + b) * block + unit * 4);
            for (int64_t i = 0; i < quads; i++) {
                dots[token][i] = vdotq_s32(dots[token][i], vld1q_s8(codes + i * 16), x);
            }
        }
    }
}

// Stores the first `rows` of a tile's 16 outputs.
TEMPLATE void store_tile(const float32x4_t sums[quads], int64_t rows, float *y) {
    float out[tile_rows];
    float *to = rows >= tile_rows ? y : out;
    for (int64_t i = 0; i < quads; i++) vst1q_f32(to + i * 4, sums[i]);
    for (int64_t i = 0; i < rows && to == out; i++) y[i] = out[i];
}

TEMPLATE void integer_panel(const integer_tile *t, const int32_t bits, const int64_t tokens, int64_t rows,
                            float *y, int64_t y_stride) {
    float32x4_t sums[shared_tokens][quads];
    for (int64_t i = 0; i < tokens * quads; i++) sums[i / quads][i % quads] = vdupq_n_f32(0);
    for (int64_t b = 0; b < t->blocks; b++) {
        int32x4_t dots[shared_tokens][quads];
        for (int64_t i = 0; i < tokens * quads; i++) dots[i / quads][i % quads] = vdupq_n_s32(0);
        if (bits == 4) {
            block_q4(t, b, tokens, dots);
        } else {
            block_q8(t, b, tokens, dots);
        }
        for (int64_t i = 0; i < quads; i++) {
            float32x4_t scale = widen(t->scales + b / t->group_blocks * tile_rows + i * 4);
            for (int64_t token = 0; token < tokens; token++) {
                float32x4_t both = vmulq_n_f32(scale, t->x_scales[token * t->blocks + b]);
                sums[token][i] = vfmaq_f32(sums[token][i], both, vcvtq_f32_s32(dots[token][i]));
            }
        }
    }
    for (int64_t token = 0; token < tokens; token++) store_tile(sums[token], rows, y + token * y_stride);
}

TEMPLATE void matmul_integer(const int32_t bits, const thimble_weights *w, const thimble_quantized *x,
                             int64_t tokens, int64_t tile_begin, int64_t tile_end, float *y,
                             int64_t y_stride) {
    int64_t blocks = w->padded_columns / block;
    for (int64_t tile = tile_begin; tile < tile_end; tile++) {
        int64_t row = tile * tile_rows, rows = w->rows - row;
        integer_tile t = {
            .codes = (const uint8_t *)w->codes + tile * (w->padded_columns * bits / 32 * unit_bytes),
            .scales = w->scales + tile * (w->padded_columns / w->group * tile_rows),
            .blocks = blocks,
            .group_blocks = w->group / block,
        };
        for (int64_t token = 0; token < tokens; token += shared_tokens) {
            t.x = x->codes + token * w->padded_columns;
            t.x_scales = x->scales + token * blocks;
            float *out = y + token * y_stride + row;
            switch (tokens - token) {
                case 1: integer_panel(&t, bits, 1, rows, out, y_stride); break;
                case 2: integer_panel(&t, bits, 2, rows, out, y_stride); break;
                case 3: integer_panel(&t, bits, 3, rows, out, y_stride); break;
                default: integer_panel(&t, bits, 4, rows, out, y_stride); break;
            }
        }
    }
}

static void matmul_q4(const thimble_weights *w, const thimble_quantized *x, int64_t tokens,
                      int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride) {
    matmul_integer(4, w, x, tokens, tile_begin, tile_end, y, y_stride);
}

static void matmul_q8(const thimble_weights *w, const thimble_quantized *x, int64_t tokens,
                      int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride) {
    matmul_integer(8, w, x, tokens, tile_begin, tile_end, y, y_stride);
}

// A unit of float16 is two columns, side by side in each row's word; a unit of float32 is one.
TEMPLATE void float_panel(const uint8_t *units, const int32_t bits, int64_t columns, const float *x,
                          int64_t x_stride, const int64_t tokens, int64_t rows, float *y, int64_t y_stride) {
    float32x4_t sums[shared_tokens][quads];
    for (int64_t i = 0; i < tokens * quads; i++) sums[i / quads][i % quads] = vdupq_n_f32(0);
    const int64_t per_unit = 32 / bits;
    for (int64_t k = 0; k < columns; k += per_unit, units += unit_bytes) {
        for (int64_t i = 0; i < quads; i++) {
            float32x4_t weights[2];
            if (bits == 16) {
                uint16x4x2_t apart = vld2_u16((const uint16_t *)(const void *)(units + i * 16));
                weights[0] = vcvt_f32_f16(vreinterpret_f16_u16(apart.val[0]));
                weights[1] = vcvt_f32_f16(vreinterpret_f16_u16(apart.val[1]));
            } else {
                weights[0] = vreinterpretq_f32_u8(vld1q_u8(units + i * 16));
            }
            for (int64_t token = 0; token < tokens; token++) {
                for (int64_t column = 0; column < per_unit; column++) {
                    float input = x[token * x_stride + k + column];
                    sums[token][i] = vfmaq_n_f32(sums[token][i], weights[column], input);
                }
            }
        }
    }
    for (int64_t token = 0; token < tokens; token++) store_tile(sums[token], rows, y + token * y_stride);
}

TEMPLATE void matmul_float(const int32_t bits, const thimble_weights *w, const float *x, int64_t x_stride,
                           int64_t tokens, int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride) {
    int64_t columns = w->padded_columns;
    for (int64_t tile = tile_begin; tile < tile_end; tile++) {
        const uint8_t *units = (const uint8_t *)w->codes + tile * (columns * bits / 32 * unit_bytes);
        int64_t row = tile * tile_rows, rows = w->rows - row;
        for (int64_t token = 0; token < tokens; token += shared_tokens) {
            const float *in = x + token * x_stride;
            float *out = y + token * y_stride + row;
            switch (tokens - token) {
                case 1: float_panel(units, bits, columns, in, x_stride, 1, rows, out, y_stride); break;
                case 2: float_panel(units, bits, columns, in, x_stride, 2, rows, out, y_stride); break;
                case 3: float_panel(units, bits, columns, in, x_stride, 3, rows, out, y_stride); break;
                default: float_panel(units, bits, columns, in, x_stride, 4, rows, out, y_stride); break;
            }
        }
    }
}

static void matmul_f16(const thimble_weights *w, const float *x, int64_t x_stride, int64_t tokens,
                       int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride) {
    matmul_float(16, w, x, x_stride, tokens, tile_begin, tile_end, y, y_stride);
}

static void matmul_f32(const thimble_weights *w, const float *x, int64_t x_stride, int64_t tokens,
                       int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride) {
    matmul_float(32, w, x, x_stride, tokens, tile_begin, tile_end, y, y_stride);
}

// q . k, held within bounds; NaN stays NaN.
static float score(const float *q, const uint16_t *key, int64_t size, float scale) {
    float32x4_t sums[2] = {vdupq_n_f32(0), vdupq_n_f32(0)};
    for (int64_t i = 0; i < size; i += 8) {
        for (int64_t half = 0; half < 2; half++) {
            float32x4_t scaled = vmulq_n_f32(vld1q_f32(q + i + half * 4), scale);
            sums[half] = vfmaq_f32(sums[half], scaled, widen(key + i + half * 4));
        }
    }
    float sum = vaddvq_f32(vaddq_f32(sums[0], sums[1]));
    if (sum > THIMBLE_ATTENTION_SCORE_LIMIT) sum = THIMBLE_ATTENTION_SCORE_LIMIT;
    if (sum < -THIMBLE_ATTENTION_SCORE_LIMIT) sum = -THIMBLE_ATTENTION_SCORE_LIMIT;
    return sum;
}

// One query head of one token against its keys, as the definition does it.
static void attend(const thimble_attention *a, int64_t kv_head, const float *q, int64_t keys, float *out) {
    int64_t size = a->head_size;
    float largest = -THIMBLE_ATTENTION_SCORE_LIMIT, total = 0;
    for (int64_t i = 0; i < size; i++) out[i] = 0;
    for (int64_t position = 0; position < keys; position++) {
        const uint16_t *page = a->pages + a->block_table[position / a->page_tokens] * a->page_stride;
        const uint16_t *key = page + (kv_head * a->page_tokens + position % a->page_tokens) * size;
        const uint16_t *value = key + a->kv_heads * a->page_tokens * size;
        float s = score(q, key, size, a->scale);
        if (s > largest) {
            float shrink = expf(largest - s);
            for (int64_t i = 0; i < size; i += 4) vst1q_f32(out + i, vmulq_n_f32(vld1q_f32(out + i), shrink));
            total *= shrink;
            largest = s;
        }
        float weight = expf(s - largest);
        for (int64_t i = 0; i < size; i += 4) {
            vst1q_f32(out + i, vfmaq_n_f32(vld1q_f32(out + i), widen(value + i), weight));
        }
        total += weight;
    }
    for (int64_t i = 0; i < size; i++) out[i] = total == 0 ? 0 : out[i] / total;
}

static void attention(const thimble_attention *a, int64_t kv_head, int64_t token_begin, int64_t token_end,
                      float *scratch) {
    int all_keys = a->key_begin == 0 && a->key_end == a->kv_length;
    if (a->head_size % 8 != 0 || !all_keys || a->shares) {
        // No published model has such heads, and few calls look at a range of keys: the definition serves
        // them.
        thimble_scalar_attention(a, kv_head, token_begin, token_end, scratch);
        return;
    }
    int64_t group = a->q_heads / a->kv_heads;
    for (int64_t token = token_begin; token < token_end; token++) {
        int64_t keys = a->causal ? a->start + token + 1 : a->kv_length;
        for (int64_t head = kv_head * group; head < (kv_head + 1) * group; head++) {
            attend(a, kv_head, a->q + token * a->q_stride + head * a->head_size, keys,
                   a->out + token * a->out_stride + head * a->head_size);
        }
    }
}

const thimble_kernels thimble_kernels_neon = {
    .name = "neon",
    .quantize = thimble_scalar_quantize,
    .matmul_q4 = matmul_q4,
    .matmul_q8 = matmul_q8,
    .matmul_f16 = matmul_f16,
    .matmul_f32 = matmul_f32,
    .gather_row = thimble_scalar_gather_row,
    .rms_norm = thimble_scalar_rms_norm,
    .add_rms_norm = thimble_scalar_add_rms_norm,
    .layer_norm = thimble_scalar_layer_norm,
    .add = thimble_scalar_add,
    .add_scaled = thimble_scalar_add_scaled,
    .swiglu = thimble_scalar_swiglu,
    .gelu = thimble_scalar_gelu,
    .rope_interleaved = thimble_scalar_rope_interleaved,
    .rope_half = thimble_scalar_rope_half,
    .store_f16 = thimble_scalar_store_f16,
    .attention = attention,
};

#pragma clang attribute pop
#endif
