//! Attention with AVX-512: blocks of query rows against steps of keys.
#include "avx512_attention.h"
#if defined(__x86_64__)

// Up to this many rows, keys are multiplied as floats: making codes of them costs more than it saves.
enum { few_rows = 8 };

static query_block block_in(float *scratch, const thimble_attention *a, int64_t kv_head) {
    int64_t width = (a->head_size + lanes - 1) / lanes * lanes;
    query_block q = {.a = a, .kv_head = kv_head, .width = width};
    // Vectors that straddle cache lines load at half the rate: the block starts at a line.
    q.sums = (float *)(((uintptr_t)scratch + 63) & ~(uintptr_t)63);
    q.few_queries = q.sums + most_rows * width;
    q.queries = (int32_t *)q.few_queries;
    q.weights = q.queries + width / 2 * most_rows;
    q.keys = (int16_t *)(q.weights + most_keys / 2 * most_rows);
    q.values = (int32_t *)(q.keys + most_keys * width);
    q.query_scales = (float *)(q.values + most_keys / 2 * width);
    q.largest = q.query_scales + most_rows;
    q.total = q.largest + most_rows;
    q.shrink = q.total + most_rows;
    q.grow = q.shrink + most_rows;
    q.poison = q.grow + most_rows;
    q.visible = (int32_t *)(q.poison + most_rows);
    return q;
}

// Rows come in whole vectors: those beyond the last are there, and nothing is stored for them.
static int64_t padded_rows(const query_block *q) { return (q->rows + lanes - 1) / lanes * lanes; }

static void clear_sums(query_block *q) {
    for (int64_t row = 0; row < padded_rows(q); row++) {
        q->largest[row] = -THIMBLE_ATTENTION_SCORE_LIMIT;
        q->total[row] = q->poison[row] = 0;
    }
    memset(q->sums, 0, (size_t)(padded_rows(q) * q->width) * sizeof(float));
}

static int64_t row_key_end(const query_block *q, int64_t row) {
    return attention_row_key_end(q->a, q->first_row + row);
}

// Finds how many of the step's keys each row sees; whoever sees all sees the padding's places too.
static void find_visible(const query_block *q, const key_step *step) {
    int64_t all = step->count < step->padded ? step->count : most_keys;
    for (int64_t row = 0; row < padded_rows(q); row++) {
        int64_t keys = row < q->rows ? row_key_end(q, row) - step->first : step->count;
        q->visible[row] = (int32_t)(keys < step->count ? keys : all);
    }
}

static void store_outputs(const query_block *q) {
    const thimble_attention *a = q->a;
    for (int64_t row = 0; row < q->rows; row++) {
        float total = q->total[row] == 0 ? 0 : q->total[row] + q->poison[row];
        f32x16 inverse = _mm512_set1_ps(total == 0 ? 0 : 1 / total);
        float *out = a->out + row_token(q, row) * a->out_stride + row_head(q, row) * a->head_size;
        if (a->kv_type == THIMBLE_KV_INT5) rotate(q->sums + row * q->width, a->head_size);
        for (int64_t i = 0; i < q->width; i += lanes) {
            f32x16 mean = _mm512_mul_ps(_mm512_loadu_ps(q->sums + row * q->width + i), inverse);
            store_part(out + i, a->head_size - i, mean);
        }
        if (a->shares) {
            float *share = a->shares + (row_token(q, row) * a->q_heads + row_head(q, row)) * 2;
            share[0] = q->largest[row];
            share[1] = total;
        }
    }
}

void thimble_avx512_attention(const thimble_attention *a, int64_t kv_head, int64_t token_begin,
                              int64_t token_end, float *scratch) {
    int64_t group = a->q_heads / a->kv_heads;
    query_block q = block_in(scratch, a, kv_head);
    for (int64_t row = token_begin * group; row < token_end * group; row += most_rows) {
        q.first_row = row;
        q.rows = token_end * group - row < most_rows ? token_end * group - row : most_rows;
        int few = q.rows <= few_rows;
        clear_sums(&q);
        few ? thimble_avx512_load_floats(&q) : thimble_avx512_load_codes(&q);
        int64_t end = row_key_end(&q, q.rows - 1);  // the last row sees the most: later keys are left out
        key_step step;
        for (step.first = a->key_begin; step.first < end; step.first += most_keys) {
            step.count = end - step.first < most_keys ? end - step.first : most_keys;
            step.padded = (step.count + key_quantum - 1) / key_quantum * key_quantum;
            attention_find_keys(a, kv_head, step.first, step.count, &step.keys, &step.values);
            find_visible(&q, &step);
            few ? thimble_avx512_attend_floats(&q, &step) : thimble_avx512_attend_codes(&q, &step);
        }
        store_outputs(&q);
    }
}

AVX512_END
#endif
