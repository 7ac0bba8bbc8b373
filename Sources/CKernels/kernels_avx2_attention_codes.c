//! Attention of many query rows with AVX2: matrix products of 16-bit integers.
#include "avx2_attention.h"
#include <math.h>
#if defined(__x86_64__)

// Integers of 16 bits multiply at twice the rate of floats. What they cost in precision is about what float16
// costs the keys and values:
// - A query and a key are each scaled to the length 32767. Their product, and every part of it, is then below
//   2^30 by the Cauchy-Schwarz inequality.
// - A weight is relative to the largest of its row in this step, in units of 2^-14, so that a long flat tail
//   behind one large weight of another step keeps its share.
// - A value is scaled by its column of the step, whose magnitudes add up to less than 2^17: a sum of weights
//   times values is below 2^31.
// The total adds the rounded weights, so that the mean stays a mean.
enum { panel_rows = 6, panel_lanes = 16 };

// A key shorter than this is taken for zeros: the squares of shorter ones leave float32.
static const float shortest_key = 0x1p-50f;
static const float query_length = 32767, weight_one = 16384, column_sum = 131071 - most_keys;

TEMPLATE f32x8 load_row_below(const thimble_kv_type type, kv_row row, int64_t d, int64_t size) {
    return d < size ? load_row(type, row, d, size - d) : _mm256_setzero_ps();
}

TEMPLATE i32x8 round_scaled(f32x8 x, f32x8 scale) { return _mm256_cvtps_epi32(_mm256_mul_ps(x, scale)); }

// Sixteen integers as pairs of 16 bits. Their order is the instruction's, and the same for queries and keys.
TEMPLATE i32x8 pack_pairs(f32x8 low, f32x8 high, f32x8 scale) {
    return _mm256_packs_epi32(round_scaled(low, scale), round_scaled(high, scale));
}

// MARK: Queries

// Rounds a query to integers; returns what one is worth.
static float load_query(const float *from, int64_t size, int64_t width, int16_t *to) {
    f32x8 largest = _mm256_setzero_ps(), finite = _mm256_setzero_ps();
    const f32x8 sign = _mm256_set1_ps(-0.0f);
    for (int64_t d = 0; d < size; d += 8) {
        f32x8 x = load_part(from + d, size - d);
        largest = _mm256_max_ps(largest, _mm256_andnot_ps(sign, x));
        finite = _mm256_add_ps(finite, _mm256_sub_ps(x, x));
    }
    // Squares are those of x / largest, which float32 holds at any magnitude.
    float top = f32x8_largest(largest);
    int zero = top < QUANTIZE_SMALLEST;
    f32x8 inverse = _mm256_set1_ps(zero ? 0 : 1 / top), squares = _mm256_setzero_ps();
    for (int64_t d = 0; d < size; d += 8) {
        f32x8 x = _mm256_mul_ps(load_part(from + d, size - d), inverse);
        squares = _mm256_fmadd_ps(x, x, squares);
    }
    float length = sqrtf(f32x8_sum(squares));
    f32x8 scale = _mm256_set1_ps(zero ? 0 : query_length / length);
    for (int64_t d = 0; d < width; d += 16) {
        f32x8 low = _mm256_mul_ps(load_part(from + d, size - d), inverse);
        f32x8 high = _mm256_mul_ps(load_part(from + d + 8, size - d - 8), inverse);
        _mm256_storeu_si256((i32x8 *)(to + d), pack_pairs(low, high, scale));
    }
    return f32x8_sum(finite) == 0 ? top / query_length * length : NAN;
}

void thimble_avx2_load_codes(query_block *q) {
    const thimble_attention *a = q->a;
    for (int64_t row = 0; row < q->rows; row++) {
        const float *from = a->q + row_token(q, row) * a->q_stride + row_head(q, row) * a->head_size;
        float rotated[THIMBLE_MAX_HEAD_SIZE];
        from = kv_query(a->kv_type, from, a->head_size, rotate, rotated);
        float worth = load_query(from, a->head_size, q->width, q->queries + row * q->width);
        q->query_scales[row] = worth * a->scale;
    }
}

// MARK: Keys and values

// Transposes eight vectors in place.
TEMPLATE void transpose(f32x8 v[8]) {
    f32x8 pairs[8], fours[8];
    for (int64_t i = 0; i < 8; i += 2) {
        pairs[i] = _mm256_unpacklo_ps(v[i], v[i + 1]);
        pairs[i + 1] = _mm256_unpackhi_ps(v[i], v[i + 1]);
    }
    for (int64_t i = 0; i < 8; i += 4) {
        fours[i] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0x44);
        fours[i + 1] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0xee);
        fours[i + 2] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0x44);
        fours[i + 3] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0xee);
    }
    for (int64_t i = 0; i < 4; i++) {
        v[i] = _mm256_permute2f128_ps(fours[i], fours[i + 4], 0x20);
        v[i + 4] = _mm256_permute2f128_ps(fours[i], fours[i + 4], 0x31);
    }
}

// Rounds keys to integers, pairs transposed: a vector holds one pair of eight keys.
TEMPLATE void load_keys(const thimble_kv_type type, query_block *q, key_step *step) {
    int64_t size = q->a->head_size, width = q->width;
    step->first_not_finite = most_keys;
    for (int64_t key = 0; key < step->padded; key += 8) {
        const kv_row *rows = step->keys.rows + key;
        float inverse[8] = {0};
        for (int64_t i = 0; i < 8; i++) {
            q->key_scales[key + i] = 0;
            if (key + i >= step->count) continue;
            f32x8 squares = _mm256_setzero_ps();
            for (int64_t d = 0; d < size; d += 8) {
                f32x8 x = load_row(type, rows[i], d, size - d);
                squares = _mm256_fmadd_ps(x, x, squares);
            }
            float length = sqrtf(f32x8_sum(squares));
            float worth = type == THIMBLE_KV_INT8 ? step->keys.worth[key + i] : 1;
            if (!isfinite(length) || isnan(worth)) {
                length = NAN;
                if (step->first_not_finite == most_keys) step->first_not_finite = key + i;
            }
            inverse[i] = length < shortest_key ? 0 : query_length / length;
            q->key_scales[key + i] = length / query_length * worth;
        }
        for (int64_t d = 0; d < width; d += 16) {
            f32x8 v[8];
            for (int64_t i = 0; i < 8; i++) {
                v[i] = _mm256_castsi256_ps(pack_pairs(load_row_below(type, rows[i], d, size),
                                                      load_row_below(type, rows[i], d + 8, size),
                                                      _mm256_set1_ps(inverse[i])));
            }
            transpose(v);
            for (int64_t i = 0; i < 8; i++) {
                _mm256_storeu_ps((float *)q->key_codes + (d / 2 + i) * most_keys + key, v[i]);
            }
        }
    }
}

TEMPLATE f32x8 load_value(const thimble_kv_type type, const key_step *step, int64_t key, int64_t d,
                          int64_t size) {
    f32x8 v = load_row_below(type, step->values.rows[key], d, size);
    return type == THIMBLE_KV_INT8 ? _mm256_mul_ps(v, _mm256_set1_ps(step->values.worth[key])) : v;
}

// Rounds values to integers, column by column; the keys of a pair lie side by side. Returns whether all
// values are finite.
TEMPLATE int load_values(const thimble_kv_type type, query_block *q, const key_step *step) {
    int64_t size = q->a->head_size, width = q->width;
    const f32x8 sign = _mm256_set1_ps(-0.0f), infinity = _mm256_set1_ps(INFINITY);
    f32x8 all_finite = _mm256_castsi256_ps(_mm256_set1_epi32(-1));
    for (int64_t d = 0; d < width; d += 8) {
        f32x8 sum = _mm256_setzero_ps(), largest = _mm256_setzero_ps();
        for (int64_t key = 0; key < step->count; key++) {
            f32x8 magnitude = _mm256_andnot_ps(sign, load_value(type, step, key, d, size));
            f32x8 finite = _mm256_cmp_ps(magnitude, infinity, _CMP_LT_OQ);
            all_finite = _mm256_and_ps(all_finite, finite);
            magnitude = _mm256_and_ps(magnitude, finite);
            sum = _mm256_add_ps(sum, magnitude);
            largest = _mm256_max_ps(largest, magnitude);
        }
        f32x8 scale = _mm256_max_ps(_mm256_mul_ps(sum, _mm256_set1_ps(1 / column_sum)),
                                    _mm256_mul_ps(largest, _mm256_set1_ps(1 / query_length)));
        f32x8 positive = _mm256_cmp_ps(scale, _mm256_set1_ps(QUANTIZE_SMALLEST), _CMP_GT_OQ);
        f32x8 inverse = _mm256_and_ps(_mm256_div_ps(_mm256_set1_ps(1), scale), positive);
        _mm256_storeu_ps(q->value_scales + d, scale);
        for (int64_t key = 0; key < step->count; key += 2) {
            int pair = key + 1 < step->count;
            i32x8 even = round_scaled(load_value(type, step, key, d, size), inverse);
            i32x8 odd = pair ? round_scaled(load_value(type, step, key + 1, d, size), inverse)
                             : _mm256_setzero_si256();
            i32x8 both = _mm256_blend_epi16(even, _mm256_slli_epi32(odd, 16), 0xaa);
            _mm256_storeu_si256((i32x8 *)(q->value_codes + key / 2 * width + d), both);
        }
    }
    return _mm256_movemask_ps(all_finite) == 0xff;
}

// MARK: A panel of rows

// What a panel computes between its two products.
typedef struct {
    int32_t products[panel_rows][most_keys];  // queries times keys
    int16_t weights[panel_rows][most_keys];   // e^(score - largest of the step)
    float old_share[8];                       // what a row's sums so far are multiplied by
    float step_share[8];                      // what one unit of this step's weights is worth
} panel;

// sums[row][lanes] = left[row] times right[pairs][lanes], for `rows` rows and 16 lanes.
TEMPLATE void multiply(const int64_t rows, const int16_t *left, int64_t left_stride, const int32_t *right,
                       int64_t right_stride, int64_t pairs, i32x8 sums[panel_rows][2]) {
    for (int64_t row = 0; row < rows; row++) sums[row][0] = sums[row][1] = _mm256_setzero_si256();
    for (int64_t k = 0; k < pairs; k++) {
        i32x8 r0 = _mm256_loadu_si256((const i32x8 *)(right + k * right_stride));
        i32x8 r1 = _mm256_loadu_si256((const i32x8 *)(right + k * right_stride + 8));
#pragma clang loop unroll(full)
        for (int64_t row = 0; row < rows; row++) {
            int32_t pair;
            memcpy(&pair, left + row * left_stride + 2 * k, sizeof pair);
            i32x8 l = _mm256_set1_epi32(pair);
            sums[row][0] = _mm256_add_epi32(sums[row][0], _mm256_madd_epi16(l, r0));
            sums[row][1] = _mm256_add_epi32(sums[row][1], _mm256_madd_epi16(l, r1));
        }
    }
}

TEMPLATE void multiply_keys(const int64_t rows, const query_block *q, const key_step *step, int64_t row,
                            panel *p) {
    for (int64_t key = 0; key < step->padded; key += panel_lanes) {
        i32x8 sums[panel_rows][2];
        multiply(rows, q->queries + row * q->width, q->width, q->key_codes + key, most_keys, q->width / 2,
                 sums);
        for (int64_t i = 0; i < rows; i++) {
            _mm256_storeu_si256((i32x8 *)(p->products[i] + key), sums[i][0]);
            _mm256_storeu_si256((i32x8 *)(p->products[i] + key + 8), sums[i][1]);
        }
    }
}

// sums = sums * old share + this step's, for `rows` rows.
TEMPLATE void multiply_values(const int64_t rows, const query_block *q, const key_step *step, int64_t row,
                              const panel *p) {
    for (int64_t d = 0; d < q->width; d += panel_lanes) {
        i32x8 products[panel_rows][2];
        multiply(rows, p->weights[0], most_keys, q->value_codes + d, q->width, (step->count + 1) / 2,
                 products);
        const float *scales = q->value_scales + d;
        f32x8 scale[2] = {_mm256_loadu_ps(scales), _mm256_loadu_ps(scales + 8)};
        for (int64_t i = 0; i < rows; i++) {
            f32x8 old = _mm256_set1_ps(p->old_share[i]), new = _mm256_set1_ps(p->step_share[i]);
            for (int64_t v = 0; v < 2; v++) {
                float *sums = q->sums + (row + i) * q->width + d + v * 8;
                f32x8 kept = _mm256_mul_ps(_mm256_loadu_ps(sums), old);
                f32x8 value = _mm256_mul_ps(scale[v], new);
                _mm256_storeu_ps(sums, _mm256_fmadd_ps(_mm256_cvtepi32_ps(products[i][v]), value, kept));
            }
        }
    }
}

// 2^14 e^x for x <= 0, relative error below 3e-6; 0 after rounding from about e^-10 down, and for NaN.
//
// x log2 e = n + r with |r| <= 1/2; 2^r is the polynomial of degree 4 whose relative error is least among
// those that are exact at 0; n goes straight into the exponent bits.
TEMPLATE i32x8 weight_of(f32x8 x) {
    const f32x8 log2e = _mm256_set1_ps(1.44269504f), rounder = _mm256_set1_ps(0x1.8p23f);
    x = _mm256_max_ps(x, _mm256_set1_ps(-60));
    f32x8 rounded = _mm256_fmadd_ps(x, log2e, rounder);
    f32x8 r = _mm256_fmsub_ps(x, log2e, _mm256_sub_ps(rounded, rounder));
    f32x8 e = _mm256_set1_ps(0.00958285f * weight_one);
    e = _mm256_fmadd_ps(e, r, _mm256_set1_ps(0.05590642f * weight_one));
    e = _mm256_fmadd_ps(e, r, _mm256_set1_ps(0.24024099f * weight_one));
    e = _mm256_fmadd_ps(e, r, _mm256_set1_ps(0.69312419f * weight_one));
    e = _mm256_fmadd_ps(e, r, _mm256_set1_ps(weight_one));
    i32x8 power = _mm256_slli_epi32(_mm256_castps_si256(rounded), 23);
    return _mm256_cvtps_epi32(_mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(e), power)));
}

// Turns products into scores, and scores into weights. Of the keys the row sees the first `seen`, which is
// all of them unless `partly`. Returns the sum of the weights.
TEMPLATE float weigh(const int partly, int64_t seen, int64_t padded, const float *key_scales,
                     float query_scale, const int32_t *products, int16_t *weights, float *largest) {
    const f32x8 limit = _mm256_set1_ps(THIMBLE_ATTENTION_SCORE_LIMIT);
    const f32x8 lowest = _mm256_set1_ps(-THIMBLE_ATTENTION_SCORE_LIMIT);
    f32x8 scores[most_keys / 8], top = lowest;
    for (int64_t key = 0; key < padded; key += 8) {
        f32x8 product = _mm256_cvtepi32_ps(_mm256_loadu_si256((const i32x8 *)(products + key)));
        f32x8 s = _mm256_mul_ps(product, _mm256_loadu_ps(key_scales + key));
        // With NaN, these return their second operand: a NaN score stays NaN and never becomes the largest.
        s = _mm256_max_ps(lowest, _mm256_min_ps(limit, _mm256_mul_ps(s, _mm256_set1_ps(query_scale))));
        if (partly) {
            f32x8 mask = _mm256_castsi256_ps(lanes_below(seen - key));
            s = _mm256_blendv_ps(_mm256_set1_ps(-INFINITY), s, mask);
        }
        scores[key / 8] = s;
        top = _mm256_max_ps(s, top);
    }
    *largest = f32x8_largest(top);
    top = _mm256_set1_ps(*largest);
    i32x8 sum = _mm256_setzero_si256();
    for (int64_t key = 0; key < padded; key += 16) {
        i32x8 low = weight_of(_mm256_sub_ps(scores[key / 8], top));
        i32x8 high = weight_of(_mm256_sub_ps(scores[key / 8 + 1], top));
        sum = _mm256_add_epi32(sum, _mm256_add_epi32(low, high));
        // Packing interleaves the two by halves; what lies in order is put back.
        i32x8 packed = _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xd8);
        _mm256_storeu_si256((i32x8 *)(weights + key), packed);
    }
    return f32x8_sum(_mm256_cvtepi32_ps(sum));
}

// Weights of a panel's rows, and what their sums so far and this step's are worth beside each other.
static void weigh_rows(const query_block *q, const key_step *step, int64_t row, int64_t rows, panel *p) {
    float largest[8] = {0}, sums[panel_rows];
    for (int64_t i = 0; i < rows; i++) {
        int64_t seen = row_key_end(q, row + i) - step->first;
        if (seen > step->count) seen = step->count;
        float scale = q->query_scales[row + i];
        sums[i] = seen < step->padded ? weigh(1, seen, step->padded, q->key_scales, scale, p->products[i],
                                              p->weights[i], &largest[i])
                                      : weigh(0, seen, step->padded, q->key_scales, scale, p->products[i],
                                              p->weights[i], &largest[i]);
        if (seen > (isnan(scale) ? 0 : step->first_not_finite)) sums[i] = NAN;
    }
    f32x8 old = _mm256_loadu_ps(q->largest + row), new = _mm256_loadu_ps(largest);
    f32x8 both = _mm256_max_ps(old, new);
    _mm256_storeu_ps(p->old_share, f32x8_exp_nonpositive(_mm256_sub_ps(old, both)));
    f32x8 step_share = f32x8_exp_nonpositive(_mm256_sub_ps(new, both));
    _mm256_storeu_ps(p->step_share, _mm256_mul_ps(step_share, _mm256_set1_ps(1 / weight_one)));
    for (int64_t i = 0; i < rows; i++) {
        if (largest[i] > q->largest[row + i]) q->largest[row + i] = largest[i];
        q->total[row + i] = q->total[row + i] * p->old_share[i] + sums[i] * p->step_share[i];
    }
}

#define PANEL(R)                                                                                             \
    case R:                                                                                                  \
        multiply_keys(R, q, step, row, &p);                                                                  \
        weigh_rows(q, step, row, R, &p);                                                                     \
        multiply_values(R, q, step, row, &p);                                                                \
        break

static void attend_panels(const query_block *q, const key_step *step) {
    for (int64_t row = 0; row < q->rows; row += panel_rows) {
        panel p;
        switch (q->rows - row < panel_rows ? q->rows - row : panel_rows) {
            PANEL(1);
            PANEL(2);
            PANEL(3);
            PANEL(4);
            PANEL(5);
            PANEL(6);
        }
    }
}

// Values that are not finite make NaN of their columns, in the rows that see their keys.
TEMPLATE void poison_sums(const thimble_kv_type type, const query_block *q, const key_step *step) {
    int64_t size = q->a->head_size;
    for (int64_t key = 0; key < step->count; key++) {
        for (int64_t row = 0; row < q->rows; row++) {
            if (step->first + key >= row_key_end(q, row)) continue;
            for (int64_t d = 0; d < size; d += 8) {
                f32x8 v = load_value(type, step, key, d, size);
                float *sums = q->sums + row * q->width + d;
                _mm256_storeu_ps(sums, _mm256_add_ps(_mm256_loadu_ps(sums), _mm256_sub_ps(v, v)));
            }
        }
    }
}

TEMPLATE void attend(const thimble_kv_type type, query_block *q, key_step *step) {
    load_keys(type, q, step);
    int values_are_finite = load_values(type, q, step);
    attend_panels(q, step);
    if (!values_are_finite) poison_sums(type, q, step);
}

void thimble_avx2_attend_codes(query_block *q, key_step *step) {
    ATTENTION_BY_TYPE(q->a, attend, q, step);
}

AVX2_END
#endif
