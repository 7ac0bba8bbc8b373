//! The CPU's kernels: one table of functions a variant. The scalar table is the definition; every other
//! variant is tested against it over odd shapes. Matrices lie in the tiled layout that
//! Tensors/WeightLayout.swift describes.
//
// All pointers are valid for the shapes stated, and are the caller's; no kernel allocates, and none keeps a
// pointer.
#pragma once
#include <stdint.h>
#include <stddef.h>

// Activations are quantized to int8 in blocks of this many inputs, one float32 scale a block.
#define THIMBLE_BLOCK 32
// Rows in a weight tile.
#define THIMBLE_TILE_ROWS 16

// A weight matrix W[rows, columns] in tiles.
typedef struct {
    const void *codes;       // codes plane (values, for f32 and f16)
    const uint16_t *scales;  // float16 [tile][padded_columns / group][16]; NULL for f32 and f16
    int64_t rows;            // outputs
    int64_t padded_columns;  // inputs with padding: a multiple of 32 and of the group
    int64_t group;           // 32, 64 or 128; 0 for f32 and f16
} thimble_weights;

// Activations quantized for an integer product:
// x[token][input] = scales[token][input / 32] * codes[token][input].
typedef struct {
    const int8_t *codes;  // [tokens][padded_columns], in -127...127
    const float *scales;  // [tokens][padded_columns / 32]
    const int32_t *sums;  // [tokens][padded_columns / 32]: sum of the block's codes
} thimble_quantized;

// How pages hold keys and values. A page holds, for each of [2: key, value][kv_heads], the codes of its
// tokens and behind them all their scales; codes and scales of int8 and int5 lie in whole 32-bit words.
//
//         codes [page_tokens]                     scales [page_tokens]
//   f16   float16 [head_size]                     none
//   int8  int8 [head_size], whole words           a float32
//   int5  blocks of 32 elements                   a word
//
// f16: what passes its range saturates.
// int8: an element is scale * code, the code in -127...127.
// int5: elements are rotated (see store_int5). A block is a word of its codes' fifth bits, element 0's in the
// lowest, then words of 8 codes' other four bits: the low halves of a word's bytes, then the high ones. The
// last block has as many words as its elements need. The row's word holds two bfloat16, a step and, in the
// upper half, the least element: an element is least + step * level, the level of a code c in 0...31 being
// c * (3009 + c * (2 * c - 93)) / 2048, which is in 0...31 too.
// Elements of int8 and int5 saturate at +-THIMBLE_KV_LIMIT. One that is NaN makes NaN of its row.
typedef enum { THIMBLE_KV_F16, THIMBLE_KV_INT8, THIMBLE_KV_INT5 } thimble_kv_type;

// Elements of a block of int5, and its bytes.
#define THIMBLE_KV_BLOCK 32
#define THIMBLE_KV_BLOCK_BYTES 20

// The squares of a head's elements, and sums of them, stay far within float32.
#define THIMBLE_KV_LIMIT 0x1p48f

// Bytes of one token's codes, and of its scales, of one head.
static inline int64_t thimble_kv_code_bytes(thimble_kv_type type, int64_t head_size) {
    if (type == THIMBLE_KV_F16) return head_size * 2;
    if (type == THIMBLE_KV_INT8) return (head_size + 3) / 4 * 4;
    return (head_size + THIMBLE_KV_BLOCK - 1) / THIMBLE_KV_BLOCK * 4 + (head_size + 7) / 8 * 4;
}
static inline int64_t thimble_kv_scale_bytes(thimble_kv_type type) { return type == THIMBLE_KV_F16 ? 0 : 4; }

// One attention: queries of consecutive positions over keys and values in pages.
// Page p starts at pages + p * page_stride.
typedef struct {
    const float *q;  // [tokens][q_stride], head h of a token at + h * head_size
    float *out;      // [tokens][out_stride], likewise: the mean of the values of the keys that a query sees
    // NULL, or [tokens][q_heads][2]: the largest score of the keys that a query sees, and the sum of
    // e^(score - largest) over them; -THIMBLE_ATTENTION_SCORE_LIMIT and 0 where it sees none. What
    // thimble_attention_merge needs to join outputs over ranges of keys.
    float *shares;
    const void *pages;           // aligned as their type's words are
    const int32_t *block_table;  // [ceil(kv_length / page_tokens)]: page of each run of page_tokens positions
    int64_t q_stride;            // floats
    int64_t out_stride;          // floats
    int64_t page_stride;         // bytes
    int64_t page_tokens;
    int64_t q_heads;  // a multiple of kv_heads
    int64_t kv_heads;
    int64_t head_size;  // at most THIMBLE_MAX_HEAD_SIZE
    int64_t start;      // position of the first query; causal: query i sees keys 0...start + i
    int64_t kv_length;  // keys in the pages; start + tokens <= kv_length when causal
    int64_t key_begin;  // the call looks at keys key_begin..<key_end only: 0 and kv_length for all of them
    int64_t key_end;
    int32_t causal;     // 0: every query sees every key
    float scale;        // multiplies q . k
    thimble_kv_type kv_type;
} thimble_attention;

#define THIMBLE_MAX_HEAD_SIZE 256

// Query rows (a token with a head of the group) that an attention holds at once. Each run of that many
// converts the keys anew, so that a call does well to have as many; scratch grows with them.
#define THIMBLE_ATTENTION_ROWS 192

// Scores are held within this bound, so that the difference of two is never infinity - infinity.
#define THIMBLE_ATTENTION_SCORE_LIMIT 3e38f

// How one axis of an image is resampled: output i is the weighted sum of counts[i] inputs from starts[i] on.
// Weights are in fixed point; the magnitudes of an output's weights sum up to less than 2^23.
typedef struct {
    const int32_t *starts;   // [outputs]; starts + counts <= inputs
    const int32_t *counts;   // [outputs], 1...capacity
    const int16_t *weights;  // [outputs][capacity], zero beyond counts
    int64_t inputs;
    int64_t outputs;
    int64_t capacity;   // a multiple of 4
    int32_t precision;  // fractional bits of the weights, 1...22
} thimble_taps;

// Every kernel of one variant.
typedef struct {
    const char *name;

    // Quantizes x[count] (one token, count <= padded) to blocks; inputs from count to padded become zero
    // codes. scale = max|x| / 127 of the block; code = round to nearest even. A block below 2^-120 becomes
    // zeros with scale 0; one with an element that is not finite, zeros with scale NaN.
    void (*quantize)(const float *x, int64_t count, int64_t padded, int8_t *codes, float *scales,
                     int32_t *sums);

    // y[token][row] for the rows of tiles tile_begin..<tile_end and all tokens; y[token * y_stride + row].
    // Rows beyond w->rows are not written. Float32 accumulation across blocks, int32 within.
    void (*matmul_q4)(const thimble_weights *w, const thimble_quantized *x, int64_t tokens,
                      int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride);
    void (*matmul_q8)(const thimble_weights *w, const thimble_quantized *x, int64_t tokens,
                      int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride);
    // The same from float32 activations x[tokens][x_stride], zero from the real columns to padded_columns.
    void (*matmul_f16)(const thimble_weights *w, const float *x, int64_t x_stride, int64_t tokens,
                       int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride);
    void (*matmul_f32)(const thimble_weights *w, const float *x, int64_t x_stride, int64_t tokens,
                       int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride);

    // Writes row `row` of w, dequantized, to y[columns].
    void (*gather_row)(const thimble_weights *w, int32_t bits, int64_t row, int64_t columns, float *y);

    // y[i] = x[i] * weight[i] / sqrt(mean(x^2) + epsilon). y may be x.
    // The sum of squares survives x near 1e30.
    void (*rms_norm)(const float *x, const float *weight, int64_t count, float epsilon, float *y);
    // residual[i] += x[i] * weight[i] / sqrt(mean(x^2) + epsilon)
    void (*add_rms_norm)(const float *x, const float *weight, int64_t count, float epsilon, float *residual);
    // y[i] = (x[i] - mean) / sqrt(variance + epsilon) * weight[i] + bias[i]. y may be x.
    void (*layer_norm)(const float *x, const float *weight, const float *bias, int64_t count, float epsilon,
                       float *y);
    // y[i] += x[i]
    void (*add)(const float *x, int64_t count, float *y);
    // y[i] += factor * x[i]
    void (*add_scaled)(const float *x, float factor, int64_t count, float *y);
    // y[i] = silu(x[2i]) * x[2i + 1]: gate and up rows alternate. y may be x.
    void (*swiglu)(const float *x, int64_t count, float *y);
    // y[i] = x[i] * (1 + erf(x[i] / sqrt(2))) / 2. y may be x.
    void (*gelu)(const float *x, int64_t count, float *y);
    // Rotates adjacent pairs: (x[2i], x[2i+1]) by the angle of cos[i], sin[i], for i < pairs. In place.
    void (*rope_interleaved)(float *x, const float *cosines, const float *sines, int64_t pairs);
    // Rotates halves: (x[i], x[i + pairs]) by cos[i], sin[i], for i < pairs. In place.
    void (*rope_half)(float *x, const float *cosines, const float *sines, int64_t pairs);
    // float16 from float32, to nearest even, saturating at +-65504; NaN stays NaN.
    void (*store_f16)(const float *x, int64_t count, uint16_t *y);
    // A head's key or value x[count] as int8, as a page holds it: scale = max|x| / 127, code = round to
    // nearest even. A row below 2^-120 becomes zeros with scale 0; one with a NaN, zeros with scale NaN.
    void (*store_int8)(const float *x, int64_t count, int8_t *codes, float *scale);
    // Likewise as int5, count <= THIMBLE_MAX_HEAD_SIZE. First x is rotated: each run of as many elements as
    // the largest power of two that divides count is multiplied by Hadamard's matrix of that order, scaled to
    // be orthonormal and so its own inverse. The least element and step = (most - least) / 31 are rounded to
    // bfloat16 before codes are made with them, those of the nearest levels; a step below 2^-120 becomes 0.
    void (*store_int5)(const float *x, int64_t count, uint32_t *codes, uint32_t *word);

    // Attention of the q heads that share kv_head, for query tokens token_begin..<token_end. Float32 online
    // softmax; scores are held within the limit, so that one beyond float32 gives no NaN. A query without
    // keys gets zeros. Over int5, queries saturate at +-2^120 and are rotated as keys are, and outputs are
    // rotated back. scratch holds thimble_attention_scratch_count floats and belongs to the calling thread.
    void (*attention)(const thimble_attention *a, int64_t kv_head, int64_t token_begin, int64_t token_end,
                      float *scratch);

    // Resamples a row of red, green and blue bytes: out[outputs][3] from row[inputs][3]. Sums are integers
    // and the same in every variant; they are rounded to the nearest byte, halves up.
    void (*resample_row)(const thimble_taps *taps, const uint8_t *row, uint8_t *out);
    // One output row of the other axis, in the same arithmetic: out[length], each from weights[count] times
    // rows[count][length].
    void (*blend_rows)(const uint8_t *const rows[], const int16_t *weights, int64_t count, int32_t precision,
                       int64_t length, uint8_t *out);
} thimble_kernels;

// Floats of scratch an attention call needs, whatever the variant.
int64_t thimble_attention_scratch_count(int64_t head_size);

// Joins the outputs of `count` ranges of keys into what one call over all of them gives:
// out[heads][head_size] from parts[count][heads][head_size] and shares[count][heads][2], for the heads
// head_begin..<head_end. A head without keys gets zeros.
void thimble_attention_merge(const float *parts, const float *shares, int64_t count, int64_t heads,
                             int64_t head_begin, int64_t head_end, int64_t head_size, float *out);

// The definition.
const thimble_kernels *thimble_kernels_scalar(void);
// The variants this machine can run, scalar first, the preferred one last.
int32_t thimble_kernels_available(const thimble_kernels *tables[], int32_t capacity);

// Cores that the scheduler may run this process on, at least 1.
int32_t thimble_schedulable_cores(void);

// Asks for the cache line at p, which need not be mapped.
static inline void thimble_prefetch(const void *p) { __builtin_prefetch(p); }

// Likewise, into the core's second cache: for what it reads soon, but not at once.
static inline void thimble_prefetch_near(const void *p) { __builtin_prefetch(p, 0, 2); }

// Tells the processor that the caller spins.
static inline void thimble_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}
