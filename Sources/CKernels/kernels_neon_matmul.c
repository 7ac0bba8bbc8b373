//! Matrix products with NEON: a tile of 16 rows is four vectors of outputs, and a few tokens share its codes.
#include "neon.h"
#if defined(__aarch64__)

#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)

// Four inputs, once for each of four rows.
TEMPLATE int8x16_t repeat_four(const int8_t *p) {
    int32_t four;
    memcpy(&four, p, sizeof four);
    return vreinterpretq_s8_s32(vdupq_n_s32(four));
}

TEMPLATE void block_q4(const integer_tile *t, int64_t b, const int64_t tokens, int32x4_t dots[][quads]) {
    const uint8_t *codes = t->codes + b * (block / 8) * unit_bytes;
    for (int64_t unit = 0; unit < block / 8; unit++, codes += unit_bytes) {
        int8x16_t low[quads], high[quads];
        for (int64_t i = 0; i < quads; i++) unpack_q4(codes + i * 16, &low[i], &high[i]);
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

TEMPLATE void panel(const integer_tile *t, const int32_t bits, const int64_t tokens, int64_t rows, float *y,
                    int64_t y_stride) {
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
            for (int64_t token = 0; token < tokens; token++) {
                sums[token][i] = add_dots(t, b, token, i, dots[token][i], sums[token][i]);
            }
        }
    }
    for (int64_t token = 0; token < tokens; token++) store_tile(sums[token], rows, y + token * y_stride);
}

TEMPLATE void panel_of(const int32_t bits, const integer_tile *t, int64_t tokens, int64_t rows, float *y,
                       int64_t y_stride) {
    switch (tokens) {
        case 1: panel(t, bits, 1, rows, y, y_stride); break;
        case 2: panel(t, bits, 2, rows, y, y_stride); break;
        case 3: panel(t, bits, 3, rows, y, y_stride); break;
        default: panel(t, bits, 4, rows, y, y_stride); break;
    }
}

void thimble_neon_panel_q4(const integer_tile *t, int64_t tokens, int64_t rows, float *y, int64_t y_stride) {
    panel_of(4, t, tokens, rows, y, y_stride);
}

void thimble_neon_panel_q8(const integer_tile *t, int64_t tokens, int64_t rows, float *y, int64_t y_stride) {
    panel_of(8, t, tokens, rows, y, y_stride);
}

void thimble_neon_matmul_q4(const thimble_weights *w, const thimble_quantized *x, int64_t tokens,
                            int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride) {
    for_each_integer_panel(thimble_neon_panel_q4, 4, w, x, tokens, tile_begin, tile_end, y, y_stride);
}

void thimble_neon_matmul_q8(const thimble_weights *w, const thimble_quantized *x, int64_t tokens,
                            int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride) {
    for_each_integer_panel(thimble_neon_panel_q8, 8, w, x, tokens, tile_begin, tile_end, y, y_stride);
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
                uint16x8_t both = vreinterpretq_u16_u8(vld1q_u8(units + i * 16));
                uint16x8_t apart = vuzp1q_u16(both, both), other = vuzp2q_u16(both, both);
                weights[0] = vcvt_f32_f16(vreinterpret_f16_u16(vget_low_u16(apart)));
                weights[1] = vcvt_f32_f16(vreinterpret_f16_u16(vget_low_u16(other)));
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

void thimble_neon_matmul_f16(const thimble_weights *w, const float *x, int64_t x_stride, int64_t tokens,
                             int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride) {
    matmul_float(16, w, x, x_stride, tokens, tile_begin, tile_end, y, y_stride);
}

void thimble_neon_matmul_f32(const thimble_weights *w, const float *x, int64_t x_stride, int64_t tokens,
                             int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride) {
    matmul_float(32, w, x, x_stride, tokens, tile_begin, tile_end, y, y_stride);
}

#pragma clang attribute pop
#endif
