//! What blocked attention shares, whatever its vectors: which query a row is, and where the keys it sees lie.
#pragma once
#include "kv.h"

// Rows are (token, head of the group) pairs of one kv head, counted from token 0: heads that share a kv head
// are neighbours.
static inline int64_t attention_row_token(const thimble_attention *a, int64_t row) {
    return row / (a->q_heads / a->kv_heads);
}

static inline int64_t attention_row_head(const thimble_attention *a, int64_t kv_head, int64_t row) {
    int64_t group = a->q_heads / a->kv_heads;
    return kv_head * group + row % group;
}

// The position behind the last key that a row sees; it may lie before key_begin.
static inline int64_t attention_row_key_end(const thimble_attention *a, int64_t row) {
    int64_t causal_end = a->start + attention_row_token(a, row) + 1;
    return a->causal && causal_end < a->key_end ? causal_end : a->key_end;
}

// Keys, or values, of a step's positions, as they lie.
typedef struct {
    kv_row rows[ATTENTION_KEYS];
    // int8: what a code is worth. Products are taken of codes, and worths multiply scores and weights.
    // Vectors of four may be read that begin at any key.
    float worth[ATTENTION_KEYS + 4];
} kv_rows;

// Adds the rows of `count` positions that follow each other in a page.
static inline void kv_rows_add(const thimble_attention *a, kv_row first, int64_t key, int64_t count,
                               kv_rows *rows) {
    int64_t codes = thimble_kv_code_bytes(a->kv_type, a->head_size);
    int64_t scales = thimble_kv_scale_bytes(a->kv_type) / 4;
    for (int64_t i = 0; i < count; i++) {
        kv_row row = {.codes = first.codes + i * codes, .scales = first.scales + i * scales};
        if (a->kv_type == THIMBLE_KV_INT5) {
            row.unit = kv_step(*row.scales) / 2048;
            row.least = kv_least(*row.scales);
        }
        rows->rows[key + i] = row;
    }
    if (a->kv_type == THIMBLE_KV_INT8) {
        memcpy(rows->worth + key, first.scales, (size_t)count * sizeof *rows->worth);
    }
}

// Finds the keys and values of positions first..<first + count in their pages.
static inline void attention_find_keys(const thimble_attention *a, int64_t kv_head, int64_t first,
                                       int64_t count, kv_rows *keys, kv_rows *values) {
    const int32_t *page = a->block_table + first / a->page_tokens;
    int64_t slot = first % a->page_tokens;
    for (int64_t key = 0; key < count; page++, slot = 0) {
        int64_t run = a->page_tokens - slot < count - key ? a->page_tokens - slot : count - key;
        kv_rows_add(a, kv_next_rows(a, kv_first_row(a, kv_head, *page, 0), slot), key, run, keys);
        kv_rows_add(a, kv_next_rows(a, kv_first_row(a, kv_head, *page, 1), slot), key, run, values);
        key += run;
    }
}

// Calls a function whose first argument is constant with the type of the pages.
#define ATTENTION_BY_TYPE(a, function, ...)                                                                  \
    switch ((a)->kv_type) {                                                                                  \
        case THIMBLE_KV_F16: function(THIMBLE_KV_F16, __VA_ARGS__); break;                                   \
        case THIMBLE_KV_INT8: function(THIMBLE_KV_INT8, __VA_ARGS__); break;                                 \
        case THIMBLE_KV_INT5: function(THIMBLE_KV_INT5, __VA_ARGS__); break;                                 \
    }
