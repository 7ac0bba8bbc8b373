//! What blocked attention shares, whatever its vectors: which query a row is, and where the keys it sees lie.
#pragma once
#include "variants.h"

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

// Finds the rows of keys and values of positions first..<first + count in their pages.
static inline void attention_find_keys(const thimble_attention *a, int64_t kv_head, int64_t first,
                                       int64_t count, const uint16_t *keys[], const uint16_t *values[]) {
    const int32_t *page = a->block_table + first / a->page_tokens;
    int64_t slot = first % a->page_tokens;
    int64_t to_values = a->kv_heads * a->page_tokens * a->head_size;
    for (int64_t key = 0; key < count; key++, slot++) {
        if (slot == a->page_tokens) {
            slot = 0;
            page++;
        }
        keys[key] = a->pages + *page * a->page_stride + (kv_head * a->page_tokens + slot) * a->head_size;
        values[key] = keys[key] + to_values;
    }
}
