//! Attention with AVX2: blocks of query rows against steps of keys.
#include "avx2_attention.h"
#if defined(__x86_64__)

// Up to this many rows, keys are multiplied as floats: making codes of them costs more than it saves.
// Fewer are few where each panel of rows would unpack int5 anew.
enum { few_rows = 20, few_rows_of_int5 = 8 };

static query_block block_in(float *scratch, const thimble_attention *a, int64_t kv_head) {
    int64_t width = (a->head_size + quantum - 1) / quantum * quantum;
    query_block q = {.a = a, .kv_head = kv_head, .width = width};
    // Vectors that straddle cache lines load at half the rate: the block starts at a line.
    q.sums = (float *)(((uintptr_t)scratch + 63) & ~(uintptr_t)63);
    q.largest = q.sums + most_rows * width;
    q.total = q.largest + most_rows + lanes;
    q.query_scales = q.total + most_rows + lanes;
    q.key_scales = q.query_scales + most_rows;
    q.value_scales = q.key_scales + most_keys;
    q.key_codes = (int32_t *)(q.value_scales + width);
    q.value_codes = q.key_codes + most_keys * width / 2;
    q.few_queries = (float *)(q.value_codes + most_keys * width / 2);
    q.queries = (int16_t *)q.few_queries;
    return q;
}

// Panels of rows may be padded by less than a vector: those rows are there, and nothing is stored for them.
static void clear_sums(query_block *q) {
    int64_t padded = q->rows + lanes - 1 < most_rows ? q->rows + lanes - 1 : most_rows;
    for (int64_t row = 0; row < padded; row++) {
        q->largest[row] = -THIMBLE_ATTENTION_SCORE_LIMIT;
        q->total[row] = 0;
    }
    memset(q->sums, 0, (size_t)(padded * q->width) * sizeof(float));
}

// Finds the step's keys and values, and fills its padding.
static void find_keys(const query_block *q, key_step *step) {
    attention_find_keys(q->a, q->kv_head, step->first, step->count, &step->keys, &step->values);
    for (int64_t key = step->count; key < step->padded; key++) {
        step->keys.rows[key] = step->keys.rows[0];
        step->values.rows[key] = step->values.rows[0];
        step->keys.worth[key] = step->values.worth[key] = 0;
    }
}

static void store_outputs(const query_block *q) {
    const thimble_attention *a = q->a;
    for (int64_t row = 0; row < q->rows; row++) {
        int64_t token = row_token(q, row), head = row_head(q, row);
        f32x8 inverse = _mm256_set1_ps(q->total[row] == 0 ? 0 : 1 / q->total[row]);
        float *out = a->out + token * a->out_stride + head * a->head_size;
        if (a->kv_type == THIMBLE_KV_INT5) rotate(q->sums + row * q->width, a->head_size);
        for (int64_t d = 0; d < a->head_size; d += lanes) {
            f32x8 mean = _mm256_mul_ps(_mm256_loadu_ps(q->sums + row * q->width + d), inverse);
            store_part(out + d, a->head_size - d, mean);
        }
        if (a->shares) {
            float *share = a->shares + (token * a->q_heads + head) * 2;
            share[0] = q->largest[row];
            share[1] = q->total[row];
        }
    }
}

void thimble_avx2_attention(const thimble_attention *a, int64_t kv_head, int64_t token_begin,
                            int64_t token_end, float *scratch) {
    int64_t group = a->q_heads / a->kv_heads;
    query_block q = block_in(scratch, a, kv_head);
    for (int64_t row = token_begin * group; row < token_end * group; row += most_rows) {
        q.first_row = row;
        q.rows = token_end * group - row < most_rows ? token_end * group - row : most_rows;
        int few = q.rows <= (a->kv_type == THIMBLE_KV_INT5 ? few_rows_of_int5 : few_rows);
        clear_sums(&q);
        few ? thimble_avx2_load_floats(&q) : thimble_avx2_load_codes(&q);
        int64_t end = row_key_end(&q, q.rows - 1);  // the last row sees the most: later keys are left out
        key_step step;
        for (step.first = a->key_begin; step.first < end; step.first += most_keys) {
            step.count = end - step.first < most_keys ? end - step.first : most_keys;
            step.padded = (step.count + quantum - 1) / quantum * quantum;
            find_keys(&q, &step);
            few ? thimble_avx2_attend_floats(&q, &step) : thimble_avx2_attend_codes(&q, &step);
        }
        store_outputs(&q);
    }
}

AVX2_END
#endif
