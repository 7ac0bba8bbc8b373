//! What `attention_inputs.comp` is told: a projection's outputs into queries, keys and values.
#ifndef THIMBLE_PARAMETERS_ATTENTION_INPUTS_H
#define THIMBLE_PARAMETERS_ATTENTION_INPUTS_H
#ifdef __STDC_VERSION__
#include <stdint.h>
#endif
#include "kinds.h"

// Constants: 2 = THIMBLE_PAIRING_*.
// Any grid is right; [tokens] is meant. Addresses are of the device.
struct thimble_attention_inputs {
    // float32 [tokens, query heads * head size | key heads * head size | value heads * head size], biased.
    uint64_t product;
    // float32 [tokens, pairs]
    uint64_t cosines;
    // float32 [tokens, pairs]
    uint64_t sines;
    // float32 [tokens, query heads * head size]: rotated.
    uint64_t queries;
    // float16 pages, from page 0 of the layer on: [2: key, value][kv_heads][page_tokens][head_size] each.
    // Keys are rotated, and both saturate.
    uint64_t pages;
    // int32: the page of each run of page_tokens positions.
    uint64_t block_table;
    uint32_t tokens;
    uint32_t query_heads;
    uint32_t kv_heads;
    uint32_t head_size;
    // At most half of the head; what lies beyond is left as it is.
    uint32_t pairs;
    uint32_t page_tokens;
    // The position of the first token.
    uint32_t start;
};

#endif
