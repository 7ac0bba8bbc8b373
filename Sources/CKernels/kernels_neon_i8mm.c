//! Integer matrix products with NEON's 8-bit matrix instruction: two rows by two tokens over eight inputs.
#include "neon.h"
#if defined(__aarch64__)

#pragma clang attribute push(__attribute__((target("dotprod,i8mm"))), apply_to = function)

enum { row_pairs = tile_rows / 2, token_pairs = shared_tokens / 2, eights = block / 8 };

// Two rows' eight inputs each, from four rows' inputs 0...3 and 4...7: rows 0 and 1 in [0], 2 and 3 in [1].
TEMPLATE void join_inputs(int8x16_t low, int8x16_t high, int8x16_t rows[2]) {
    int32x4_t a = vreinterpretq_s32_s8(low), b = vreinterpretq_s32_s8(high);
    rows[0] = vreinterpretq_s8_s32(vzip1q_s32(a, b));
    rows[1] = vreinterpretq_s8_s32(vzip2q_s32(a, b));
}

// Four rows of a tile over inputs 8 * eight...8 * eight + 7 of block b.
TEMPLATE void load_rows(const integer_tile *t, const int32_t bits, int64_t b, int64_t eight, int64_t quad,
                        int8x16_t rows[2]) {
    int8x16_t low, high;
    if (bits == 4) {
        unpack_q4(t->codes + (b * eights + eight) * unit_bytes + quad * 16, &low, &high);
    } else {
        const int8_t *codes = (const int8_t *)t->codes + (b * eights + eight) * 2 * unit_bytes + quad * 16;
        low = vld1q_s8(codes);
        high = vld1q_s8(codes + unit_bytes);
    }
    join_inputs(low, high, rows);
}

// A lone token at the end is its own partner: its second result is not looked at.
TEMPLATE void panel(const integer_tile *t, const int32_t bits, const int64_t tokens, int64_t rows, float *y,
                    int64_t y_stride) {
    const int64_t pairs = (tokens + 1) / 2;
    float32x4_t sums[shared_tokens][quads];
    for (int64_t i = 0; i < pairs * 2 * quads; i++) sums[i / quads][i % quads] = vdupq_n_f32(0);
    for (int64_t b = 0; b < t->blocks; b++) {
        int32x4_t dots[token_pairs][row_pairs];
        for (int64_t i = 0; i < pairs * row_pairs; i++) dots[i / row_pairs][i % row_pairs] = vdupq_n_s32(0);
        for (int64_t eight = 0; eight < eights; eight++) {
            int8x16_t x[token_pairs];
            for (int64_t pair = 0; pair < pairs; pair++) {
                int64_t second = 2 * pair + 1 < tokens ? 2 * pair + 1 : 2 * pair;
                x[pair] = vcombine_s8(vld1_s8(t->x + (2 * pair * t->blocks + b) * block + eight * 8),
                                      vld1_s8(t->x + (second * t->blocks + b) * block + eight * 8));
            }
            for (int64_t quad = 0; quad < quads; quad++) {
                int8x16_t two_rows[2];
                load_rows(t, bits, b, eight, quad, two_rows);
                for (int64_t pair = 0; pair < pairs; pair++) {
                    int32x4_t *d = &dots[pair][quad * 2];
                    d[0] = vmmlaq_s32(d[0], two_rows[0], x[pair]);
                    d[1] = vmmlaq_s32(d[1], two_rows[1], x[pair]);
                }
            }
        }
        for (int64_t quad = 0; quad < quads; quad++) {
            for (int64_t pair = 0; pair < pairs; pair++) {
                // A result is row 0 with both tokens, then row 1: tokens alternate.
                int32x4_t d0 = dots[pair][quad * 2], d1 = dots[pair][quad * 2 + 1];
                int64_t first = 2 * pair;
                sums[first][quad] = add_dots(t, b, first, quad, vuzp1q_s32(d0, d1), sums[first][quad]);
                if (first + 1 == tokens) continue;
                sums[first + 1][quad] =
                    add_dots(t, b, first + 1, quad, vuzp2q_s32(d0, d1), sums[first + 1][quad]);
            }
        }
    }
    for (int64_t token = 0; token < tokens; token++) store_tile(sums[token], rows, y + token * y_stride);
}

static void panel_q4(const integer_tile *t, int64_t tokens, int64_t rows, float *y, int64_t y_stride) {
    switch (tokens) {
        case 1: thimble_neon_panel_q4(t, 1, rows, y, y_stride); break;
        case 2: panel(t, 4, 2, rows, y, y_stride); break;
        case 3: panel(t, 4, 3, rows, y, y_stride); break;
        default: panel(t, 4, 4, rows, y, y_stride); break;
    }
}

static void panel_q8(const integer_tile *t, int64_t tokens, int64_t rows, float *y, int64_t y_stride) {
    switch (tokens) {
        case 1: thimble_neon_panel_q8(t, 1, rows, y, y_stride); break;
        case 2: panel(t, 8, 2, rows, y, y_stride); break;
        case 3: panel(t, 8, 3, rows, y, y_stride); break;
        default: panel(t, 8, 4, rows, y, y_stride); break;
    }
}

void thimble_neon_i8mm_matmul_q4(const thimble_weights *w, const thimble_quantized *x, int64_t tokens,
                                 int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride) {
    for_each_integer_panel(panel_q4, 4, w, x, tokens, tile_begin, tile_end, y, y_stride);
}

void thimble_neon_i8mm_matmul_q8(const thimble_weights *w, const thimble_quantized *x, int64_t tokens,
                                 int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride) {
    for_each_integer_panel(panel_q8, 8, w, x, tokens, tile_begin, tile_end, y, y_stride);
}

#pragma clang attribute pop
#endif
