//! The AMX variant: AVX-512's table, with integer products of many tokens through tile registers.
#include "avx512.h"
#if defined(__x86_64__)

// What is shared keeps its own features; these functions have tiles besides.
AVX512_END
#define AMX_FEATURES AVX512_FEATURES ",amx-tile,amx-int8"
#pragma clang attribute push(__attribute__((target(AMX_FEATURES))), apply_to = function)

enum { block = THIMBLE_BLOCK, tile_rows = THIMBLE_TILE_ROWS, unit_bytes = 64 };

// A tile register takes this many tokens by one block of inputs, so that its dot products with 16 rows of
// weights are those of one block: exact integers with one scale a token and one a row.
enum { tile_tokens = 16 };
// Fewer tokens than this are not worth the weights' way through memory.
enum { least_tokens = 8 };
// Blocks and weight tiles that are taken at a time. A chunk is bounded so that what all tokens pass over
// stays near: 32 KiB of weight codes, with 16 KiB of 16 tokens', fill a first-level cache of 48 KiB. Sums
// pass through memory between chunks, so that half as many blocks are slower: 655 against 730 GFLOP/s,
// measured on a Xeon for 512 tokens of 4096 inputs.
enum { chunk_blocks = 32, chunk_tiles = 2 };
// Bytes of a block of signed 8-bit codes of a weight tile.
enum { block_bytes = block * tile_rows };

// Names of the tile registers. Instructions take them as constants. The last tokens, fewer than 16, have
// shorter registers of their own, so that one configuration serves a whole call.
#define DOTS_0 0
#define DOTS_1 1
#define TOKENS_0 2
#define TOKENS_1 3
#define WEIGHTS_0 4
#define WEIGHTS_1 5
#define LAST_DOTS 6
#define LAST_TOKENS 7

typedef struct {
    uint8_t palette;
    uint8_t start_row;
    uint8_t reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_configuration;
_Static_assert(sizeof(tile_configuration) == 64, "as the instruction reads it");

static void configure(int64_t last_tokens) {
    tile_configuration c = {.palette = 1};
    uint8_t last = last_tokens ? (uint8_t)last_tokens : 1;
    c.rows[DOTS_0] = c.rows[DOTS_1] = c.rows[TOKENS_0] = c.rows[TOKENS_1] = tile_tokens;
    c.rows[LAST_DOTS] = c.rows[LAST_TOKENS] = last;
    c.rows[WEIGHTS_0] = c.rows[WEIGHTS_1] = block / 4;
    c.row_bytes[DOTS_0] = c.row_bytes[DOTS_1] = c.row_bytes[LAST_DOTS] = tile_rows * 4;
    c.row_bytes[TOKENS_0] = c.row_bytes[TOKENS_1] = c.row_bytes[LAST_TOKENS] = block;
    c.row_bytes[WEIGHTS_0] = c.row_bytes[WEIGHTS_1] = unit_bytes;
    _tile_loadconfig(&c);
}

// Some blocks of one weight tile against up to 16 tokens: pointers to the first block of each.
typedef struct {
    const int8_t *weights;   // [blocks][block_bytes]
    const uint16_t *scales;  // of the whole tile
    const int8_t *x;         // [tokens][x_stride]
    const float *x_scales;   // [tokens][x_blocks]
    int64_t x_stride;
    int64_t x_blocks;
    int64_t first;        // the first block's place in the tile, for its weight scales
    int64_t blocks;       // how many
    int32_t group_shift;  // 2^group_shift blocks share a weight scale
    int64_t rows;         // of the tile that the matrix has
    float *y;             // [tokens][y_stride]
    int64_t y_stride;
} tile_product;

typedef int32_t tile_dots[tile_tokens][tile_rows];

// sums += token scales * weight scales * the dots of block b.
TEMPLATE void add_dots(const tile_product *p, int64_t b, tile_dots dots, const int64_t tokens,
                       f32x16 sums[tile_tokens]) {
    const uint16_t *at = p->scales + ((p->first + b) >> p->group_shift) * tile_rows;
    f32x16 w_scale = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)at));
#pragma clang loop unroll(full)
    for (int64_t token = 0; token < tokens; token++) {
        f32x16 scale = _mm512_mul_ps(w_scale, _mm512_set1_ps(p->x_scales[token * p->x_blocks + b]));
        f32x16 dot = _mm512_cvtepi32_ps(_mm512_load_si512(dots[token]));
        sums[token] = _mm512_fmadd_ps(scale, dot, sums[token]);
    }
}

// y = (or, unless these are the tile's first blocks, y +=) the product for 16 tokens. Two blocks are under
// way at once.
static void multiply(const tile_product *p) {
    _Alignas(64) tile_dots dots[2];
    f32x16 sums[tile_tokens];
#pragma clang loop unroll(full)
    for (int64_t i = 0; i < tile_tokens; i++) {
        sums[i] = p->first > 0 ? load_part(p->y + i * p->y_stride, p->rows) : _mm512_setzero_ps();
    }
    int64_t b = 0;
    for (; b + 2 <= p->blocks; b += 2) {
        const int8_t *x = p->x + b * block, *weights = p->weights + b * block_bytes;
        _tile_zero(DOTS_0);
        _tile_loadd(TOKENS_0, x, p->x_stride);
        _tile_loadd(WEIGHTS_0, weights, unit_bytes);
        _tile_dpbssd(DOTS_0, TOKENS_0, WEIGHTS_0);
        _tile_zero(DOTS_1);
        _tile_loadd(TOKENS_1, x + block, p->x_stride);
        _tile_loadd(WEIGHTS_1, weights + block_bytes, unit_bytes);
        _tile_dpbssd(DOTS_1, TOKENS_1, WEIGHTS_1);
        _tile_stored(DOTS_0, dots[0], sizeof dots[0][0]);
        _tile_stored(DOTS_1, dots[1], sizeof dots[1][0]);
        // Unrolled, the two blocks' additions are mixed, and sums spill.
#pragma clang loop unroll(disable)
        for (int64_t i = 0; i < 2; i++) add_dots(p, b + i, dots[i], tile_tokens, sums);
    }
    if (b < p->blocks) {
        _tile_zero(DOTS_0);
        _tile_loadd(TOKENS_0, p->x + b * block, p->x_stride);
        _tile_loadd(WEIGHTS_0, p->weights + b * block_bytes, unit_bytes);
        _tile_dpbssd(DOTS_0, TOKENS_0, WEIGHTS_0);
        _tile_stored(DOTS_0, dots[0], sizeof dots[0][0]);
        add_dots(p, b, dots[0], tile_tokens, sums);
    }
#pragma clang loop unroll(full)
    for (int64_t i = 0; i < tile_tokens; i++) store_part(p->y + i * p->y_stride, p->rows, sums[i]);
}

// The same for the last tokens, fewer than 16.
static void multiply_last(const tile_product *p, int64_t tokens) {
    _Alignas(64) tile_dots dots;
    f32x16 sums[tile_tokens];
    for (int64_t i = 0; i < tokens; i++) {
        sums[i] = p->first > 0 ? load_part(p->y + i * p->y_stride, p->rows) : _mm512_setzero_ps();
    }
    for (int64_t b = 0; b < p->blocks; b++) {
        _tile_zero(LAST_DOTS);
        _tile_loadd(LAST_TOKENS, p->x + b * block, p->x_stride);
        _tile_loadd(WEIGHTS_0, p->weights + b * block_bytes, unit_bytes);
        _tile_dpbssd(LAST_DOTS, LAST_TOKENS, WEIGHTS_0);
        _tile_stored(LAST_DOTS, dots, sizeof dots[0]);
        add_dots(p, b, dots, tokens, sums);
    }
    for (int64_t i = 0; i < tokens; i++) store_part(p->y + i * p->y_stride, p->rows, sums[i]);
}

// Codes 0...15 of some blocks as signed bytes: a unit gives two rows of a tile register.
static void unpack(const uint8_t *codes, int64_t blocks, int8_t *out) {
    const i32x16 low_half = _mm512_set1_epi8(15), offset = _mm512_set1_epi8(8);
    for (int64_t unit = 0; unit < blocks * (block / 8); unit++, codes += unit_bytes, out += 2 * unit_bytes) {
        i32x16 both = _mm512_loadu_si512(codes);
        i32x16 low = _mm512_and_si512(both, low_half);
        i32x16 high = _mm512_and_si512(_mm512_srli_epi16(both, 4), low_half);
        _mm512_storeu_si512(out, _mm512_sub_epi8(low, offset));
        _mm512_storeu_si512(out + unit_bytes, _mm512_sub_epi8(high, offset));
    }
}

// Blocks `first` to first + blocks of consecutive weight tiles against all tokens.
static void multiply_chunk(const int32_t bits, const thimble_weights *w, const thimble_quantized *x,
                           int64_t tokens, int64_t tile, int64_t tiles, int64_t first, int64_t blocks,
                           float *y, int64_t y_stride) {
    _Alignas(64) int8_t unpacked[chunk_tiles][chunk_blocks * block_bytes];
    const int8_t *weights[chunk_tiles];
    for (int64_t i = 0; i < tiles; i++) {
        int64_t codes = (tile + i) * w->padded_columns + first * block;  // before these, of each row
        const uint8_t *packed = (const uint8_t *)w->codes + codes * tile_rows * bits / 8;
        if (bits == 4) unpack(packed, blocks, unpacked[i]);
        weights[i] = bits == 4 ? unpacked[i] : (const int8_t *)packed;
    }
    tile_product p = {.x_stride = w->padded_columns,
                      .x_blocks = w->padded_columns / block,
                      .first = first,
                      .blocks = blocks,
                      .y_stride = y_stride,
                      .group_shift = w->group == 32 ? 0 : w->group == 64 ? 1 : 2};
    for (int64_t token = 0; token < tokens; token += tile_tokens) {
        p.x = x->codes + token * p.x_stride + first * block;
        p.x_scales = x->scales + token * p.x_blocks + first;
        for (int64_t i = 0; i < tiles; i++) {
            int64_t row = (tile + i) * tile_rows;
            p.weights = weights[i];
            p.scales = w->scales + (tile + i) * (w->padded_columns / w->group) * tile_rows;
            p.rows = w->rows - row;
            p.y = y + token * y_stride + row;
            if (tokens - token >= tile_tokens) {
                multiply(&p);
            } else {
                multiply_last(&p, tokens - token);
            }
        }
    }
}

static void matmul_integer(const int32_t bits, const thimble_weights *w, const thimble_quantized *x,
                           int64_t tokens, int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride) {
    int64_t all_blocks = w->padded_columns / block;
    configure(tokens % tile_tokens);
    for (int64_t tile = tile_begin; tile < tile_end; tile += chunk_tiles) {
        int64_t tiles = tile_end - tile < chunk_tiles ? tile_end - tile : chunk_tiles;
        for (int64_t first = 0; first < all_blocks; first += chunk_blocks) {
            int64_t blocks = all_blocks - first < chunk_blocks ? all_blocks - first : chunk_blocks;
            multiply_chunk(bits, w, x, tokens, tile, tiles, first, blocks, y, y_stride);
        }
    }
    _tile_release();
}

static void matmul_q4(const thimble_weights *w, const thimble_quantized *x, int64_t tokens,
                      int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride) {
    if (tokens < least_tokens) {
        thimble_avx512_matmul_q4(w, x, tokens, tile_begin, tile_end, y, y_stride);
    } else {
        matmul_integer(4, w, x, tokens, tile_begin, tile_end, y, y_stride);
    }
}

static void matmul_q8(const thimble_weights *w, const thimble_quantized *x, int64_t tokens,
                      int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride) {
    if (tokens < least_tokens) {
        thimble_avx512_matmul_q8(w, x, tokens, tile_begin, tile_end, y, y_stride);
    } else {
        matmul_integer(8, w, x, tokens, tile_begin, tile_end, y, y_stride);
    }
}

const thimble_kernels thimble_kernels_amx = {
    .name = "amx",
    .quantize = thimble_avx512_quantize,
    .matmul_q4 = matmul_q4,
    .matmul_q8 = matmul_q8,
    .matmul_f16 = thimble_avx512_matmul_f16,
    .matmul_f32 = thimble_avx512_matmul_f32,
    .gather_row = thimble_scalar_gather_row,
    .rms_norm = thimble_avx512_rms_norm,
    .add_rms_norm = thimble_avx512_add_rms_norm,
    .layer_norm = thimble_avx512_layer_norm,
    .add = thimble_avx512_add,
    .add_scaled = thimble_avx512_add_scaled,
    .swiglu = thimble_avx512_swiglu,
    .gelu = thimble_avx512_gelu,
    .rope_interleaved = thimble_avx512_rope_interleaved,
    .rope_half = thimble_avx512_rope_half,
    .store_f16 = thimble_avx512_store_f16,
    .store_int8 = thimble_avx512_store_int8,
    .store_int5 = thimble_avx512_store_int5,
    .attention = thimble_avx512_attention,
    .resample_row = thimble_avx2_resample_row,
    .blend_rows = thimble_avx2_blend_rows,
};

AVX512_END
#endif
