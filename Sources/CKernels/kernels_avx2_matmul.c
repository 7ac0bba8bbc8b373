//! Matrix products with AVX2: a tile of 16 rows is two vectors of outputs, and a few tokens share its codes.
#include "avx2.h"
#if defined(__x86_64__)

enum { integer_tokens = 4 };  // tokens that share a tile's unpacked codes
enum { block = THIMBLE_BLOCK, tile_rows = THIMBLE_TILE_ROWS, unit_bytes = 64 };

// One tile against consecutive tokens: pointers to the tile's codes and scales and to the first token's
// inputs.
typedef struct {
    const uint8_t *codes;
    const uint16_t *scales;
    int64_t blocks;         // blocks along a row
    int32_t group_shift;    // 2^group_shift blocks share a weight scale
    const int8_t *x;        // [tokens][blocks * 32]
    const float *x_scales;  // [tokens][blocks]
    const int32_t *x_sums;  // [tokens][blocks]
} integer_tile;

TEMPLATE i32x8 load_units(const uint8_t *p) { return _mm256_loadu_si256((const i32x8 *)p); }

TEMPLATE i32x8 broadcast_four(const int8_t *p) {
    int32_t four;
    memcpy(&four, p, sizeof four);
    return _mm256_set1_epi32(four);
}

// sums[token] += weight scales * token scale * dots
TEMPLATE void add_scaled(f32x8 sums[2], f32x8 scale0, f32x8 scale1, float x_scale, i32x8 dots0, i32x8 dots1) {
    f32x8 s = _mm256_set1_ps(x_scale);
    sums[0] = _mm256_fmadd_ps(_mm256_mul_ps(scale0, s), _mm256_cvtepi32_ps(dots0), sums[0]);
    sums[1] = _mm256_fmadd_ps(_mm256_mul_ps(scale1, s), _mm256_cvtepi32_ps(dots1), sums[1]);
}

// Codes 0...15 multiply as unsigned bytes, and a 16-bit lane gathers the 16 products of a block that fall to
// it, so that one widening a block is enough. The offset of 8 that codes carry is taken off the lower lane of
// each pair beforehand: that lane ends as (code - 8) * x over its own half of the block and -8 * x over the
// other, at most 2 * 16 * 8 * 127 = 32512 in magnitude, and wrapping on the way there is harmless.
TEMPLATE void block_q4(const integer_tile *t, int64_t b, const int64_t tokens, f32x8 scale0, f32x8 scale1,
                       f32x8 sums[][2]) {
    const i32x8 low = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1);
    const uint8_t *codes = t->codes + b * (block / 8) * unit_bytes;
    const int8_t *x = t->x + b * block;
    i32x8 dots[integer_tokens][2];
    for (int64_t token = 0; token < tokens; token++) {
        i32x8 sum = _mm256_set1_epi32(t->x_sums[token * t->blocks + b]);
        dots[token][0] = dots[token][1] = _mm256_mullo_epi16(sum, _mm256_set1_epi32(-8 & 0xffff));
    }
    // Unrolled, this loop is turned inside out by the compiler, and unpacked codes spill.
#pragma clang loop unroll(disable)
    for (int64_t unit = 0; unit < block / 8; unit++, codes += unit_bytes, x += 8) {
        i32x8 codes0 = load_units(codes), codes1 = load_units(codes + 32);
        i32x8 low0 = _mm256_and_si256(codes0, low), low1 = _mm256_and_si256(codes1, low);
        i32x8 high0 = _mm256_and_si256(_mm256_srli_epi16(codes0, 4), low);
        i32x8 high1 = _mm256_and_si256(_mm256_srli_epi16(codes1, 4), low);
#pragma clang loop unroll(full)
        for (int64_t token = 0; token < tokens; token++) {
            const int8_t *inputs = x + token * t->blocks * block;
            i32x8 x0 = broadcast_four(inputs), x4 = broadcast_four(inputs + 4);
            dots[token][0] = _mm256_add_epi16(dots[token][0], _mm256_maddubs_epi16(low0, x0));
            dots[token][1] = _mm256_add_epi16(dots[token][1], _mm256_maddubs_epi16(low1, x0));
            dots[token][0] = _mm256_add_epi16(dots[token][0], _mm256_maddubs_epi16(high0, x4));
            dots[token][1] = _mm256_add_epi16(dots[token][1], _mm256_maddubs_epi16(high1, x4));
        }
    }
#pragma clang loop unroll(full)
    for (int64_t token = 0; token < tokens; token++) {
        i32x8 dots0 = _mm256_madd_epi16(dots[token][0], ones),
              dots1 = _mm256_madd_epi16(dots[token][1], ones);
        add_scaled(sums[token], scale0, scale1, t->x_scales[token * t->blocks + b], dots0, dots1);
    }
}

// Signed by signed: |w| * (x with w's sign). A pair is at most 2 * 127 * 127 = 32258, and is widened at once.
TEMPLATE void block_q8(const integer_tile *t, int64_t b, const int64_t tokens, f32x8 scale0, f32x8 scale1,
                       f32x8 sums[][2]) {
    const i32x8 ones = _mm256_set1_epi16(1);
    const uint8_t *codes = t->codes + b * (block / 4) * unit_bytes;
    const int8_t *x = t->x + b * block;
    i32x8 dots[integer_tokens][2];
    for (int64_t token = 0; token < tokens; token++) dots[token][0] = dots[token][1] = _mm256_setzero_si256();
#pragma clang loop unroll(disable)
    for (int64_t unit = 0; unit < block / 4; unit++, codes += unit_bytes, x += 4) {
        i32x8 codes0 = load_units(codes), codes1 = load_units(codes + 32);
        i32x8 size0 = _mm256_abs_epi8(codes0), size1 = _mm256_abs_epi8(codes1);
#pragma clang loop unroll(full)
        for (int64_t token = 0; token < tokens; token++) {
            i32x8 inputs = broadcast_four(x + token * t->blocks * block);
            i32x8 pairs0 = _mm256_maddubs_epi16(size0, _mm256_sign_epi8(inputs, codes0));
            i32x8 pairs1 = _mm256_maddubs_epi16(size1, _mm256_sign_epi8(inputs, codes1));
            dots[token][0] = _mm256_add_epi32(dots[token][0], _mm256_madd_epi16(pairs0, ones));
            dots[token][1] = _mm256_add_epi32(dots[token][1], _mm256_madd_epi16(pairs1, ones));
        }
    }
#pragma clang loop unroll(full)
    for (int64_t token = 0; token < tokens; token++) {
        float x_scale = t->x_scales[token * t->blocks + b];
        add_scaled(sums[token], scale0, scale1, x_scale, dots[token][0], dots[token][1]);
    }
}

// Stores the first `rows` of a tile's 16 outputs.
TEMPLATE void store_tile(const f32x8 sums[2], int64_t rows, float *y) {
    if (rows >= tile_rows) {
        _mm256_storeu_ps(y, sums[0]);
        _mm256_storeu_ps(y + 8, sums[1]);
    } else {
        _mm256_maskstore_ps(y, lanes_below(rows), sums[0]);
        if (rows > 8) _mm256_maskstore_ps(y + 8, lanes_below(rows - 8), sums[1]);
    }
}

TEMPLATE void integer_panel(const integer_tile *t, const int32_t bits, const int64_t tokens, int64_t rows,
                            float *y, int64_t y_stride) {
    f32x8 sums[integer_tokens][2];
    for (int64_t token = 0; token < tokens; token++) sums[token][0] = sums[token][1] = _mm256_setzero_ps();
    for (int64_t b = 0; b < t->blocks; b++) {
        const uint16_t *scales = t->scales + (b >> t->group_shift) * tile_rows;
        f32x8 scale0 = f32x8_from_halves(scales), scale1 = f32x8_from_halves(scales + 8);
        if (bits == 4) {
            block_q4(t, b, tokens, scale0, scale1, sums);
        } else {
            block_q8(t, b, tokens, scale0, scale1, sums);
        }
    }
    for (int64_t token = 0; token < tokens; token++) store_tile(sums[token], rows, y + token * y_stride);
}

TEMPLATE void matmul_integer(const int32_t bits, const thimble_weights *w, const thimble_quantized *x,
                             int64_t tokens, int64_t tile_begin, int64_t tile_end, float *y,
                             int64_t y_stride) {
    int64_t tile_bytes = w->padded_columns * bits / 32 * unit_bytes;
    int64_t tile_scales = w->padded_columns / w->group * tile_rows;
    int64_t blocks = w->padded_columns / block;
    for (int64_t tile = tile_begin; tile < tile_end; tile++) {
        int64_t row = tile * tile_rows, rows = w->rows - row;
        integer_tile t = {
            .codes = (const uint8_t *)w->codes + tile * tile_bytes,
            .scales = w->scales + tile * tile_scales,
            .blocks = blocks,
            .group_shift = w->group == 32   ? 0
                           : w->group == 64 ? 1
                                            : 2,
        };
        for (int64_t token = 0; token < tokens; token += 4) {
            t.x = x->codes + token * w->padded_columns;
            t.x_scales = x->scales + token * blocks;
            t.x_sums = x->sums + token * blocks;
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

void thimble_avx2_matmul_q4(const thimble_weights *w, const thimble_quantized *x, int64_t tokens,
                            int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride) {
    matmul_integer(4, w, x, tokens, tile_begin, tile_end, y, y_stride);
}

void thimble_avx2_matmul_q8(const thimble_weights *w, const thimble_quantized *x, int64_t tokens,
                            int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride) {
    matmul_integer(8, w, x, tokens, tile_begin, tile_end, y, y_stride);
}

// Columns of a float16 tile that are widened at once for many tokens: 16 KiB, half of a first-level cache.
enum { chunk = 256 };
// Tokens that share the two vectors of a column: 12 sums, 2 weights and an input fill the 16 registers.
enum { float_tokens = 6 };

// sums += a tile's columns, as float32[columns][16], times a few tokens' inputs.
TEMPLATE void float_panel(const float *weights, int64_t columns, const float *x, int64_t x_stride,
                          const int64_t tokens, f32x8 sums[][2]) {
    for (int64_t k = 0; k < columns; k++) {
        f32x8 w0 = _mm256_loadu_ps(weights + k * tile_rows),
              w1 = _mm256_loadu_ps(weights + k * tile_rows + 8);
#pragma clang loop unroll(full)
        for (int64_t token = 0; token < tokens; token++) {
            f32x8 input = _mm256_broadcast_ss(x + token * x_stride + k);
            sums[token][0] = _mm256_fmadd_ps(w0, input, sums[token][0]);
            sums[token][1] = _mm256_fmadd_ps(w1, input, sums[token][1]);
        }
    }
}

TEMPLATE f32x8 load_rows(const float *y, int64_t rows) {
    return rows >= 8 ? _mm256_loadu_ps(y) : _mm256_maskload_ps(y, lanes_below(rows));
}

// y = (or, where `more`, y +=) one tile's columns times `tokens` tokens' inputs.
TEMPLATE void float_tokens_product(const float *weights, int64_t columns, const float *x, int64_t x_stride,
                                   const int64_t tokens, int64_t rows, float *y, int64_t y_stride, int more) {
    f32x8 sums[float_tokens][2];
    for (int64_t token = 0; token < tokens; token++) {
        float *out = y + token * y_stride;
        sums[token][0] = more ? load_rows(out, rows) : _mm256_setzero_ps();
        sums[token][1] = more && rows > 8 ? load_rows(out + 8, rows - 8) : _mm256_setzero_ps();
    }
    float_panel(weights, columns, x, x_stride, tokens, sums);
    for (int64_t token = 0; token < tokens; token++) store_tile(sums[token], rows, y + token * y_stride);
}

static void float_tile(const float *weights, int64_t columns, const float *x, int64_t x_stride,
                       int64_t tokens, int64_t rows, float *y, int64_t y_stride, int more) {
    for (; tokens > 0; tokens -= float_tokens, x += float_tokens * x_stride, y += float_tokens * y_stride) {
        switch (tokens) {
            case 1: float_tokens_product(weights, columns, x, x_stride, 1, rows, y, y_stride, more); break;
            case 2: float_tokens_product(weights, columns, x, x_stride, 2, rows, y, y_stride, more); break;
            case 3: float_tokens_product(weights, columns, x, x_stride, 3, rows, y, y_stride, more); break;
            case 4: float_tokens_product(weights, columns, x, x_stride, 4, rows, y, y_stride, more); break;
            case 5: float_tokens_product(weights, columns, x, x_stride, 5, rows, y, y_stride, more); break;
            default: float_tokens_product(weights, columns, x, x_stride, 6, rows, y, y_stride, more); break;
        }
    }
}

// Widens units of float16 (16 rows by an even and an odd column) to float32[columns][16].
static void widen_columns(const uint8_t *units, int64_t columns, float *out) {
    // Within 16 bytes, the even column's four rows go to the low half and the odd column's to the high half.
    const i32x8 part =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15));
    for (int64_t k = 0; k < columns; k += 2, units += unit_bytes, out += 2 * tile_rows) {
        for (int64_t half = 0; half < 2; half++) {
            i32x8 parted = _mm256_shuffle_epi8(load_units(units + half * 32), part);
            i32x8 columns_apart = _mm256_permute4x64_epi64(parted, 0xd8);
            _mm256_storeu_ps(out + half * 8, _mm256_cvtph_ps(_mm256_castsi256_si128(columns_apart)));
            _mm256_storeu_ps(out + tile_rows + half * 8,
                             _mm256_cvtph_ps(_mm256_extracti128_si256(columns_apart, 1)));
        }
    }
}

// One token: lanes are a row's even and odd columns side by side as they lie, and are added at the end.
static void f16_tile_one_token(const uint8_t *units, int64_t columns, const float *x, int64_t rows,
                               float *y) {
    f32x8 sums[2][4];
    for (int64_t i = 0; i < 8; i++) sums[i / 4][i % 4] = _mm256_setzero_ps();
    for (int64_t k = 0; k < columns; k += 4, units += 2 * unit_bytes) {
#pragma clang loop unroll(full)
        for (int64_t unit = 0; unit < 2; unit++) {
            double pair;
            memcpy(&pair, x + k + unit * 2, sizeof pair);
            f32x8 inputs = _mm256_castpd_ps(_mm256_set1_pd(pair));
#pragma clang loop unroll(full)
            for (int64_t i = 0; i < 4; i++) {
                f32x8 weights = f32x8_from_halves(units + unit * unit_bytes + i * 16);
                sums[unit][i] = _mm256_fmadd_ps(weights, inputs, sums[unit][i]);
            }
        }
    }
    for (int64_t i = 0; i < 4; i++) sums[0][i] = _mm256_add_ps(sums[0][i], sums[1][i]);
    f32x8 out[2];
    for (int64_t i = 0; i < 2; i++) {
        // Adding neighbours interleaves the two sources by halves: rows 0 1 4 5 | 2 3 6 7.
        f32x8 added = _mm256_hadd_ps(sums[0][2 * i], sums[0][2 * i + 1]);
        out[i] = _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(added), 0xd8));
    }
    store_tile(out, rows, y);
}

void thimble_avx2_matmul_f16(const thimble_weights *w, const float *x, int64_t x_stride, int64_t tokens,
                             int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride) {
    float widened[chunk * tile_rows];
    for (int64_t tile = tile_begin; tile < tile_end; tile++) {
        const uint8_t *units = (const uint8_t *)w->codes + tile * (w->padded_columns / 2 * unit_bytes);
        int64_t row = tile * tile_rows, rows = w->rows - row;
        if (tokens == 1) {
            f16_tile_one_token(units, w->padded_columns, x, rows, y + row);
            continue;
        }
        for (int64_t k = 0; k < w->padded_columns; k += chunk) {
            int64_t columns = w->padded_columns - k < chunk ? w->padded_columns - k : chunk;
            widen_columns(units + k / 2 * unit_bytes, columns, widened);
            float_tile(widened, columns, x + k, x_stride, tokens, rows, y + row, y_stride, k > 0);
        }
    }
}

void thimble_avx2_matmul_f32(const thimble_weights *w, const float *x, int64_t x_stride, int64_t tokens,
                             int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride) {
    for (int64_t tile = tile_begin; tile < tile_end; tile++) {
        const float *weights = (const float *)w->codes + tile * (w->padded_columns * tile_rows);
        int64_t row = tile * tile_rows, rows = w->rows - row;
        for (int64_t k = 0; k < w->padded_columns; k += chunk) {
            int64_t columns = w->padded_columns - k < chunk ? w->padded_columns - k : chunk;
            float_tile(weights + k * tile_rows, columns, x + k, x_stride, tokens, rows, y + row, y_stride,
                       k > 0);
        }
    }
}

AVX2_END
#endif
