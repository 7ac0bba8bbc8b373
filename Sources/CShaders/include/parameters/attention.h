//! What `attention.comp` and `attention_coopmat2.comp` are told: attention of many queries over pages.
#ifndef THIMBLE_PARAMETERS_ATTENTION_H
#define THIMBLE_PARAMETERS_ATTENTION_H
#ifdef __STDC_VERSION__
#include <stdint.h>
#endif

// Constant 0, threads of a workgroup, must be this.
#define THIMBLE_ATTENTION_THREADS 128
// A workgroup takes at least so many rows, a row being a token with one of the heads that share a key head.
#define THIMBLE_ATTENTION_TILE_ROWS 16

// Constants: 2 = head size, at most 256.
// attention: 3 = THIMBLE_PAGES_*.
// attention_coopmat2, where cooperative matrices of the shape M x N x N reduce and convert:
// 1 = the subgroup's size; 2 = head size, a multiple of 16; 3 = rows of a workgroup; 4 = keys of a tile;
// 5 = M; 6 = N; 7 = page_tokens; 8 = THIMBLE_PAGES_*, int5 of heads of 8 * the subgroup's size at most.
// Constant 0 is (3) / M * the subgroup's size. Shared memory:
// max((3), 2 * (4)) * ((2) * 2 + 16) + (3) * (N * 4 + 8) bytes.
// A grid of [tiles of rows, kv_heads, ranges], ranges being 1 where none are given; any number of tiles is
// right. Addresses are of the device.
struct thimble_attention {
    // float32 [tokens, heads * head size], not scaled.
    uint64_t queries;
    // Page 0 of the layer: float16 [2: key, value][kv_heads][page_tokens][head size], or codes.
    uint64_t pages;
    // int32: the page of each run of page_tokens positions.
    uint64_t block_table;
    // float32 [tokens, heads * head size]; zeros for a query that sees nothing.
    uint64_t y;
    // uint32 [ranges + 1], or 0 for one range: where ranges of tokens begin, the last being where all end.
    // A query sees the positions of its own range alone, a token's position being its row. Not for causal
    // attention.
    uint64_t ranges;
    uint32_t tokens;
    uint32_t heads;
    uint32_t kv_heads;
    uint32_t page_tokens;
    // The position of the first token, for causal attention: query i sees positions up to start + i.
    uint32_t start;
    // Positions that hold keys and values. Without ranges, and unless causal, every query sees all of them.
    uint32_t key_count;
    // 0: every query sees every position.
    uint32_t is_causal;
    // What scores are multiplied by.
    float scale;
};

#endif
