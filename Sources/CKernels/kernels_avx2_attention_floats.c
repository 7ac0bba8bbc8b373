//! Attention of few query rows with AVX2, as when decoding: products of floats, each key read once as it
//! lies.
#include "avx2_attention.h"
#if defined(__x86_64__)

// A panel has one, two or four rows. So many sums of theirs are under way at once, over keys in the first
// product and over channels in the second, that additions do not wait for each other, and that a vector
// holds the scores of all.
enum { panel_sums = lanes, most_panel_rows = 4 };

void thimble_avx2_load_floats(query_block *q) {
    const thimble_attention *a = q->a;
    f32x8 scale = _mm256_set1_ps(a->scale);
    int64_t padded = (q->rows + most_panel_rows - 1) / most_panel_rows * most_panel_rows;
    for (int64_t row = 0; row < padded; row++) {
        const float *from = a->q + row_token(q, row) * a->q_stride + row_head(q, row) * a->head_size;
        float rotated[THIMBLE_MAX_HEAD_SIZE];
        if (row < q->rows) from = kv_query(a->kv_type, from, a->head_size, rotate, rotated);
        for (int64_t d = 0; d < q->width; d += lanes) {
            f32x8 v = row < q->rows ? load_part(from + d, a->head_size - d) : _mm256_setzero_ps();
            _mm256_storeu_ps(q->few_queries + row * q->width + d, _mm256_mul_ps(v, scale));
        }
    }
}

// A panel's rows in lane order, key by key: the rows' places in a vector, and the rows out of it.
TEMPLATE f32x8 of_rows(const int64_t rows, const float *from) {
    if (rows == 1) return _mm256_broadcast_ss(from);
    if (rows == 4) return _mm256_broadcast_ps((const __m128 *)from);
    double two;
    memcpy(&two, from, sizeof two);
    return _mm256_castpd_ps(_mm256_set1_pd(two));
}
TEMPLATE void store_rows(const int64_t rows, float *to, f32x8 v) {
    float all[lanes];
    _mm256_storeu_ps(all, v);
    memcpy(to, all, (size_t)rows * sizeof *to);
}

// Puts each row's sum, or largest, over a vector's keys in the place of every key.
#define OVER_KEYS(combine, rows, v)                                                                          \
    do {                                                                                                     \
        v = combine(v, _mm256_permute2f128_ps(v, v, 1));                                                     \
        if (rows <= 2) v = combine(v, _mm256_permute_ps(v, 0x4e));                                           \
        if (rows == 1) v = combine(v, _mm256_permute_ps(v, 0xb1));                                           \
    } while (0)

// The sums of eight vectors' lanes.
TEMPLATE f32x8 sums_of_eight(const f32x8 v[8]) {
    f32x8 low = _mm256_hadd_ps(_mm256_hadd_ps(v[0], v[1]), _mm256_hadd_ps(v[2], v[3]));
    f32x8 high = _mm256_hadd_ps(_mm256_hadd_ps(v[4], v[5]), _mm256_hadd_ps(v[6], v[7]));
    return _mm256_add_ps(_mm256_permute2f128_ps(low, high, 0x20), _mm256_permute2f128_ps(low, high, 0x31));
}

// sums[key][row] += the keys' channels from d on, `count` of them if that is less than a vector, times the
// queries'.
TEMPLATE void add_channels(const thimble_kv_type type, const int64_t rows, const query_block *q,
                           const kv_row keys[], const float *queries, int64_t d, int64_t count,
                           f32x8 sums[panel_sums]) {
    f32x8 query[most_panel_rows];
    for (int64_t i = 0; i < rows; i++) query[i] = _mm256_loadu_ps(queries + i * q->width + d);
#pragma clang loop unroll(full)
    for (int64_t key = 0; key < panel_sums / rows; key++) {
        f32x8 v = load_row(type, keys[key], d, count);
        for (int64_t i = 0; i < rows; i++) {
            sums[key * rows + i] = _mm256_fmadd_ps(v, query[i], sums[key * rows + i]);
        }
    }
}

// Lanes of the rows that see their key, of a vector from `key` on. `visible` counts keys, row by row.
TEMPLATE f32x8 seen_lanes(const int64_t rows, f32x8 visible, int64_t key) {
    const i32x8 keys = _mm256_srli_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), rows / 2);
    i32x8 key_of_lane = _mm256_add_epi32(keys, _mm256_set1_epi32((int32_t)key));
    return _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_castps_si256(visible), key_of_lane));
}

// The products of a panel's rows with every key: scores[key][rows]. Nothing else is done here: the sums leave
// no registers for it.
TEMPLATE void multiply_keys(const thimble_kv_type type, const int64_t rows, const query_block *q,
                            const key_step *step, int64_t row, float *scores) {
    const float *queries = q->few_queries + row * q->width;
    int64_t size = q->a->head_size, whole = size / lanes * lanes;
    for (int64_t key = 0; key < step->count; key += panel_sums / rows) {
        f32x8 sums[panel_sums];
        for (int64_t i = 0; i < panel_sums; i++) sums[i] = _mm256_setzero_ps();
        const kv_row *keys = step->keys.rows + key;
        for (int64_t d = 0; d < whole; d += lanes) {
            add_channels(type, rows, q, keys, queries, d, lanes, sums);
        }
        if (whole < size) add_channels(type, rows, q, keys, queries, whole, size - whole, sums);
        f32x8 s = sums_of_eight(sums);
        if (type == THIMBLE_KV_INT8) s = _mm256_mul_ps(s, worth_of_lanes(rows, step->keys.worth + key));
        _mm256_storeu_ps(scores + key * rows, s);
    }
}

// Turns scores into weights e^(score - largest) in place, zero where a row does not see the key. A weight of
// an int8 value takes the value's worth along. Returns what the step multiplies the rows' sums by.
TEMPLATE f32x8 weigh(const thimble_kv_type type, const int64_t rows, const query_block *q,
                     const key_step *step, int64_t row, f32x8 visible, float *scores) {
    const f32x8 limit = _mm256_set1_ps(THIMBLE_ATTENTION_SCORE_LIMIT),
                lowest = _mm256_set1_ps(-THIMBLE_ATTENTION_SCORE_LIMIT);
    f32x8 before = of_rows(rows, q->largest + row), largest = before, sum = _mm256_setzero_ps();
    for (int64_t key = 0; key < step->count; key += panel_sums / rows) {
        // With NaN, these return their second operand: a NaN score stays NaN and never becomes the largest.
        f32x8 s = _mm256_max_ps(lowest, _mm256_min_ps(limit, _mm256_loadu_ps(scores + key * rows)));
        _mm256_storeu_ps(scores + key * rows, s);
        s = _mm256_blendv_ps(lowest, s, seen_lanes(rows, visible, key));
        largest = _mm256_max_ps(s, largest);
    }
    OVER_KEYS(_mm256_max_ps, rows, largest);
    for (int64_t key = 0; key < step->count; key += panel_sums / rows) {
        f32x8 e = f32x8_exp_nonpositive(_mm256_sub_ps(_mm256_loadu_ps(scores + key * rows), largest));
        e = _mm256_and_ps(e, seen_lanes(rows, visible, key));
        sum = _mm256_add_ps(sum, e);
        if (type == THIMBLE_KV_INT8) e = _mm256_mul_ps(e, worth_of_lanes(rows, step->values.worth + key));
        _mm256_storeu_ps(scores + key * rows, e);
    }
    OVER_KEYS(_mm256_add_ps, rows, sum);
    f32x8 shrink = f32x8_exp_nonpositive(_mm256_sub_ps(before, largest));
    store_rows(rows, q->total + row, _mm256_fmadd_ps(of_rows(rows, q->total + row), shrink, sum));
    store_rows(rows, q->largest + row, largest);
    return shrink;
}

// What the second product takes: a panel's weights, and how many keys its rows see.
typedef struct {
    float weights[most_keys * most_panel_rows];  // [key][rows]
    float shrink[lanes];                         // [rows]: what sums are multiplied by
    int32_t visible[lanes];                      // [rows]
    int32_t common;                              // keys that all the rows see
} panel;

// sums = sums * shrink + weights * values, for some vectors of channels from d on, the last of which has
// `count` of them if that is less than a vector. A value that a row does not see may be NaN, which zero times
// would keep.
TEMPLATE void multiply_values(const thimble_kv_type type, const int64_t rows, const int64_t vectors,
                              const query_block *q, const key_step *step, const panel *p, int64_t row,
                              int64_t d, int64_t count) {
    f32x8 sums[panel_sums];
    float *at = q->sums + row * q->width + d;
#pragma clang loop unroll(full)
    for (int64_t i = 0; i < rows * vectors; i++) {
        f32x8 before = _mm256_loadu_ps(at + i / vectors * q->width + i % vectors * lanes);
        sums[i] = _mm256_mul_ps(before, _mm256_set1_ps(p->shrink[i / vectors]));
    }
    for (int64_t key = 0; key < step->count; key++) {
        f32x8 values[panel_sums];
        for (int64_t v = 0; v < vectors; v++) {
            values[v] = load_row(type, step->values.rows[key], d + v * lanes, count);
        }
#pragma clang loop unroll(full)
        for (int64_t i = 0; i < rows; i++) {
            if (key >= p->common && key >= p->visible[i]) continue;
            f32x8 weight = _mm256_broadcast_ss(p->weights + key * rows + i);
            for (int64_t v = 0; v < vectors; v++) {
                sums[i * vectors + v] = _mm256_fmadd_ps(weight, values[v], sums[i * vectors + v]);
            }
        }
    }
#pragma clang loop unroll(full)
    for (int64_t i = 0; i < rows * vectors; i++) {
        _mm256_storeu_ps(at + i / vectors * q->width + i % vectors * lanes, sums[i]);
    }
}

#define VALUES(VECTORS)                                                                                      \
    for (; rows * VECTORS <= panel_sums && d + VECTORS * lanes <= size; d += VECTORS * lanes) {              \
        multiply_values(type, rows, VECTORS, q, step, &p, row, d, lanes);                                    \
    }

TEMPLATE void attend_panel(const thimble_kv_type type, const int64_t rows, const query_block *q,
                           const key_step *step, int64_t row) {
    panel p = {.common = (int32_t)step->count};
    for (int64_t i = 0; i < rows; i++) {
        int64_t seen = row + i < q->rows ? row_key_end(q, row + i) - step->first : step->count;
        p.visible[i] = (int32_t)(seen < 0 ? 0 : seen < step->count ? seen : step->count);
        if (p.visible[i] < p.common) p.common = p.visible[i];
    }
    f32x8 visible = of_rows(rows, (const float *)p.visible);
    multiply_keys(type, rows, q, step, row, p.weights);
    _mm256_storeu_ps(p.shrink, weigh(type, rows, q, step, row, visible, p.weights));
    int64_t d = 0, size = q->a->head_size;
    VALUES(8);
    VALUES(4);
    VALUES(2);
    VALUES(1);
    if (d < size) multiply_values(type, rows, 1, q, step, &p, row, d, size - d);
}

TEMPLATE void attend(const thimble_kv_type type, const query_block *q, const key_step *step) {
    for (int64_t row = 0; row < q->rows; row += most_panel_rows) {
        switch (q->rows - row) {
            case 1: attend_panel(type, 1, q, step, row); break;
            case 2: attend_panel(type, 2, q, step, row); break;
            default: attend_panel(type, 4, q, step, row); break;
        }
    }
}

void thimble_avx2_attend_floats(query_block *q, const key_step *step) {
    ATTENTION_BY_TYPE(q->a, attend, q, step);
}

AVX2_END
#endif
