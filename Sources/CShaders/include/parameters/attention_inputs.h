//! What `attention_inputs.comp` is told: a projection's outputs into queries, keys and values.
#ifndef THIMBLE_PARAMETERS_ATTENTION_INPUTS_H
#define THIMBLE_PARAMETERS_ATTENTION_INPUTS_H
#ifdef __STDC_VERSION__
#include <stdint.h>
#endif
#include "kinds.h"

// Constants: 2 = THIMBLE_PAIRING_*; 3 = THIMBLE_PAGES_*. Where pages hold codes, a workgroup has at least 64
// threads, and heads at most 256 elements.
// Any grid is right; [tokens] is meant, or of codes [tokens, 2 * kv_heads]. Addresses are of the device.
struct thimble_attention_inputs {
    // float32 [tokens, query heads * head size | key heads * head size | value heads * head size], biased.
    uint64_t product;
    // float32 [tokens, pairs]
    uint64_t cosines;
    // float32 [tokens, pairs]
    uint64_t sines;
    // float32 [tokens, query heads * head size]: rotated.
    uint64_t queries;
    // Page 0 of the layer: float16 [2: key, value][kv_heads][page_tokens][head_size], or codes. Keys are
    // turned by their angles, and both saturate.
    uint64_t pages;
    // int32: the page of each run of page_tokens positions.
    uint64_t block_table;
    // thimble_step, or 0: the place of the one token there is.
    uint64_t step;
    uint32_t tokens;
    uint32_t query_heads;
    uint32_t kv_heads;
    uint32_t head_size;
    // At most half of the head; what lies beyond is left as it is.
    uint32_t pairs;
    uint32_t page_tokens;
    // The position of the first token, where no step says it.
    uint32_t start;
};

#endif
