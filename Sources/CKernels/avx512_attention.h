//! What the files of attention with AVX-512 share: a block of query rows and a step of keys.
#pragma once
#include "attention.h"
#include "avx512_kv.h"
#if defined(__x86_64__)

// The softmax is online (Milakov and Gimelshein, 2018): sums of a row are relative to its largest score so
// far. Query heads that share a kv head are rows of one block, so that a key is converted once for all of
// them.
enum { most_rows = ATTENTION_ROWS, most_keys = ATTENTION_KEYS, lanes = 16 };
// Keys are padded to a multiple of this in a step.
enum { key_quantum = 8 };

// A block of query rows in the caller's scratch. A row is a (token, head of the group) pair. Few rows
// are multiplied as floats. Many are as 16-bit codes, whose pairs are neighbours along what a product sums
// over: channels in queries and keys, keys in weights and values.
typedef struct {
    const thimble_attention *a;
    int64_t kv_head;
    int64_t first_row;  // rows count from token 0
    int64_t rows;
    int64_t width;        // head_size in whole vectors; what is beyond head_size holds zeros
    float *sums;          // [most_rows][width]
    float *few_queries;   // [rows][width], scaled, where there are few rows: in the place of the next
    int32_t *queries;     // [width / 2][most_rows] pairs
    int32_t *weights;     // [most_keys / 2][most_rows] pairs
    int16_t *keys;        // [most_keys][width]
    int32_t *values;      // [most_keys / 2][width] pairs
    float *query_scales;  // [most_rows], as are the rest: the query's length, NaN where it is not finite
    float *largest;
    float *total;
    float *shrink;     // what the step multiplies sums by
    float *grow;       // what one unit of the step's weights is worth
    float *poison;     // NaN where a query, or a key that it sees, holds what is not finite; else 0
    int32_t *visible;  // how many of the step's keys a row sees; 0 or less: none
} query_block;

// A step of keys.
typedef struct {
    int64_t first;
    int64_t count;
    int64_t padded;               // in whole quanta
    kv_rows keys;
    kv_rows values;
    float key_scales[most_keys];  // times a query's scale and the dot of codes: the score; NaN where the key
                                  // is not finite
    int any_poisoned;             // whether one is
} key_step;

TEMPLATE int64_t row_token(const query_block *q, int64_t row) {
    return attention_row_token(q->a, q->first_row + row);
}

TEMPLATE int64_t row_head(const query_block *q, int64_t row) {
    return attention_row_head(q->a, q->kv_head, q->first_row + row);
}

void thimble_avx512_load_codes(query_block *q);
void thimble_avx512_attend_codes(query_block *q, key_step *step);
void thimble_avx512_load_floats(query_block *q);
void thimble_avx512_attend_floats(query_block *q, const key_step *step);

#endif
