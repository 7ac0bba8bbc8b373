//! Attention of few query rows with AVX-512, as when decoding: products of floats, each key read once as it
//! lies.
#include "avx512_attention.h"
#if defined(__x86_64__)

// Rows that share a key, and vectors of channels that share their weights: 16 sums.
enum { panel_rows = 4, panel_vectors = 4 };
// A vector of scores is four keys by four rows.
enum { vector_keys = lanes / panel_rows };

void thimble_avx512_load_floats(query_block *q) {
    const thimble_attention *a = q->a;
    int64_t padded = (q->rows + panel_rows - 1) / panel_rows * panel_rows;
    for (int64_t row = 0; row < padded; row++) {
        const float *from = a->q + row_token(q, row) * a->q_stride + row_head(q, row) * a->head_size;
        float rotated[THIMBLE_MAX_HEAD_SIZE];
        if (row < q->rows) from = kv_query(a->kv_type, from, a->head_size, rotate, rotated);
        for (int64_t i = 0; i < q->width; i += lanes) {
            f32x16 v = row < q->rows ? load_part(from + i, a->head_size - i) : _mm512_setzero_ps();
            _mm512_storeu_ps(q->few_queries + row * q->width + i, _mm512_mul_ps(v, _mm512_set1_ps(a->scale)));
        }
    }
}

// The sums of four vectors' lanes.
TEMPLATE __m128 sums_of_four(const f32x16 v[4]) {
    // Within 16 bytes: sums of two lanes of the first and the second, then of four lanes of all.
    f32x16 first = _mm512_add_ps(_mm512_unpacklo_ps(v[0], v[1]), _mm512_unpackhi_ps(v[0], v[1]));
    f32x16 second = _mm512_add_ps(_mm512_unpacklo_ps(v[2], v[3]), _mm512_unpackhi_ps(v[2], v[3]));
    __m512d low = _mm512_unpacklo_pd(_mm512_castps_pd(first), _mm512_castps_pd(second));
    __m512d high = _mm512_unpackhi_pd(_mm512_castps_pd(first), _mm512_castps_pd(second));
    f32x16 four = _mm512_add_ps(_mm512_castpd_ps(low), _mm512_castpd_ps(high));
    __m256 half = _mm256_add_ps(_mm512_castps512_ps256(four), _mm512_extractf32x8_ps(four, 1));
    return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
}

// The scores of four rows from `row` on for every key: scores[key][4].
TEMPLATE void score(const thimble_kv_type type, const query_block *q, const key_step *step, int64_t row,
                    float *scores) {
    int64_t last = q->width - lanes;
    __mmask16 real = lanes_below(q->a->head_size - last);
    for (int64_t key = 0; key < step->count; key++) {
        f32x16 sums[panel_rows];
        for (int64_t i = 0; i < panel_rows; i++) sums[i] = _mm512_setzero_ps();
        const float *queries = q->few_queries + row * q->width;
        for (int64_t channel = 0; channel <= last; channel += lanes, queries += lanes) {
            f32x16 v = load_row(type, step->keys.rows[key], channel, channel < last ? 0xffff : real);
#pragma clang loop unroll(full)
            for (int64_t i = 0; i < panel_rows; i++) {
                sums[i] = _mm512_fmadd_ps(v, _mm512_loadu_ps(queries + i * q->width), sums[i]);
            }
        }
        __m128 s = sums_of_four(sums);
        if (type == THIMBLE_KV_INT8) s = _mm_mul_ps(s, _mm_set1_ps(step->keys.worth[key]));
        _mm_storeu_ps(scores + key * panel_rows, s);
    }
}

// Puts each row's sum, or largest, over a vector's keys in the place of every key.
#define OVER_KEYS(combine, v)                                                                                \
    do {                                                                                                     \
        v = combine(v, _mm512_shuffle_f32x4(v, v, 0x4e));                                                    \
        v = combine(v, _mm512_shuffle_f32x4(v, v, 0xb1));                                                    \
    } while (0)

// The rows' places in a vector of four keys by four rows, and the rows out of it.
TEMPLATE f32x16 of_rows(const float *rows) { return _mm512_broadcast_f32x4(_mm_loadu_ps(rows)); }
TEMPLATE void store_rows(float *rows, f32x16 v) { _mm_storeu_ps(rows, _mm512_castps512_ps128(v)); }

// Turns scores into weights e^(score - largest) in place, zero where a row does not see the key. A weight of
// an int8 value takes the value's worth along.
TEMPLATE void weigh(const thimble_kv_type type, const query_block *q, const key_step *step, int64_t row,
                    float *scores) {
    const f32x16 limit = _mm512_set1_ps(THIMBLE_ATTENTION_SCORE_LIMIT),
                 lowest = _mm512_set1_ps(-THIMBLE_ATTENTION_SCORE_LIMIT);
    const i32x16 key_of_lane = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    i32x16 visible = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(q->visible + row)));
    __mmask16 seen[most_keys / vector_keys];
    f32x16 before = of_rows(q->largest + row), largest = before, sum = _mm512_setzero_ps();
    for (int64_t key = 0; key < step->count; key += vector_keys) {
        i32x16 keys = _mm512_add_epi32(key_of_lane, _mm512_set1_epi32((int32_t)key));
        seen[key / vector_keys] = _mm512_cmpgt_epi32_mask(visible, keys);
        // With NaN, these return their second operand: a NaN score stays NaN and never becomes the largest.
        f32x16 s = _mm512_loadu_ps(scores + key * panel_rows);
        s = _mm512_max_ps(lowest, _mm512_min_ps(limit, s));
        _mm512_storeu_ps(scores + key * panel_rows, s);
        largest = _mm512_mask_max_ps(largest, seen[key / vector_keys], s, largest);
    }
    OVER_KEYS(_mm512_max_ps, largest);
    for (int64_t key = 0; key < step->count; key += vector_keys) {
        f32x16 e = _mm512_sub_ps(_mm512_loadu_ps(scores + key * panel_rows), largest);
        e = _mm512_maskz_mov_ps(seen[key / vector_keys], f32x16_exp_nonpositive(e));
        sum = _mm512_add_ps(sum, e);
        if (type == THIMBLE_KV_INT8) {
            f32x16 four = _mm512_castps128_ps512(_mm_loadu_ps(step->values.worth + key));
            f32x16 worth = _mm512_permutexvar_ps(key_of_lane, four);
            e = _mm512_maskz_mul_ps(seen[key / vector_keys], e, worth);
        }
        _mm512_storeu_ps(scores + key * panel_rows, e);
    }
    OVER_KEYS(_mm512_add_ps, sum);
    f32x16 shrink = f32x16_exp_nonpositive(_mm512_sub_ps(before, largest));
    store_rows(q->total + row, _mm512_fmadd_ps(of_rows(q->total + row), shrink, sum));
    store_rows(q->largest + row, largest);
    store_rows(q->shrink + row, shrink);
}

// sums = sums * shrink + weights * values, for four rows and `vectors` vectors of channels. A value that a
// row does not see may be NaN, which zero times would keep.
TEMPLATE void add_values(const thimble_kv_type type, const query_block *q, const key_step *step, int64_t row,
                         int64_t channel, const int64_t vectors, const int masked, const float *weights) {
    __mmask16 real = lanes_below(q->a->head_size - channel - (vectors - 1) * lanes);
    f32x16 sums[panel_rows][panel_vectors];
    float *at = q->sums + row * q->width + channel;
#pragma clang loop unroll(full)
    for (int64_t i = 0; i < panel_rows * vectors; i++) {
        f32x16 before = _mm512_loadu_ps(at + i / vectors * q->width + i % vectors * lanes);
        sums[i / vectors][i % vectors] = _mm512_mul_ps(before, _mm512_set1_ps(q->shrink[row + i / vectors]));
    }
    for (int64_t key = 0; key < step->count; key++) {
        f32x16 value[panel_vectors];
        for (int64_t v = 0; v < vectors; v++) {
            __mmask16 present = v < vectors - 1 ? 0xffff : real;
            value[v] = load_row(type, step->values.rows[key], channel + v * lanes, present);
        }
#pragma clang loop unroll(full)
        for (int64_t i = 0; i < panel_rows; i++) {
            __mmask16 seen = masked && key >= q->visible[row + i] ? 0 : 0xffff;
            f32x16 weight = _mm512_set1_ps(weights[key * panel_rows + i]);
            for (int64_t v = 0; v < vectors; v++) {
                sums[i][v] = _mm512_mask3_fmadd_ps(weight, value[v], sums[i][v], seen);
            }
        }
    }
#pragma clang loop unroll(full)
    for (int64_t i = 0; i < panel_rows * vectors; i++) {
        _mm512_storeu_ps(at + i / vectors * q->width + i % vectors * lanes, sums[i / vectors][i % vectors]);
    }
}

#define VALUES(VECTORS)                                                                                      \
    case VECTORS:                                                                                            \
        if (masked) {                                                                                        \
            add_values(type, q, step, row, channel, VECTORS, 1, weights);                                    \
        } else {                                                                                             \
            add_values(type, q, step, row, channel, VECTORS, 0, weights);                                    \
        }                                                                                                    \
        break

TEMPLATE void attend(const thimble_kv_type type, const query_block *q, const key_step *step) {
    float weights[most_keys * panel_rows];
    for (int64_t row = 0; row < q->rows; row += panel_rows) {
        int masked = q->visible[row] < step->padded;  // rows see more keys the later they come
        score(type, q, step, row, weights);
        weigh(type, q, step, row, weights);
        for (int64_t channel = 0; channel < q->width; channel += panel_vectors * lanes) {
            int64_t vectors = (q->width - channel) / lanes;
            switch (vectors < panel_vectors ? vectors : panel_vectors) {
                VALUES(1);
                VALUES(2);
                VALUES(3);
                VALUES(4);
            }
        }
    }
}

void thimble_avx512_attend_floats(query_block *q, const key_step *step) {
    ATTENTION_BY_TYPE(q->a, attend, q, step);
}

AVX512_END
#endif
