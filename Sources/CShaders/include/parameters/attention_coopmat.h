//! What the shaders `attention_coopmat*` are told: attention of many queries over pages.
#ifndef THIMBLE_PARAMETERS_ATTENTION_COOPMAT_H
#define THIMBLE_PARAMETERS_ATTENTION_COOPMAT_H
#ifdef __STDC_VERSION__
#include <stdint.h>
#endif

// A grid of [tiles of queries, heads or key heads, ranges]; see the shaders. Addresses are of the device.
struct thimble_attention_coopmat {
    // float32 [tokens, heads * head size], not scaled.
    uint64_t queries;
    // float16 pages, from page 0 of the layer on: [2: key, value][kv_heads][page tokens][head size] each.
    uint64_t pages;
    // int32: the page of each run of page tokens.
    uint64_t block_table;
    // float32 [tokens, heads * head size]
    uint64_t y;
    // uint32 [ranges + 1], or 0 for one range: where ranges of tokens begin, the last being where all end.
    // A query sees the positions of its own range alone, a token's position being its row. Not for causal
    // attention.
    uint64_t ranges;
    uint32_t tokens;
    uint32_t heads;
    uint32_t kv_heads;
    // The position of the first token, for causal attention: query i sees positions up to start + i.
    uint32_t start;
    // Positions that hold keys and values. Without ranges, and unless causal, every query sees all of them.
    uint32_t length;
    // What scores are multiplied by.
    float scale;
};

#endif
