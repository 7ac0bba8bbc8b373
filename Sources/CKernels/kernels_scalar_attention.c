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

// Codes between a row's own least and most element, and not about zero: rotation makes elements look drawn
// from a normal distribution, and the ends of a few such numbers differ. Most lie in the middle, so that
// levels are closest there. Relative squared error of rotated rows, in dB, with levels as they are, with 32
// that are equally far apart, and with 4 bits and ends for each 32 elements, which take about as much room:
//
//                                            as they are   even     4 bits
//   normal, heads of 16                         -30.3      -30.0
//   normal, heads of 128                        -27.1      -26.3     -22.1
//   the bundled model's keys, heads of 64       -28.0      -27.4     -22.0
//   its values                                  -27.9      -27.3     -22.1
//
void thimble_scalar_store_int5(const float *x, int64_t count, uint32_t *codes, uint32_t *word) {
    float rotated[THIMBLE_MAX_HEAD_SIZE];
    for (int64_t i = 0; i < count; i++) rotated[i] = kv_bounded(x[i], THIMBLE_KV_LIMIT);
    kv_rotate(rotated, count);
    float least = rotated[0], most = rotated[0];
    int has_nan = 0;
    for (int64_t i = 0; i < count; i++) {
        has_nan |= isnan(rotated[i]);
        if (rotated[i] < least) least = rotated[i];
        if (rotated[i] > most) most = rotated[i];
    }
    memset(codes, 0, (size_t)thimble_kv_code_bytes(THIMBLE_KV_INT5, count));
    *word = has_nan ? KV_WORD_NAN : kv_word(least, most);
    if (has_nan) return;
    float step = kv_step(*word), inverse = step == 0 ? 0 : 1 / step;
    for (int64_t i = 0; i < count; i++) {
        uint32_t *block = codes + i / THIMBLE_KV_BLOCK * (THIMBLE_KV_BLOCK_BYTES / 4);
        int64_t within = i % THIMBLE_KV_BLOCK;
        uint32_t code = kv_code((rotated[i] - kv_least(*word)) * inverse);
        block[0] |= (code >> 4) << within;
        block[1 + within / 8] |= (code & 15) << (i % 4 * 8 + i % 8 / 4 * 4);
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
    if (a->kv_type == THIMBLE_KV_INT5) kv_rotate(out, a->head_size);
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
                             int64_t head_begin, int64_t head_end, int64_t head_size, float *out) {
    for (int64_t head = head_begin; head < head_end; head++) {
        merge_head(parts + head * head_size, shares + head * 2, count, heads, head_size,
                   out + head * head_size);
    }
}
