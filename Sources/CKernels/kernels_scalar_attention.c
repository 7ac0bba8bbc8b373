//! The definition of keys and values in pages, and of attention over them.
#include "kv.h"

// Products and sums stay separate on every machine, so that the definition has one value.
#pragma STDC FP_CONTRACT OFF

void thimble_scalar_store_f16(const float *x, int64_t count, uint16_t *y) {
    for (int64_t i = 0; i < count; i++) y[i] = half_from_float(x[i]);
}

void thimble_scalar_store_int8(const float *x, int64_t count, int8_t *codes, float *scale) {
    float largest = 0;
    int has_nan = 0;
    for (int64_t i = 0; i < count; i++) {
        has_nan |= isnan(x[i]);
        float magnitude = fabsf(kv_bounded(x[i], THIMBLE_KV_LIMIT));
        if (magnitude > largest) largest = magnitude;
    }
    int zero = has_nan || largest < QUANTIZE_SMALLEST;
    float inverse = zero ? 0 : 127 / largest;
    for (int64_t i = 0; i < thimble_kv_code_bytes(THIMBLE_KV_INT8, count); i++) {
        codes[i] = zero || i >= count ? 0 : (int8_t)rintf(kv_bounded(x[i], THIMBLE_KV_LIMIT) * inverse);
    }
    *scale = has_nan ? NAN : zero ? 0 : largest / 127;
}

// Codes of up to 32 elements into the words that hold them; returns the group's word.
static uint32_t store_group(const float *x, int64_t count, uint32_t *codes) {
    float least = x[0], most = x[0];
    int has_nan = 0;
    for (int64_t i = 0; i < count; i++) {
        has_nan |= isnan(x[i]);
        if (x[i] < least) least = x[i];
        if (x[i] > most) most = x[i];
    }
    for (int64_t i = 0; i < (count + 7) / 8; i++) codes[i] = 0;
    if (has_nan) return KV_GROUP_NAN;
    uint32_t word = kv_group_word(least, most);
    float step = kv_group_step(word), inverse = step == 0 ? 0 : 1 / step;
    for (int64_t i = 0; i < count; i++) {
        float code = rintf((x[i] - kv_group_least(word)) * inverse);
        code = code < 0 ? 0 : code > 15 ? 15 : code;
        codes[i / 8] |= (uint32_t)code << (i % 4 * 8 + i % 8 / 4 * 4);
    }
    return word;
}

// Codes between a group's own least and most element, and not about zero: rotation makes elements look drawn
// from a normal distribution, of which 32 span 4.1 deviations but reach 2.35 to one side, so that a step is
// 12 % shorter at the same 16 levels. Relative squared error of rotated rows, in dB, against codes
// about zero with a float32 scale, which take as many bits, and against those of 16 levels whose ends differ:
//
//                                 least and most   about zero   -8...7
//   normal                             -22.1          -20.9       -21.3
//   Student's t, 3 degrees             -22.3          -21.1       -21.6     (unrotated: -20.3)
//   some channels 20 times as large    -23.4          -22.6       -22.9     (unrotated: -18.6)
//   the bundled model's keys           -22.0          -20.8       -21.3
//   its values                         -22.1          -20.9       -21.3
//
// bfloat16 for the two numbers costs less than 0.01 dB of that, and has float32's range.
void thimble_scalar_store_int4(const float *x, int64_t count, uint32_t *codes, uint32_t *scales) {
    float rotated[THIMBLE_MAX_HEAD_SIZE];
    for (int64_t i = 0; i < count; i++) rotated[i] = kv_bounded(x[i], THIMBLE_KV_LIMIT);
    kv_rotate(rotated, count);
    for (int64_t i = 0; i < count; i += THIMBLE_KV_GROUP) {
        int64_t left = count - i < THIMBLE_KV_GROUP ? count - i : THIMBLE_KV_GROUP;
        *scales++ = store_group(rotated + i, left, codes + i / 8);
    }
}

static float score(const thimble_attention *a, const float *q, kv_row key) {
    float sum = 0;
    for (int64_t i = 0; i < a->head_size; i++) sum += q[i] * a->scale * kv_element(a->kv_type, key, i);
    if (sum > THIMBLE_ATTENTION_SCORE_LIMIT) sum = THIMBLE_ATTENTION_SCORE_LIMIT;
    if (sum < -THIMBLE_ATTENTION_SCORE_LIMIT) sum = -THIMBLE_ATTENTION_SCORE_LIMIT;
    return sum;
}

// One query over positions a->key_begin..<key_end by the online softmax (Milakov and Gimelshein, 2018): `out`
// and `total` are relative to the largest score so far, and shrink when a larger one comes. No keys give
// zeros.
static void attend(const thimble_attention *a, int64_t kv_head, const float *q, int64_t key_end, float *out,
                   float *share) {
    float rotated[THIMBLE_MAX_HEAD_SIZE];
    q = kv_query(a->kv_type, q, a->head_size, kv_rotate, rotated);
    float largest = -THIMBLE_ATTENTION_SCORE_LIMIT;
    float total = 0;
    for (int64_t i = 0; i < a->head_size; i++) out[i] = 0;
    for (int64_t position = a->key_begin; position < key_end; position++) {
        float s = score(a, q, kv_row_at(a, kv_head, position, 0));
        kv_row value = kv_row_at(a, kv_head, position, 1);
        if (s > largest) {
            float shrink = expf(largest - s);
            for (int64_t i = 0; i < a->head_size; i++) out[i] *= shrink;
            total *= shrink;
            largest = s;
        }
        float weight = expf(s - largest);
        for (int64_t i = 0; i < a->head_size; i++) out[i] += weight * kv_element(a->kv_type, value, i);
        total += weight;
    }
    for (int64_t i = 0; i < a->head_size; i++) out[i] = total == 0 ? 0 : out[i] / total;
    if (a->kv_type == THIMBLE_KV_INT4) kv_rotate(out, a->head_size);
    if (share) {
        share[0] = largest;
        share[1] = total;
    }
}

void thimble_scalar_attention(const thimble_attention *a, int64_t kv_head, int64_t token_begin,
                              int64_t token_end, float *scratch) {
    (void)scratch;
    int64_t group = a->q_heads / a->kv_heads;
    for (int64_t token = token_begin; token < token_end; token++) {
        int64_t seen = a->start + token + 1;
        int64_t key_end = a->causal && seen < a->key_end ? seen : a->key_end;
        for (int64_t head = kv_head * group; head < (kv_head + 1) * group; head++) {
            attend(a, kv_head, a->q + token * a->q_stride + head * a->head_size, key_end,
                   a->out + token * a->out_stride + head * a->head_size,
                   a->shares ? a->shares + (token * a->q_heads + head) * 2 : NULL);
        }
    }
}

// A range weighs by the sum of its e^(score - largest of all ranges).
static void merge_head(const float *parts, const float *shares, int64_t count, int64_t heads,
                       int64_t head_size, float *out) {
    float largest = -THIMBLE_ATTENTION_SCORE_LIMIT, total = 0;
    for (int64_t part = 0; part < count; part++) {
        if (shares[part * heads * 2] > largest) largest = shares[part * heads * 2];
    }
    for (int64_t i = 0; i < head_size; i++) out[i] = 0;
    for (int64_t part = 0; part < count; part++) {
        const float *share = shares + part * heads * 2, *mean = parts + part * heads * head_size;
        float weight = share[1] * expf(share[0] - largest);
        for (int64_t i = 0; i < head_size; i++) out[i] += weight * mean[i];
        total += weight;
    }
    for (int64_t i = 0; i < head_size; i++) out[i] = total == 0 ? 0 : out[i] / total;
}

void thimble_attention_merge(const float *parts, const float *shares, int64_t count, int64_t heads,
                             int64_t head_size, float *out) {
    for (int64_t head = 0; head < heads; head++) {
        merge_head(parts + head * head_size, shares + head * 2, count, heads, head_size,
                   out + head * head_size);
    }
}
