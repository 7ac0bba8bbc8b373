//! Attention with AVX2: blocks of query rows against steps of keys, both as small matrix products.
#include "avx2.h"
#if defined(__x86_64__)

// The softmax is online (Milakov and Gimelshein, 2018): sums of a row are relative to its largest score so
// far. Query heads that share a kv head are rows of one block, so that a key is converted once for all of
// them.
enum { most_rows = ATTENTION_ROWS, most_keys = ATTENTION_KEYS, panel_rows = 6, panel_lanes = 16 };

// A block of query rows in the caller's scratch.
typedef struct {
    const thimble_attention *a;
    int64_t kv_head;
    int64_t first_row;  // rows count (token, head of the group) pairs from token 0
    int64_t rows;
    int64_t width;   // head_size in whole vectors; what is beyond head_size holds zeros
    float *queries;  // [rows][width], scaled
    float *sums;     // [rows][width]
    float *scores;   // [rows][most_keys]
    float *keys;     // [width][most_keys]
    float *values;   // [most_keys][width]
    float *largest;  // [rows]
    float *total;    // [rows]
    float *shrink;   // [rows]: what the step multiplies sums by
} query_block;

static query_block block_in(float *scratch, const thimble_attention *a, int64_t kv_head) {
    int64_t width = ATTENTION_WIDTH(a->head_size);
    query_block q = {.a = a, .kv_head = kv_head, .width = width, .queries = scratch};
    q.sums = q.queries + most_rows * width;
    q.scores = q.sums + most_rows * width;
    q.keys = q.scores + most_rows * most_keys;
    q.values = q.keys + most_keys * width;
    q.largest = q.values + most_keys * width;
    q.total = q.largest + most_rows;
    q.shrink = q.total + most_rows;
    return q;
}

static int64_t row_token(const query_block *q, int64_t row) {
    return (q->first_row + row) / (q->a->q_heads / q->a->kv_heads);
}

static int64_t row_head(const query_block *q, int64_t row) {
    int64_t group = q->a->q_heads / q->a->kv_heads;
    return q->kv_head * group + (q->first_row + row) % group;
}

// How many keys a row sees.
static int64_t row_keys(const query_block *q, int64_t row) {
    return q->a->causal ? q->a->start + row_token(q, row) + 1 : q->a->kv_length;
}

static const uint16_t *cached_row(const query_block *q, int64_t position, int64_t part) {
    const thimble_attention *a = q->a;
    const uint16_t *page = a->pages + a->block_table[position / a->page_tokens] * a->page_stride;
    int64_t head = part * a->kv_heads + q->kv_head;
    return page + (head * a->page_tokens + position % a->page_tokens) * a->head_size;
}

static void load_queries(query_block *q) {
    const thimble_attention *a = q->a;
    for (int64_t row = 0; row < q->rows; row++) {
        const float *from = a->q + row_token(q, row) * a->q_stride + row_head(q, row) * a->head_size;
        for (int64_t i = 0; i < q->width; i += 8) {
            f32x8 scaled = _mm256_mul_ps(load_part(from + i, a->head_size - i), _mm256_set1_ps(a->scale));
            _mm256_storeu_ps(q->queries + row * q->width + i, scaled);
        }
        memset(q->sums + row * q->width, 0, (size_t)q->width * sizeof(float));
        q->largest[row] = -THIMBLE_ATTENTION_SCORE_LIMIT;
        q->total[row] = 0;
    }
}

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

// Converts keys (transposed) and values of positions first..<first + count; the rest of the last vector
// becomes zeros, since scratch may hold NaN. Whether a value is NaN.
static int load_keys_and_values(const query_block *q, int64_t first, int64_t count) {
    int64_t size = q->a->head_size;
    int64_t padded = (count + panel_lanes - 1) / panel_lanes * panel_lanes;
    for (int64_t key = 0; key < padded; key += 8) {
        const uint16_t *rows[8];
        for (int64_t i = 0; i < 8; i++) rows[i] = key + i < count ? cached_row(q, first + key + i, 0) : NULL;
        for (int64_t d = 0; d < size; d += 8) {
            f32x8 v[8];
            for (int64_t i = 0; i < 8; i++)
                v[i] = rows[i] ? load_part_of_halves(rows[i] + d, size - d) : _mm256_setzero_ps();
            transpose(v);
            for (int64_t i = 0; i < 8; i++) _mm256_storeu_ps(q->keys + (d + i) * most_keys + key, v[i]);
        }
    }
    f32x8 nan = _mm256_setzero_ps();
    for (int64_t key = 0; key < count; key++) {
        const uint16_t *row = cached_row(q, first + key, 1);
        for (int64_t d = 0; d < size; d += 8) {
            f32x8 v = load_part_of_halves(row + d, size - d);
            _mm256_storeu_ps(q->values + key * q->width + d, v);
            nan = _mm256_or_ps(nan, _mm256_cmp_ps(v, v, _CMP_UNORD_Q));
        }
    }
    return _mm256_movemask_ps(nan) != 0;
}

// out[row][lane] = out[row][lane] * shrink[row] + sum over k of left[row][k] * right[k][lane], for `rows`
// rows and `vectors` vectors of lanes; without `shrink`, out starts at zero.
TEMPLATE void product_panel(const int64_t rows, const int64_t vectors, const float *left, int64_t left_stride,
                            const float *right, int64_t right_stride, int64_t depth, const float *shrink,
                            float *out, int64_t out_stride) {
    f32x8 sums[panel_rows][2];
#pragma clang loop unroll(full)
    for (int64_t row = 0; row < rows; row++) {
        for (int64_t v = 0; v < vectors; v++) {
            const float *at = out + row * out_stride + v * 8;
            sums[row][v] = shrink ? _mm256_mul_ps(_mm256_loadu_ps(at), _mm256_broadcast_ss(shrink + row))
                                  : _mm256_setzero_ps();
        }
    }
    for (int64_t k = 0; k < depth; k++) {
        f32x8 r0 = _mm256_loadu_ps(right + k * right_stride);
        f32x8 r1 = vectors == 2 ? _mm256_loadu_ps(right + k * right_stride + 8) : r0;
#pragma clang loop unroll(full)
        for (int64_t row = 0; row < rows; row++) {
            f32x8 l = _mm256_broadcast_ss(left + row * left_stride + k);
            sums[row][0] = _mm256_fmadd_ps(l, r0, sums[row][0]);
            if (vectors == 2) sums[row][1] = _mm256_fmadd_ps(l, r1, sums[row][1]);
        }
    }
#pragma clang loop unroll(full)
    for (int64_t row = 0; row < rows; row++) {
        for (int64_t v = 0; v < vectors; v++) _mm256_storeu_ps(out + row * out_stride + v * 8, sums[row][v]);
    }
}

#define PANEL(R)                                                                                             \
    case R:                                                                                                  \
        if (lanes == 8) {                                                                                    \
            product_panel(R, 1, left, left_stride, right, right_stride, depth, shrink, out, out_stride);     \
        } else {                                                                                             \
            product_panel(R, 2, left, left_stride, right, right_stride, depth, shrink, out, out_stride);     \
        }                                                                                                    \
        break

// The product for at most 6 rows and for 8 or 16 lanes.
static void product(int64_t rows, int64_t lanes, const float *left, int64_t left_stride, const float *right,
                    int64_t right_stride, int64_t depth, const float *shrink, float *out,
                    int64_t out_stride) {
    switch (rows) {
        PANEL(1);
        PANEL(2);
        PANEL(3);
        PANEL(4);
        PANEL(5);
        PANEL(6);
    }
}

// Turns a row's `keys` scores into weights e^(score - largest) in place, the rest up to `padded` into zeros.
static void weigh(const query_block *q, int64_t row, int64_t keys, int64_t padded) {
    float *scores = q->scores + row * most_keys;
    const f32x8 limit = _mm256_set1_ps(THIMBLE_ATTENTION_SCORE_LIMIT),
                lowest = _mm256_set1_ps(-THIMBLE_ATTENTION_SCORE_LIMIT);
    f32x8 largest = _mm256_set1_ps(q->largest[row]);
    for (int64_t key = 0; key < keys; key += 8) {
        // With NaN, these return their second operand: a NaN score stays NaN and never becomes the largest.
        f32x8 s = _mm256_max_ps(lowest, _mm256_min_ps(limit, _mm256_loadu_ps(scores + key)));
        _mm256_storeu_ps(scores + key, s);
        f32x8 seen = _mm256_blendv_ps(lowest, s, _mm256_castsi256_ps(lanes_below(keys - key)));
        largest = _mm256_max_ps(seen, largest);
    }
    float top = f32x8_largest(largest);
    f32x8 total = _mm256_setzero_ps();
    for (int64_t key = 0; key < padded; key += 8) {
        f32x8 e = f32x8_exp_nonpositive(_mm256_sub_ps(_mm256_loadu_ps(scores + key), _mm256_set1_ps(top)));
        e = _mm256_and_ps(e, _mm256_castsi256_ps(lanes_below(keys - key)));
        _mm256_storeu_ps(scores + key, e);
        total = _mm256_add_ps(total, e);
    }
    float shrink = _mm256_cvtss_f32(f32x8_exp_nonpositive(_mm256_set1_ps(q->largest[row] - top)));
    q->largest[row] = top;
    q->shrink[row] = shrink;
    q->total[row] = q->total[row] * shrink + f32x8_sum(total);
}

static void attend(const query_block *q, int64_t first, int64_t count) {
    int64_t size = q->width;
    int64_t padded = (count + panel_lanes - 1) / panel_lanes * panel_lanes;
    for (int64_t row = 0; row < q->rows; row += panel_rows) {
        int64_t rows = q->rows - row < panel_rows ? q->rows - row : panel_rows;
        const float *queries = q->queries + row * size;
        float *scores = q->scores + row * most_keys;
        for (int64_t key = 0; key < padded; key += panel_lanes) {
            product(rows, panel_lanes, queries, size, q->keys + key, most_keys, size, NULL, scores + key,
                    most_keys);
        }
        for (int64_t i = row; i < row + rows; i++) {
            int64_t keys = row_keys(q, i) - first;
            weigh(q, i, keys < count ? keys : count, padded);
        }
        for (int64_t d = 0; d < size; d += panel_lanes) {
            product(rows, size - d < panel_lanes ? 8 : panel_lanes, scores, most_keys, q->values + d, size,
                    count, q->shrink + row, q->sums + row * size + d, size);
        }
    }
}

static void store_outputs(const query_block *q) {
    const thimble_attention *a = q->a;
    for (int64_t row = 0; row < q->rows; row++) {
        f32x8 inverse = _mm256_set1_ps(q->total[row] == 0 ? 0 : 1 / q->total[row]);
        float *out = a->out + row_token(q, row) * a->out_stride + row_head(q, row) * a->head_size;
        for (int64_t i = 0; i < q->width; i += 8) {
            f32x8 mean = _mm256_mul_ps(_mm256_loadu_ps(q->sums + row * q->width + i), inverse);
            store_part(out + i, a->head_size - i, mean);
        }
    }
}

void thimble_avx2_attention(const thimble_attention *a, int64_t kv_head, int64_t token_begin,
                            int64_t token_end, float *scratch) {
    if (a->key_begin != 0 || a->key_end != a->kv_length || a->shares) {
        thimble_scalar_attention(a, kv_head, token_begin, token_end, scratch);
        return;
    }
    int64_t group = a->q_heads / a->kv_heads;
    query_block q = block_in(scratch, a, kv_head);
    for (int64_t row = token_begin * group; row < token_end * group; row += most_rows) {
        q.first_row = row;
        q.rows = token_end * group - row < most_rows ? token_end * group - row : most_rows;
        load_queries(&q);
        int64_t keys = row_keys(&q, q.rows - 1);  // the last row sees the most: later steps are not looked at
        for (int64_t first = 0; first < keys; first += most_keys) {
            int64_t count = keys - first < most_keys ? keys - first : most_keys;
            if (load_keys_and_values(&q, first, count)) {
                // Even a weight of zero makes NaN of it, in rows that do not see its key.
                thimble_scalar_attention(a, kv_head, token_begin, token_end, scratch);
                return;
            }
            attend(&q, first, count);
        }
        store_outputs(&q);
    }
}

AVX2_END
#endif
