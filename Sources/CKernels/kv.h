//! Keys and values as pages hold them: where a position's lie, what an element is, how int5 is rotated.
#pragma once
#include "float16.h"
#include "variants.h"
#include <math.h>

// The key or value of one position.
typedef struct {
    const uint8_t *codes;
    const uint32_t *scales;  // a float32 or int5's word, as the type has it
    // int5, where kv_rows holds it: a 2048th of the step, which is what levels count in, and the least
    // element.
    float unit, least;
} kv_row;

// The rows of one part (0: keys, 1: values) of a kv head in a page.
static inline kv_row kv_first_row(const thimble_attention *a, int64_t kv_head, int32_t page, int64_t part) {
    int64_t codes = a->page_tokens * thimble_kv_code_bytes(a->kv_type, a->head_size);
    int64_t scales = a->page_tokens * thimble_kv_scale_bytes(a->kv_type);
    const uint8_t *start = (const uint8_t *)a->pages + page * a->page_stride;
    start += (part * a->kv_heads + kv_head) * (codes + scales);
    return (kv_row){.codes = start, .scales = (const uint32_t *)(start + codes)};
}

static inline kv_row kv_next_rows(const thimble_attention *a, kv_row row, int64_t count) {
    row.codes += count * thimble_kv_code_bytes(a->kv_type, a->head_size);
    row.scales += count * thimble_kv_scale_bytes(a->kv_type) / 4;
    return row;
}

// The key or value of a position.
static inline kv_row kv_row_at(const thimble_attention *a, int64_t kv_head, int64_t position, int64_t part) {
    int32_t page = a->block_table[position / a->page_tokens];
    return kv_next_rows(a, kv_first_row(a, kv_head, page, part), position % a->page_tokens);
}

// The two numbers of an int5 row's word.
static inline float kv_step(uint32_t word) { return float_from_bits(word << 16); }
static inline float kv_least(uint32_t word) { return float_from_bits(word & 0xffff0000); }

// The level that an int5 code stands for, in steps above the least element. All its numbers are exact.
static inline float kv_level(uint32_t code) {
    float c = (float)code;
    return c * (3009 + c * (2 * c - 93)) / 2048;
}

// The code of the nearest level, the higher one of two. Halfway between the levels of c - 1 and of c lies
// (c * (3105 + c * (2 * c - 96)) - 1552) / 2048, exactly.
static inline uint32_t kv_code(float level) {
    float t = level * 2048;
    uint32_t code = 0;
    for (uint32_t bit = 16; bit > 0; bit /= 2) {
        float c = (float)(code + bit);
        if (t >= c * (3105 + c * (2 * c - 96)) - 1552) code += bit;
    }
    return code;
}

// The bytes of the fifth bits of eight int5 codes each, from that of `channel` on.
static inline const uint8_t *kv_fifth_bits(kv_row row, int64_t channel) {
    return row.codes + channel / THIMBLE_KV_BLOCK * THIMBLE_KV_BLOCK_BYTES + channel % THIMBLE_KV_BLOCK / 8;
}

// The words of the other bits, from that of `channel` on.
static inline const uint8_t *kv_low_bits(kv_row row, int64_t channel) {
    const uint8_t *block = row.codes + channel / THIMBLE_KV_BLOCK * THIMBLE_KV_BLOCK_BYTES;
    return block + 4 + channel % THIMBLE_KV_BLOCK / 8 * 4;
}

// An element of a row; of int5 it is one of the rotated row's.
static inline float kv_element(thimble_kv_type type, kv_row row, int64_t i) {
    if (type == THIMBLE_KV_F16) return float_from_half(((const uint16_t *)row.codes)[i]);
    if (type == THIMBLE_KV_INT8) return float_from_bits(*row.scales) * (float)(int8_t)row.codes[i];
    uint8_t byte = kv_low_bits(row, i)[i % 4];
    uint32_t code = (i % 8 < 4 ? byte & 15u : byte >> 4) | (*kv_fifth_bits(row, i) >> i % 8 & 1u) << 4;
    float grown = kv_step(*row.scales) * kv_level(code);
    return kv_least(*row.scales) + grown;
}

// x held within +-limit; NaN stays NaN.
static inline float kv_bounded(float x, float limit) { return x > limit ? limit : x < -limit ? -limit : x; }

// Rotates a row in place: see store_int5. The order of its sums is the same in every variant, and so are its
// bits.
static inline void kv_rotate(float *x, int64_t count) {
    int64_t width = count & -count;
    float scale = 1 / sqrtf((float)width);
    for (int64_t i = 0; i < count; i++) x[i] *= scale;
    for (int64_t half = 1; half < width; half *= 2) {
        for (int64_t start = 0; start < count; start += 2 * half) {
            for (int64_t i = start; i < start + half; i++) {
                float a = x[i], b = x[i + half];
                x[i] = a + b;
                x[i + half] = a - b;
            }
        }
    }
}

// A rotation as kv_rotate's, to the bit.
typedef void kv_rotation(float *x, int64_t count);

// A query that attention over `type` multiplies with keys as they lie: x, or a rotated copy of it.
static inline const float *kv_query(thimble_kv_type type, const float *x, int64_t count, kv_rotation *rotate,
                                    float copy[THIMBLE_MAX_HEAD_SIZE]) {
    if (type != THIMBLE_KV_INT5) return x;
    for (int64_t i = 0; i < count; i++) copy[i] = kv_bounded(x[i], 0x1p120f);
    rotate(copy, count);
    return copy;
}

// The bfloat16 nearest to x, ties to even, as the upper half of its float32.
static inline uint32_t kv_bfloat16_bits(float x) {
    uint32_t bits = float_bits(x);
    return (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000;
}

// The word of an int5 row of numbers from `least` to `most`. A least zero is the positive one: of two with
// different signs, a minimum may be either.
static inline uint32_t kv_word(float least, float most) {
    uint32_t bits = kv_bfloat16_bits(least == 0 ? 0 : least);
    uint32_t step = kv_bfloat16_bits((most - float_from_bits(bits)) / 31);
    return float_from_bits(step) < QUANTIZE_SMALLEST ? bits : bits | step >> 16;
}

// Of a row that holds a NaN.
#define KV_WORD_NAN 0x7fc07fc0
