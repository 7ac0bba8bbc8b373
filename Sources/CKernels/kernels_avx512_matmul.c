//! Matrix products with AVX-512: a tile of 16 rows is one vector of outputs, and a unit of its codes is one
//! register.
#include "avx512.h"
#if defined(__x86_64__)

enum { block = THIMBLE_BLOCK, tile_rows = THIMBLE_TILE_ROWS, unit_bytes = 64 };

// A panel is this many tokens by two tiles: 12 integer and 12 float sums, the codes of two tiles, and what is
// broadcast fit the 32 registers.
enum { panel_tokens = 6, panel_tiles = 2 };

// Consecutive tiles against consecutive tokens: pointers to the first tile's codes and scales and to the
// first token's inputs.
typedef struct {
    const uint8_t *codes;    // [tiles][tile_bytes]
    const uint16_t *scales;  // [tiles][tile_scales]
    int64_t tile_bytes;
    int64_t tile_scales;
    int64_t blocks;         // blocks along a row
    int32_t group_shift;    // 2^group_shift blocks share a weight scale
    const int8_t *x;        // [tokens][blocks * 32]
    const float *x_scales;  // [tokens][blocks]
    const int32_t *x_sums;  // [tokens][blocks]
} integer_panel;

typedef i32x16 panel_dots[panel_tokens][panel_tiles];
typedef f32x16 panel_sums[panel_tokens][panel_tiles];

TEMPLATE void store_sums(const panel_sums sums, const int64_t tokens, const int64_t tiles, int64_t rows,
                         float *y, int64_t y_stride) {
    for (int64_t token = 0; token < tokens; token++) {
        for (int64_t tile = 0; tile < tiles; tile++) {
            store_part(y + token * y_stride + tile * tile_rows, rows - tile * tile_rows, sums[token][tile]);
        }
    }
}

// The product of bytes takes unsigned codes. They carry an offset (8 for codes 0...15, 128 for bytes whose
// sign bit is flipped), so that the dots of a block start at -offset * (sum of the token's inputs).
TEMPLATE void start_dots(const integer_panel *p, int64_t b, const int32_t offset, const int64_t tokens,
                         const int64_t tiles, panel_dots dots) {
#pragma clang loop unroll(full)
    for (int64_t token = 0; token < tokens; token++) {
        i32x16 start = _mm512_set1_epi32(-offset * p->x_sums[token * p->blocks + b]);
        for (int64_t tile = 0; tile < tiles; tile++) dots[token][tile] = start;
    }
}

// dots += codes of four inputs, a vector a tile, times the tokens' inputs.
TEMPLATE void add_products(const i32x16 codes[panel_tiles], const int8_t *x, int64_t x_stride,
                           const int64_t tokens, const int64_t tiles, panel_dots dots) {
#pragma clang loop unroll(full)
    for (int64_t token = 0; token < tokens; token++) {
        i32x16 inputs = _mm512_set1_epi32(word_at(x + token * x_stride));
#pragma clang loop unroll(full)
        for (int64_t tile = 0; tile < tiles; tile++) {
            dots[token][tile] = _mm512_dpbusd_epi32(dots[token][tile], codes[tile], inputs);
        }
    }
}

TEMPLATE void block_q4(const integer_panel *p, int64_t b, const int64_t tokens, const int64_t tiles,
                       panel_dots dots) {
    const i32x16 low_half = _mm512_set1_epi8(15);
    const uint8_t *codes = p->codes + b * (block / 8) * unit_bytes;
    const int8_t *x = p->x + b * block;
    start_dots(p, b, 8, tokens, tiles, dots);
#pragma clang loop unroll(disable)
    for (int64_t unit = 0; unit < block / 8; unit++, codes += unit_bytes, x += 8) {
        i32x16 low[panel_tiles], high[panel_tiles];
        for (int64_t tile = 0; tile < tiles; tile++) {
            i32x16 both = _mm512_loadu_si512(codes + tile * p->tile_bytes);
            low[tile] = _mm512_and_si512(both, low_half);
            high[tile] = _mm512_and_si512(_mm512_srli_epi16(both, 4), low_half);
        }
        add_products(low, x, p->blocks * block, tokens, tiles, dots);
        add_products(high, x + 4, p->blocks * block, tokens, tiles, dots);
    }
}

TEMPLATE void block_q8(const integer_panel *p, int64_t b, const int64_t tokens, const int64_t tiles,
                       panel_dots dots) {
    const i32x16 sign_bit = _mm512_set1_epi8(-128);
    const uint8_t *codes = p->codes + b * (block / 4) * unit_bytes;
    const int8_t *x = p->x + b * block;
    start_dots(p, b, 128, tokens, tiles, dots);
#pragma clang loop unroll_count(2)
    for (int64_t unit = 0; unit < block / 4; unit++, codes += unit_bytes, x += 4) {
        i32x16 flipped[panel_tiles];
        for (int64_t tile = 0; tile < tiles; tile++) {
            flipped[tile] = _mm512_xor_si512(_mm512_loadu_si512(codes + tile * p->tile_bytes), sign_bit);
        }
        add_products(flipped, x, p->blocks * block, tokens, tiles, dots);
    }
}

// Bytes of codes of each tile that are asked for before they are needed. One token's product waits for
// memory, and far memory answers later than a core looks ahead by itself: 16 cores of a Xeon read 4-bit
// weights of 4096 and 13696 inputs at 149 and 109 GB/s without this, at 183 and 186 GB/s with it.
enum { ahead_bytes = 4096 };

// Asks for block b of the tiles, ahead_bytes on; beyond the tiles lie the next ones of the same width.
TEMPLATE void prefetch_block(const integer_panel *p, int64_t b, const int32_t bits, const int64_t tiles) {
    const int64_t block_bytes = block * tile_rows * bits / 8;
    int64_t ahead = b + ahead_bytes / block_bytes, skipped = ahead >= p->blocks ? tiles - 1 : 0;
    for (int64_t tile = 0; tile < tiles; tile++) {
        const uint8_t *codes = p->codes + (tile + skipped) * p->tile_bytes + ahead * block_bytes;
        for (int64_t i = 0; i < block_bytes; i += unit_bytes) _mm_prefetch(codes + i, _MM_HINT_T0);
        const uint16_t *scales = p->scales + (tile + skipped) * p->tile_scales;
        _mm_prefetch(scales + (ahead >> p->group_shift) * tile_rows, _MM_HINT_T0);
    }
}

TEMPLATE void integer_product(const integer_panel *p, const int32_t bits, const int64_t tokens,
                              const int64_t tiles, int64_t rows, float *y, int64_t y_stride) {
    panel_sums sums;
    for (int64_t i = 0; i < tokens * tiles; i++) sums[i / tiles][i % tiles] = _mm512_setzero_ps();
    for (int64_t b = 0; b < p->blocks; b++) {
        panel_dots dots;
        if (tokens == 1) prefetch_block(p, b, bits, tiles);
        if (bits == 4) {
            block_q4(p, b, tokens, tiles, dots);
        } else {
            block_q8(p, b, tokens, tiles, dots);
        }
        f32x16 scales[panel_tiles];
        for (int64_t tile = 0; tile < tiles; tile++) {
            const uint16_t *at = p->scales + tile * p->tile_scales + (b >> p->group_shift) * tile_rows;
            scales[tile] = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)at));
        }
#pragma clang loop unroll(full)
        for (int64_t token = 0; token < tokens; token++) {
            f32x16 x_scale = _mm512_set1_ps(p->x_scales[token * p->blocks + b]);
            for (int64_t tile = 0; tile < tiles; tile++) {
                f32x16 scale = _mm512_mul_ps(scales[tile], x_scale);
                sums[token][tile] = _mm512_fmadd_ps(scale, _mm512_cvtepi32_ps(dots[token][tile]),
                                                    sums[token][tile]);
            }
        }
    }
    store_sums(sums, tokens, tiles, rows, y, y_stride);
}

#define PANEL(TOKENS)                                                                                        \
    case TOKENS: integer_product(&p, bits, TOKENS, tiles, rows, out, y_stride); break

// `tiles` tiles from `tile` on against all tokens.
TEMPLATE void integer_tiles(const int32_t bits, const int64_t tiles, const thimble_weights *w,
                            const thimble_quantized *x, int64_t tokens, int64_t tile, float *y,
                            int64_t y_stride) {
    int64_t row = tile * tile_rows, rows = w->rows - row;
    integer_panel p = {
        .tile_bytes = w->padded_columns * bits / 32 * unit_bytes,
        .tile_scales = w->padded_columns / w->group * tile_rows,
        .blocks = w->padded_columns / block,
        .group_shift = w->group == 32   ? 0
                       : w->group == 64 ? 1
                                        : 2,
    };
    p.codes = (const uint8_t *)w->codes + tile * p.tile_bytes;
    p.scales = w->scales + tile * p.tile_scales;
    for (int64_t token = 0; token < tokens; token += panel_tokens) {
        p.x = x->codes + token * w->padded_columns;
        p.x_scales = x->scales + token * p.blocks;
        p.x_sums = x->sums + token * p.blocks;
        float *out = y + token * y_stride + row;
        switch (tokens - token) {
            PANEL(1);
            PANEL(2);
            PANEL(3);
            PANEL(4);
            PANEL(5);
            default: integer_product(&p, bits, panel_tokens, tiles, rows, out, y_stride); break;
        }
    }
}

TEMPLATE void matmul_integer(const int32_t bits, const thimble_weights *w, const thimble_quantized *x,
                             int64_t tokens, int64_t tile_begin, int64_t tile_end, float *y,
                             int64_t y_stride) {
    int64_t tile = tile_begin;
    for (; tile + 2 <= tile_end; tile += 2) integer_tiles(bits, 2, w, x, tokens, tile, y, y_stride);
    if (tile < tile_end) integer_tiles(bits, 1, w, x, tokens, tile, y, y_stride);
}

void thimble_avx512_matmul_q4(const thimble_weights *w, const thimble_quantized *x, int64_t tokens,
                              int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride) {
    matmul_integer(4, w, x, tokens, tile_begin, tile_end, y, y_stride);
}

void thimble_avx512_matmul_q8(const thimble_weights *w, const thimble_quantized *x, int64_t tokens,
                              int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride) {
    matmul_integer(8, w, x, tokens, tile_begin, tile_end, y, y_stride);
}

// Columns that many tokens take at a time: float32 of two tiles is half of a first-level cache.
enum { chunk = 128 };

// y = (or, where `more`, y +=) the columns of `tiles` tiles, as float32[columns][16] each, times `tokens`
// tokens' inputs.
TEMPLATE void float_product(const float *const weights[panel_tiles], int64_t columns, const float *x,
                            int64_t x_stride, const int64_t tokens, const int64_t tiles, int64_t rows,
                            float *y, int64_t y_stride, int more) {
    panel_sums sums;
#pragma clang loop unroll(full)
    for (int64_t i = 0; i < tokens * tiles; i++) {
        int64_t token = i / tiles, tile = i % tiles;
        const float *at = y + token * y_stride + tile * tile_rows;
        sums[token][tile] = more ? load_part(at, rows - tile * tile_rows) : _mm512_setzero_ps();
    }
    for (int64_t k = 0; k < columns; k++) {
        f32x16 column[panel_tiles];
        for (int64_t tile = 0; tile < tiles; tile++) {
            column[tile] = _mm512_loadu_ps(weights[tile] + k * tile_rows);
        }
#pragma clang loop unroll(full)
        for (int64_t token = 0; token < tokens; token++) {
            f32x16 input = _mm512_set1_ps(x[token * x_stride + k]);
#pragma clang loop unroll(full)
            for (int64_t tile = 0; tile < tiles; tile++) {
                sums[token][tile] = _mm512_fmadd_ps(column[tile], input, sums[token][tile]);
            }
        }
    }
    store_sums(sums, tokens, tiles, rows, y, y_stride);
}

#define FLOAT_PANEL(TOKENS)                                                                                  \
    case TOKENS: float_product(weights, columns, x, x_stride, TOKENS, tiles, rows, y, y_stride, more); break

TEMPLATE void float_tiles(const float *const weights[panel_tiles], int64_t columns, const float *x,
                          int64_t x_stride, int64_t tokens, const int64_t tiles, int64_t rows, float *y,
                          int64_t y_stride, int more) {
    for (; tokens > 0; tokens -= panel_tokens, x += panel_tokens * x_stride, y += panel_tokens * y_stride) {
        switch (tokens < panel_tokens ? tokens : panel_tokens) {
            FLOAT_PANEL(1);
            FLOAT_PANEL(2);
            FLOAT_PANEL(3);
            FLOAT_PANEL(4);
            FLOAT_PANEL(5);
            FLOAT_PANEL(6);
        }
    }
}

// Widens units of float16 (16 rows by an even and an odd column) to float32[columns][16].
static void widen_columns(const uint8_t *units, int64_t columns, float *out) {
    for (int64_t k = 0; k < columns; k += 2, units += unit_bytes, out += 2 * tile_rows) {
        i32x16 unit = _mm512_loadu_si512(units);
        _mm512_storeu_ps(out, _mm512_cvtph_ps(_mm512_cvtepi32_epi16(unit)));
        _mm512_storeu_ps(out + tile_rows,
                         _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(unit, 16))));
    }
}

TEMPLATE void matmul_float(const int32_t bits, const thimble_weights *w, const float *x, int64_t x_stride,
                           int64_t tokens, int64_t tile_begin, int64_t tile_end, float *y,
                           int64_t y_stride) {
    float widened[panel_tiles][chunk * tile_rows];
    int64_t column_bytes = tile_rows * bits / 8;
    for (int64_t tile = tile_begin; tile < tile_end; tile += panel_tiles) {
        int64_t row = tile * tile_rows, rows = w->rows - row;
        int64_t tiles = tile_end - tile < panel_tiles ? tile_end - tile : panel_tiles;
        for (int64_t k = 0; k < w->padded_columns; k += chunk) {
            int64_t columns = w->padded_columns - k < chunk ? w->padded_columns - k : chunk;
            const float *weights[panel_tiles];
            for (int64_t i = 0; i < tiles; i++) {
                int64_t column = (tile + i) * w->padded_columns + k;
                const uint8_t *units = (const uint8_t *)w->codes + column * column_bytes;
                if (bits == 16) widen_columns(units, columns, widened[i]);
                weights[i] = bits == 16 ? widened[i] : (const float *)units;
            }
            if (tiles == 2) {
                float_tiles(weights, columns, x + k, x_stride, tokens, 2, rows, y + row, y_stride, k > 0);
            } else {
                float_tiles(weights, columns, x + k, x_stride, tokens, 1, rows, y + row, y_stride, k > 0);
            }
        }
    }
}

// One token takes the narrower variant's way: memory sets its pace, and halves widen no faster in longer
// vectors.
void thimble_avx512_matmul_f16(const thimble_weights *w, const float *x, int64_t x_stride, int64_t tokens,
                               int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride) {
    if (tokens == 1) {
        thimble_avx2_matmul_f16(w, x, x_stride, tokens, tile_begin, tile_end, y, y_stride);
    } else {
        matmul_float(16, w, x, x_stride, tokens, tile_begin, tile_end, y, y_stride);
    }
}

void thimble_avx512_matmul_f32(const thimble_weights *w, const float *x, int64_t x_stride, int64_t tokens,
                               int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride) {
    matmul_float(32, w, x, x_stride, tokens, tile_begin, tile_end, y, y_stride);
}

AVX512_END
#endif
