//! What the files of attention with AVX2 share: a block of query rows and a step of keys.
#pragma once
#include "attention.h"
#include "avx2_kv.h"
#if defined(__x86_64__)

// The softmax is online (Milakov and Gimelshein, 2018): sums of a row are relative to its largest score so
// far. Query heads that share a kv head are rows of one block, so that a key is read once for all of them.
enum { most_rows = ATTENTION_ROWS, most_keys = ATTENTION_KEYS, lanes = 8 };
// Keys are padded to a multiple of this in a step, and heads to one of this many channels.
enum { quantum = 16 };

// A block of query rows in the caller's scratch. A row is a (token, head of the group) pair. Few rows are
// multiplied as floats. Many are as 16-bit codes, whose pairs are neighbours along what a product sums over:
// channels in queries and keys, keys in weights and values.
typedef struct {
    const thimble_attention *a;
    int64_t kv_head;
    int64_t first_row;  // rows count from token 0
    int64_t rows;
    int64_t width;         // head_size in whole quanta; what is beyond head_size holds zeros
    float *sums;           // [most_rows][width]
    float *largest;        // [most_rows], and lanes for a vector at the end
    float *total;          // likewise
    float *few_queries;    // [rows][width], scaled, where there are few rows: in the place of the next
    int16_t *queries;      // [rows][width], in the order of pack_pairs
    float *query_scales;   // [rows]: what a code is worth in a score; NaN of a query that is not finite
    float *key_scales;     // [most_keys]: NaN of a key that is not finite; 0 beyond the step's keys
    float *value_scales;   // [width]
    int32_t *key_codes;    // [width / 2][most_keys]: pairs of a key's codes
    int32_t *value_codes;  // [most_keys / 2][width]: a column's codes of two keys
} query_block;

// A step of keys, shared by the rows of a block.
typedef struct {
    int64_t first;
    int64_t count;
    int64_t padded;                     // in whole quanta; what is beyond `count` repeats the first
    kv_rows keys;
    kv_rows values;
    int64_t first_not_finite;  // of the keys, once codes are made; most_keys where all are finite
} key_step;

TEMPLATE int64_t row_token(const query_block *q, int64_t row) {
    return attention_row_token(q->a, q->first_row + row);
}

TEMPLATE int64_t row_head(const query_block *q, int64_t row) {
    return attention_row_head(q->a, q->kv_head, q->first_row + row);
}

TEMPLATE int64_t row_key_end(const query_block *q, int64_t row) {
    return attention_row_key_end(q->a, q->first_row + row);
}

void thimble_avx2_load_codes(query_block *q);
void thimble_avx2_attend_codes(query_block *q, key_step *step);
void thimble_avx2_load_floats(query_block *q);
void thimble_avx2_attend_floats(query_block *q, const key_step *step);

#endif
