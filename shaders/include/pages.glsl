//! Keys and values in pages, float16 `[2: key, value][kv_heads][page_tokens][head_size]` each, as in PagedKV.
#ifndef THIMBLE_PAGES_GLSL
#define THIMBLE_PAGES_GLSL
#include "types.glsl"

// The address of a position's key (part 0) or value (part 1) of a head.
uint64_t cached_row(uint64_t pages, uint64_t block_table, uint part, uint head, uint position,
                    uint kv_heads, uint page_tokens, uint head_size) {
    uint page = uint(Integers(block_table).at[position / page_tokens]);
    uint64_t heads = (uint64_t(page) * 2 + part) * kv_heads + head;
    return pages + (heads * page_tokens + position % page_tokens) * (2 * head_size);
}

#endif
