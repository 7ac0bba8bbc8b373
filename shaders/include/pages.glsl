//! Where keys and values lie in pages: `[2: key, value][kv_heads]` of codes and what goes with them, as in
//! PagedKV.
#ifndef THIMBLE_PAGES_GLSL
#define THIMBLE_PAGES_GLSL
#include "codes.glsl"
#include "types.glsl"

// The key or value of a position.
struct CachedRow {
    uint64_t codes;
    // Of no meaning where pages hold float16.
    uint64_t word;
};

// A position's key (part 0) or value (part 1) of a head.
CachedRow cached_row(uint type, uint64_t pages, uint64_t block_table, uint part, uint head, uint position,
                     uint kv_heads, uint page_tokens, uint head_size) {
    uint page = uint(Integers(block_table).at[position / page_tokens]), slot = position % page_tokens;
    uint64_t heads = (uint64_t(page) * 2 + part) * kv_heads + head;
    uint row_bytes = code_bytes(type, head_size);
    uint64_t start = pages + heads * (page_tokens * (row_bytes + scale_bytes(type)));
    return CachedRow(start + slot * row_bytes, start + page_tokens * row_bytes + 4 * slot);
}

// The codes of four elements from d on, a multiple of 4, a byte each; what lies beyond the head counts for
// nothing.
uint codes_at(uint type, CachedRow row, uint d) {
    if (type == THIMBLE_PAGES_INT8) return Words(row.codes + d).at[0];
    uint fifth = Words(row.codes + d / INT5_BLOCK * INT5_BLOCK_BYTES).at[0];
    return int5_codes(Words(row.codes + low_bits_at(d)).at[0], fifth, d);
}

#endif
