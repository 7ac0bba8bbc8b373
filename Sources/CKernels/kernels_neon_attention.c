//! Attention with NEON: blocks of query rows against steps of keys, both as small matrix products.
#include "attention.h"
#include "neon.h"
#if defined(__aarch64__)

// The softmax is online (Milakov and Gimelshein, 2018): sums of a row are relative to its largest score so
// far. Query heads that share a kv head are rows of one block, so that a key is converted once for all of
// them.
enum { most_rows = ATTENTION_ROWS, most_keys = ATTENTION_KEYS, panel_rows = 4, panel_lanes = 16 };

// A block of query rows in the caller's scratch.
typedef struct {
    const thimble_attention *a;
    int64_t kv_head;
    int64_t first_row;  // rows count (token, head of the group) pairs from token 0
    int64_t rows;
    int64_t width;   // head_size in whole vectors of eight; what is beyond head_size holds zeros
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
    return attention_row_token(q->a, q->first_row + row);
}

static int64_t row_head(const query_block *q, int64_t row) {
    return attention_row_head(q->a, q->kv_head, q->first_row + row);
}

static int64_t row_key_end(const query_block *q, int64_t row) {
    return attention_row_key_end(q->a, q->first_row + row);
}

static void load_queries(query_block *q) {
    const thimble_attention *a = q->a;
    for (int64_t row = 0; row < q->rows; row++) {
        const float *from = a->q + row_token(q, row) * a->q_stride + row_head(q, row) * a->head_size;
        float rotated[THIMBLE_MAX_HEAD_SIZE];
        from = kv_query(a->kv_type, from, a->head_size, kv_rotate, rotated);
        for (int64_t i = 0; i < q->width; i += 4) {
            float32x4_t scaled = vmulq_n_f32(f32x4_load_part(from + i, a->head_size - i), a->scale);
            vst1q_f32(q->queries + row * q->width + i, scaled);
        }
        memset(q->sums + row * q->width, 0, (size_t)q->width * sizeof(float));
        q->largest[row] = -THIMBLE_ATTENTION_SCORE_LIMIT;
        q->total[row] = 0;
    }
}

// Stores four keys' same four elements as four rows of the transpose.
TEMPLATE void store_transposed(const float32x4_t v[4], float *out) {
    float32x4_t a = vzip1q_f32(v[0], v[2]), b = vzip2q_f32(v[0], v[2]);
    float32x4_t c = vzip1q_f32(v[1], v[3]), d = vzip2q_f32(v[1], v[3]);
    vst1q_f32(out, vzip1q_f32(a, c));
    vst1q_f32(out + most_keys, vzip2q_f32(a, c));
    vst1q_f32(out + 2 * most_keys, vzip1q_f32(b, d));
    vst1q_f32(out + 3 * most_keys, vzip2q_f32(b, d));
}

// Lanes below `count` all ones, the rest zero; count may be beyond 0...4.
TEMPLATE uint32x4_t lanes_below(int64_t count) {
    static const int32_t order[4] = {0, 1, 2, 3};
    int32_t limit = count > 4 ? 4 : count < 0 ? 0 : (int32_t)count;
    return vcgtq_s32(vdupq_n_s32(limit), vld1q_s32(order));
}

// Four elements from `channel`, a multiple of 4, on, as far as there are `count` of them; the rest is zero.
TEMPLATE float32x4_t load_row(const thimble_kv_type type, kv_row row, int64_t channel, int64_t count) {
    if (type == THIMBLE_KV_F16) {
        return f32x4_load_part_of_halves((const uint16_t *)row.codes + channel, count);
    }
    if (count <= 0) return vdupq_n_f32(0);
    uint32_t packed;  // codes come in whole words
    memcpy(&packed, type == THIMBLE_KV_INT8 ? row.codes + channel : kv_low_bits(row, channel),
           sizeof packed);
    if (type == THIMBLE_KV_INT8) {
        int16x8_t codes = vmovl_s8(vreinterpret_s8_u32(vdup_n_u32(packed)));
        float32x4_t v = vcvtq_f32_s32(vmovl_s16(vget_low_s16(codes)));
        return vmulq_n_f32(v, float_from_bits(*row.scales));
    }
    static const uint32_t bit_of_lane[4] = {1, 2, 4, 8};
    packed = (channel % 8 == 0 ? packed : packed >> 4) & 0x0f0f0f0f;
    uint16x8_t low = vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(packed)));
    uint32x4_t bits = vdupq_n_u32((uint32_t)*kv_fifth_bits(row, channel) >> channel % 8);
    uint32x4_t has_fifth = vtstq_u32(bits, vld1q_u32(bit_of_lane));
    uint32x4_t codes = vorrq_u32(vmovl_u16(vget_low_u16(low)), vandq_u32(has_fifth, vdupq_n_u32(16)));
    float32x4_t c = vcvtq_f32_u32(codes);
    float32x4_t level = vfmaq_n_f32(vdupq_n_f32(-93), c, 2);
    level = vmulq_f32(c, vfmaq_f32(vdupq_n_f32(3009), c, level));
    float32x4_t v = vfmaq_n_f32(vdupq_n_f32(row.least), level, row.unit);
    return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(v), lanes_below(count)));
}

// Converts keys (transposed) and values of positions first..<first + count; keys up to `padded`, and the
// values that a product's last step takes along, become zeros, since scratch may hold NaN.
TEMPLATE void load_keys_and_values(const thimble_kv_type type, const query_block *q, int64_t first,
                                   int64_t count, int64_t padded) {
    int64_t size = q->a->head_size;
    kv_rows keys, values;
    attention_find_keys(q->a, q->kv_head, first, count, &keys, &values);
    for (int64_t key = 0; key < padded; key += 4) {
        for (int64_t d = 0; d < q->width; d += 4) {
            float32x4_t v[4];
            for (int64_t i = 0; i < 4; i++) {
                v[i] = key + i < count ? load_row(type, keys.rows[key + i], d, size - d) : vdupq_n_f32(0);
            }
            store_transposed(v, q->keys + d * most_keys + key);
        }
    }
    for (int64_t key = 0; key < (count + 3) / 4 * 4; key++) {
        for (int64_t d = 0; d < q->width; d += 4) {
            float32x4_t v = key < count ? load_row(type, values.rows[key], d, size - d) : vdupq_n_f32(0);
            vst1q_f32(q->values + key * q->width + d, v);
        }
    }
}

// sums[row][i] += left[row][lane] * right[i], for each row.
#define ADD_COLUMN(lane)                                                                                     \
    do {                                                                                                     \
        for (int64_t i = 0; i < vectors; i++) {                                                              \
            float32x4_t r = vld1q_f32(right + (k + lane) * right_stride + i * 4);                            \
            for (int64_t row = 0; row < rows; row++)                                                         \
                sums[row][i] = vfmaq_laneq_f32(sums[row][i], r, l[row], lane);                               \
        }                                                                                                    \
    } while (0)

// out[row][lane] = out[row][lane] * shrink[row] + sum over k of left[row][k] * right[k][lane], for `rows`
// rows and `vectors` vectors of lanes; without `shrink`, out starts at zero. depth is a multiple of four.
TEMPLATE void product_panel(const int64_t rows, const int64_t vectors, const float *left, int64_t left_stride,
                            const float *right, int64_t right_stride, int64_t depth, const float *shrink,
                            float *out, int64_t out_stride) {
    float32x4_t sums[panel_rows][panel_lanes / 4];
    for (int64_t row = 0; row < rows; row++) {
        for (int64_t i = 0; i < vectors; i++) {
            const float *at = out + row * out_stride + i * 4;
            sums[row][i] = shrink ? vmulq_n_f32(vld1q_f32(at), shrink[row]) : vdupq_n_f32(0);
        }
    }
    for (int64_t k = 0; k < depth; k += 4) {
        float32x4_t l[panel_rows];
        for (int64_t row = 0; row < rows; row++) l[row] = vld1q_f32(left + row * left_stride + k);
        ADD_COLUMN(0);
        ADD_COLUMN(1);
        ADD_COLUMN(2);
        ADD_COLUMN(3);
    }
    for (int64_t row = 0; row < rows; row++) {
        for (int64_t i = 0; i < vectors; i++) vst1q_f32(out + row * out_stride + i * 4, sums[row][i]);
    }
}

#define PANEL(R)                                                                                             \
    case R:                                                                                                  \
        if (lanes == 8) {                                                                                    \
            product_panel(R, 2, left, left_stride, right, right_stride, depth, shrink, out, out_stride);     \
        } else {                                                                                             \
            product_panel(R, 4, left, left_stride, right, right_stride, depth, shrink, out, out_stride);     \
        }                                                                                                    \
        break

// The product for at most 4 rows and for 8 or 16 lanes.
static void product(int64_t rows, int64_t lanes, const float *left, int64_t left_stride, const float *right,
                    int64_t right_stride, int64_t depth, const float *shrink, float *out,
                    int64_t out_stride) {
    switch (rows) {
        PANEL(1);
        PANEL(2);
        PANEL(3);
        PANEL(4);
    }
}

// Turns a row's `keys` scores into weights e^(score - largest) in place, the rest up to `padded` into zeros.
static void weigh(const query_block *q, int64_t row, int64_t keys, int64_t padded) {
    float *scores = q->scores + row * most_keys;
    const float32x4_t limit = vdupq_n_f32(THIMBLE_ATTENTION_SCORE_LIMIT);
    const float32x4_t lowest = vdupq_n_f32(-THIMBLE_ATTENTION_SCORE_LIMIT);
    float32x4_t largest = vdupq_n_f32(q->largest[row]);
    for (int64_t key = 0; key < keys; key += 4) {
        // A NaN score stays NaN here, and never becomes the largest below.
        float32x4_t s = vmaxq_f32(lowest, vminq_f32(limit, vld1q_f32(scores + key)));
        vst1q_f32(scores + key, s);
        largest = vmaxnmq_f32(largest, vbslq_f32(lanes_below(keys - key), s, lowest));
    }
    float top = vmaxnmvq_f32(largest);
    float32x4_t total = vdupq_n_f32(0);
    for (int64_t key = 0; key < padded; key += 4) {
        float32x4_t e = f32x4_exp_nonpositive(vsubq_f32(vld1q_f32(scores + key), vdupq_n_f32(top)));
        e = vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(e), lanes_below(keys - key)));
        vst1q_f32(scores + key, e);
        total = vaddq_f32(total, e);
    }
    float shrink = vgetq_lane_f32(f32x4_exp_nonpositive(vdupq_n_f32(q->largest[row] - top)), 0);
    q->largest[row] = top;
    q->shrink[row] = shrink;
    q->total[row] = q->total[row] * shrink + vaddvq_f32(total);
}

// Of `count` keys from position `first` on, those that a row sees.
static int64_t row_keys(const query_block *q, int64_t row, int64_t first, int64_t count) {
    int64_t keys = row_key_end(q, row) - first;
    return keys < 0 ? 0 : keys < count ? keys : count;
}

// Adds the step's values to the sums of a panel's rows. Keys that all rows see go as one product; a value
// that a row does not see is left out of it, for zero times NaN would be NaN.
static void add_values(const query_block *q, int64_t row, int64_t rows, int64_t first, int64_t count) {
    int64_t width = q->width;
    const float *weights = q->scores + row * most_keys;
    float *sums = q->sums + row * width;
    int64_t fewest = row_keys(q, row, first, count);
    int64_t common = fewest == count ? (count + 3) / 4 * 4 : fewest / 4 * 4;
    for (int64_t d = 0; d < width; d += panel_lanes) {
        product(rows, width - d < panel_lanes ? 8 : panel_lanes, weights, most_keys, q->values + d, width,
                common, q->shrink + row, sums + d, width);
    }
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t key = common; key < row_keys(q, row + i, first, count); key++) {
            const float *value = q->values + key * width;
            for (int64_t d = 0; d < width; d += 4) {
                float32x4_t sum = vld1q_f32(sums + i * width + d);
                sum = vfmaq_n_f32(sum, vld1q_f32(value + d), weights[i * most_keys + key]);
                vst1q_f32(sums + i * width + d, sum);
            }
        }
    }
}

static void attend(const query_block *q, int64_t first, int64_t count) {
    int64_t width = q->width;
    int64_t padded = (count + panel_lanes - 1) / panel_lanes * panel_lanes;
    ATTENTION_BY_TYPE(q->a, load_keys_and_values, q, first, count, padded);
    for (int64_t row = 0; row < q->rows; row += panel_rows) {
        int64_t rows = q->rows - row < panel_rows ? q->rows - row : panel_rows;
        const float *queries = q->queries + row * width;
        float *scores = q->scores + row * most_keys;
        for (int64_t key = 0; key < padded; key += panel_lanes) {
            product(rows, panel_lanes, queries, width, q->keys + key, most_keys, width, NULL, scores + key,
                    most_keys);
        }
        for (int64_t i = row; i < row + rows; i++) weigh(q, i, row_keys(q, i, first, count), padded);
        add_values(q, row, rows, first, count);
    }
}

static void store_outputs(const query_block *q) {
    const thimble_attention *a = q->a;
    for (int64_t row = 0; row < q->rows; row++) {
        int64_t token = row_token(q, row), head = row_head(q, row);
        float inverse = q->total[row] == 0 ? 0 : 1 / q->total[row];
        if (a->kv_type == THIMBLE_KV_INT5) kv_rotate(q->sums + row * q->width, a->head_size);
        float *out = a->out + token * a->out_stride + head * a->head_size;
        for (int64_t i = 0; i < q->width; i += 4) {
            float32x4_t mean = vmulq_n_f32(vld1q_f32(q->sums + row * q->width + i), inverse);
            f32x4_store_part(out + i, a->head_size - i, mean);
        }
        if (a->shares) {
            float *share = a->shares + (token * a->q_heads + head) * 2;
            share[0] = q->largest[row];
            share[1] = q->total[row];
        }
    }
}

void thimble_neon_attention(const thimble_attention *a, int64_t kv_head, int64_t token_begin,
                            int64_t token_end, float *scratch) {
    int64_t group = a->q_heads / a->kv_heads;
    query_block q = block_in(scratch, a, kv_head);
    for (int64_t row = token_begin * group; row < token_end * group; row += most_rows) {
        q.first_row = row;
        q.rows = token_end * group - row < most_rows ? token_end * group - row : most_rows;
        load_queries(&q);
        int64_t end = row_key_end(&q, q.rows - 1);  // the last row sees the most: no step lies beyond
        for (int64_t first = a->key_begin; first < end; first += most_keys) {
            attend(&q, first, end - first < most_keys ? end - first : most_keys);
        }
        store_outputs(&q);
    }
}

#endif
