//! Matrix products and gathered rows: every type and group, tiles in part, padding, exact integers.
#include "checks.h"

static const int64_t token_counts[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 16, 17, 31, 32, 33, 65};
enum { token_count_count = sizeof token_counts / sizeof *token_counts };

// Inputs of a product as the variant takes them.
typedef struct {
    float *x;  // [tokens][padded], zeros from the real columns on
    int8_t *codes;
    float *scales;
    int32_t *sums;
} inputs;

static void inputs_free(inputs *in) {
    release(in->x);
    release(in->codes);
    release(in->scales);
    release(in->sums);
}

// Inputs in -range...range; with `drawn` other than any, codes over their whole range with scales of one, and
// values that are small integers.
static inputs inputs_random(checks *c, const tiled *w, int64_t tokens, float range, elements drawn) {
    int64_t padded = w->weights.padded_columns, blocks = padded / THIMBLE_BLOCK;
    inputs in = {.x = exactly(tokens * padded * (int64_t)sizeof(float))};
    for (int64_t i = 0; i < tokens * padded; i++) {
        float value = drawn == elements_any ? random_float(c, range) : (float)(random_below(c, 33) - 16);
        in.x[i] = i % padded < w->columns ? value : 0;
    }
    if (w->bits > 8) return in;
    in.codes = exactly(tokens * padded);
    in.scales = exactly(tokens * blocks * (int64_t)sizeof(float));
    in.sums = exactly(tokens * blocks * (int64_t)sizeof(int32_t));
    for (int64_t token = 0; token < tokens; token++) {
        c->scalar->quantize(in.x + token * padded, w->columns, padded, in.codes + token * padded,
                            in.scales + token * blocks, in.sums + token * blocks);
    }
    if (drawn == elements_any) return in;
    for (int64_t b = 0; b < tokens * blocks; b++) {
        int64_t style = random_below(c, 3);
        in.scales[b] = 1;
        in.sums[b] = 0;
        for (int64_t i = 0; i < THIMBLE_BLOCK; i++) {
            int64_t code = style == 0 ? random_below(c, 255) - 127 : style == 1 ? 127 : -127;
            int real = b * THIMBLE_BLOCK % padded + i < w->columns;
            in.codes[b * THIMBLE_BLOCK + i] = real ? (int8_t)code : 0;
            in.sums[b] += in.codes[b * THIMBLE_BLOCK + i];
        }
    }
    return in;
}

static guarded multiply(const thimble_kernels *kernels, const tiled *w, const inputs *in, int64_t tokens,
                        int64_t tile_begin, int64_t tile_end) {
    int64_t stride = w->weights.rows + 3;
    guarded y = guarded_floats(tokens * stride);
    if (w->bits <= 8) {
        thimble_quantized x = {.codes = in->codes, .scales = in->scales, .sums = in->sums};
        (w->bits == 4 ? kernels->matmul_q4 : kernels->matmul_q8)(&w->weights, &x, tokens, tile_begin,
                                                                 tile_end, y.y, stride);
    } else {
        (w->bits == 16 ? kernels->matmul_f16 : kernels->matmul_f32)(
            &w->weights, in->x, w->weights.padded_columns, tokens, tile_begin, tile_end, y.y, stride);
    }
    return y;
}

// How far two orders of the same float32 sum may lie apart: twice 2^-24 of the terms' magnitude a step.
static float *product_bounds(checks *c, const tiled *w, const inputs *in, int64_t tokens) {
    int64_t rows = w->weights.rows, stride = rows + 3, padded = w->weights.padded_columns;
    float *bounds = exactly(tokens * stride * (int64_t)sizeof *bounds);
    float *row_values = exactly(w->columns * (int64_t)sizeof *row_values);
    int64_t steps = w->bits <= 8 ? padded / THIMBLE_BLOCK : padded;
    memset(bounds, 0, (size_t)(tokens * stride) * sizeof *bounds);
    for (int64_t row = 0; row < rows; row++) {
        c->scalar->gather_row(&w->weights, w->bits, row, w->columns, row_values);
        for (int64_t token = 0; token < tokens; token++) {
            double magnitude = 0;
            for (int64_t k = 0; k < w->columns; k++) {
                // Quantized inputs lie within half a step of x, which 1% of the block's largest covers.
                magnitude += fabs((double)row_values[k]) * (fabs((double)in->x[token * padded + k]) + 1e-30);
            }
            double quantized = w->bits <= 8 ? 1.02 : 1;
            bounds[token * stride + row] = (float)(magnitude * quantized * (double)(steps + 4) * 0x1p-23);
        }
    }
    release(row_values);
    return bounds;
}

static void check_product(checks *c, int32_t bits, int64_t group, int64_t rows, int64_t columns,
                          int64_t tokens, elements drawn) {
    tiled w = tiled_random(c, bits, group, rows, columns, drawn);
    // 1e30 is far beyond float16, which inputs must not pass through.
    inputs in = inputs_random(c, &w, tokens, tokens % 3 == 0 ? 1e30f : 1, drawn);
    int64_t tiles = (rows + THIMBLE_TILE_ROWS - 1) / THIMBLE_TILE_ROWS;
    int64_t begin = random_below(c, tiles), end = begin + 1 + random_below(c, tiles - begin);
    if (random_below(c, 2)) begin = 0, end = tiles;
    check_subject(c, "matmul of %d bits, groups of %d, %d x %d, %d tokens, tiles %d..<%d, %s", bits,
                  (int)group, (int)rows, (int)columns, (int)tokens, (int)begin, (int)end,
                  drawn == elements_any ? "any" : drawn == elements_integers ? "integers" : "extremes");
    guarded y = multiply(c->kernels, &w, &in, tokens, begin, end);
    guarded expected = multiply(c->scalar, &w, &in, tokens, begin, end);
    // Products of integers below 2^24 are exact in any order; a sum of up to 32 blocks stays below it.
    int exact = drawn == elements_integers || (drawn == elements_extreme && bits <= 8);
    if (exact) {
        expect_near(c, &y, &expected, 0, 0);
    } else {
        float *bounds = product_bounds(c, &w, &in, tokens);
        expect_within(c, &y, &expected, bounds);
        release(bounds);
    }
    release(y.memory);
    release(expected.memory);
    inputs_free(&in);
    tiled_free(&w);
}

// A scale that is not a number poisons its row, or its token, and nothing else.
static void check_poison(checks *c, int32_t bits) {
    for (int64_t tokens = 1; tokens <= 9; tokens += 4) {
        tiled w = tiled_random(c, bits, 64, 35, 200, elements_integers);
        inputs in = inputs_random(c, &w, tokens, 1, elements_integers);
        tiled_set_scale(&w, 17, 70, half_nan);
        in.scales[(tokens - 1) * (w.weights.padded_columns / THIMBLE_BLOCK)] = NAN;
        check_subject(c, "matmul of %d bits, %d tokens, with scales that are NaN", bits, (int)tokens);
        guarded y = multiply(c->kernels, &w, &in, tokens, 0, 3);
        guarded expected = multiply(c->scalar, &w, &in, tokens, 0, 3);
        expect_near(c, &y, &expected, 0, 0);
        release(y.memory);
        release(expected.memory);
        inputs_free(&in);
        tiled_free(&w);
    }
}

static void check_gather(checks *c, int32_t bits, int64_t group) {
    int64_t columns = 1 + random_below(c, 200);
    tiled w = tiled_random(c, bits, group, 21, columns, elements_any);
    for (int64_t row = 0; row < 21; row += 5) {
        check_subject(c, "gather_row of %d bits, row %d of %d columns", bits, (int)row, (int)columns);
        guarded y = guarded_floats(columns), expected = guarded_floats(columns);
        c->kernels->gather_row(&w.weights, bits, row, columns, y.y);
        c->scalar->gather_row(&w.weights, bits, row, columns, expected.y);
        expect_same_bits(c, &y, &expected);
        release(y.memory);
        release(expected.memory);
    }
    tiled_free(&w);
}

void check_products(checks *c) {
    static const struct {
        int32_t bits;
        int64_t group;
    } formats[] = {{4, 32}, {4, 64}, {4, 128}, {8, 32}, {8, 64}, {8, 128}, {16, 0}, {32, 0}};
    static const int64_t shapes[][2] = {{1, 8},    {7, 40},   {16, 64},  {17, 100}, {32, 128},
                                        {40, 129}, {33, 520}, {64, 256}, {70, 1024}};
    for (size_t f = 0; f < sizeof formats / sizeof *formats; f++) {
        int32_t bits = formats[f].bits;
        int64_t group = formats[f].group;
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            // Every count of tokens against some shape, and every shape against some counts.
            for (size_t i = s % 3; i < token_count_count; i += 3) {
                elements drawn = (elements)((i + s) % 3);
                check_product(c, bits, group, shapes[s][0], shapes[s][1], token_counts[i], drawn);
            }
        }
        check_gather(c, bits, group);
        if (bits <= 8) check_poison(c, bits);
    }
}
