//! Rates of products and attention, one thread: the best of several runs each.
#define _POSIX_C_SOURCE 199309L
#include "bench.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

// Halves, floats and bytes that are small enough numbers, and none of them special.
static void *filled(int64_t bytes, int64_t element) {
    uint8_t *memory = aligned_alloc(64, (size_t)(bytes + 63) / 64 * 64);
    if (!memory) abort();
    uint32_t state = 1;
    for (int64_t i = 0; i < bytes; i += element) {
        state = state * 1664525 + 1013904223;
        float x = (float)(int32_t)state * 0x1p-31f;
        uint16_t half = (uint16_t)(0x2c00 | (state >> 16 & 0x83ff));
        uint8_t byte = (uint8_t)(state >> 24);
        memcpy(memory + i, element == 4 ? (void *)&x : element == 2 ? (void *)&half : &byte, (size_t)element);
    }
    return memory;
}

typedef void work(const thimble_kernels *kernels, const void *problem);

// Seconds of the fastest of runs that together take a while.
static double seconds(const thimble_kernels *kernels, work *work, const void *problem) {
    double best = 1e9, end = now() + 0.4;
    for (int runs = 0; runs < 3 || now() < end; runs++) {
        double start = now();
        work(kernels, problem);
        double took = now() - start;
        if (took < best) best = took;
    }
    return best;
}

// MARK: Products

typedef struct {
    int32_t bits;
    int64_t tokens;
    thimble_weights w;
    thimble_quantized x;
    float *inputs, *y;
} product;

static void multiply(const thimble_kernels *kernels, const void *problem) {
    const product *p = problem;
    int64_t tiles = p->w.rows / THIMBLE_TILE_ROWS;
    if (p->bits == 4) kernels->matmul_q4(&p->w, &p->x, p->tokens, 0, tiles, p->y, p->w.rows);
    if (p->bits == 8) kernels->matmul_q8(&p->w, &p->x, p->tokens, 0, tiles, p->y, p->w.rows);
    if (p->bits == 16) {
        kernels->matmul_f16(&p->w, p->inputs, p->w.padded_columns, p->tokens, 0, tiles, p->y, p->w.rows);
    }
}

static void bench_product(const thimble_kernels *kernels, int32_t bits, int64_t tokens) {
    // One token's weights are more than a second-level cache holds; many tokens' come from it.
    int64_t rows = tokens == 1 ? 8192 : 1024, columns = 4096, blocks = columns / THIMBLE_BLOCK;
    if (bits == 16) rows /= 2;
    int64_t bytes = rows * columns * bits / 8;
    product p = {.bits = bits, .tokens = tokens};
    void *codes = filled(bytes, bits == 16 ? 2 : 1), *scales = filled(rows * columns / 64 * 2, 2);
    int8_t *x_codes = filled(tokens * columns, 1);
    int32_t *sums = calloc((size_t)(tokens * blocks), sizeof *sums);
    if (!sums) abort();
    p.w = (thimble_weights){codes, scales, rows, columns, bits == 16 ? 0 : 64};
    p.inputs = filled(tokens * columns * 4, 4);
    p.x = (thimble_quantized){x_codes, p.inputs, sums};
    p.y = filled(tokens * rows * 4, 4);
    double took = seconds(kernels, multiply, &p);
    printf("%-12s %s%-2d product, %3d tokens  %7.1f GFLOP/s  %6.2f GB/s of weights\n", kernels->name,
           bits == 16 ? "f" : "q", bits, (int)tokens, (double)(2 * rows * columns * tokens) / took * 1e-9,
           (double)bytes / took * 1e-9);
    free(codes);
    free(scales);
    free(x_codes);
    free(sums);
    free(p.inputs);
    free(p.y);
}

// MARK: Attention

enum { page_tokens = 16 };

typedef struct {
    thimble_attention a;
    int64_t tokens;
    int64_t block;  // tokens a call, as the backend shares them out
    float *scratch;
} attention;

static void attend(const thimble_kernels *kernels, const void *problem) {
    const attention *p = problem;
    for (int64_t head = 0; head < p->a.kv_heads; head++) {
        for (int64_t token = 0; token < p->tokens; token += p->block) {
            int64_t end = token + p->block < p->tokens ? token + p->block : p->tokens;
            kernels->attention(&p->a, head, token, end, p->scratch);
        }
    }
}

// Pages of random keys and values of one head, stored as the definition does.
static void *filled_pages(thimble_kv_type type, int64_t head_size, int64_t pages, int64_t page_bytes) {
    const thimble_kernels *scalar = thimble_kernels_scalar();
    int64_t codes = thimble_kv_code_bytes(type, head_size), scales = thimble_kv_scale_bytes(type);
    uint8_t *memory = filled(pages * page_bytes, 1);
    float *rows = filled(4096 * head_size * 4, 4);
    for (int64_t i = 0; i < pages * 2; i++) {
        uint8_t *start = memory + i * page_bytes / 2;
        for (int64_t token = 0; token < page_tokens; token++) {
            const float *x = rows + (i * page_tokens + token) % 4096 * head_size;
            void *to = start + token * codes, *scale = start + page_tokens * codes + token * scales;
            if (type == THIMBLE_KV_F16) scalar->store_f16(x, head_size, to);
            if (type == THIMBLE_KV_INT8) scalar->store_int8(x, head_size, to, scale);
            if (type == THIMBLE_KV_INT5) scalar->store_int5(x, head_size, to, scale);
        }
    }
    free(rows);
    return memory;
}

static void bench_attention(const thimble_kernels *kernels, const char *name, thimble_kv_type type,
                            int64_t q_heads, int64_t head_size, int64_t tokens, int64_t keys,
                            int32_t causal) {
    static const char *const types[] = {"f16", "int8", "int5"};
    int64_t row = thimble_kv_code_bytes(type, head_size) + thimble_kv_scale_bytes(type);
    int64_t page = 2 * page_tokens * row, pages = (keys + page_tokens - 1) / page_tokens;
    int64_t floats = tokens * q_heads * head_size;
    void *cache = filled_pages(type, head_size, pages, page);
    int32_t *block_table = malloc((size_t)pages * sizeof *block_table);
    if (!block_table) abort();
    for (int64_t i = 0; i < pages; i++) block_table[i] = (int32_t)i;
    float *q = filled(floats * 4, 4), *out = filled(floats * 4, 4);
    int64_t scratch = thimble_attention_scratch_count(head_size);
    attention p = {.tokens = tokens, .block = THIMBLE_ATTENTION_ROWS / q_heads};
    p.scratch = filled(scratch * 4, 4);
    p.a = (thimble_attention){.q = q,
                              .out = out,
                              .pages = cache,
                              .block_table = block_table,
                              .q_stride = q_heads * head_size,
                              .out_stride = q_heads * head_size,
                              .page_stride = page,
                              .page_tokens = page_tokens,
                              .q_heads = q_heads,
                              .kv_heads = 1,
                              .head_size = head_size,
                              .start = causal ? keys - tokens : 0,
                              .kv_length = keys,
                              .key_end = keys,
                              .causal = causal,
                              .scale = 1 / sqrtf((float)head_size),
                              .kv_type = type};
    double pairs = (double)(tokens * keys) - (causal ? (double)(tokens * (tokens - 1)) / 2 : 0);
    double took = seconds(kernels, attend, &p);
    printf("%-12s attention, %-4s, %-35s %7.1f GFLOP/s  %6.2f GB/s of keys and values\n", kernels->name,
           types[type], name, 4 * pairs * (double)(q_heads * head_size) / took * 1e-9,
           (double)(keys * row * 2) / took * 1e-9);
    free(cache);
    free(block_table);
    free(q);
    free(out);
    free(p.scratch);
}

// MARK: Storing

enum { stored_rows = 1024, stored_size = 128 };

typedef struct {
    thimble_kv_type type;
    float *x;
    uint8_t *codes, *scales;
} storing;

static void store(const thimble_kernels *kernels, const void *problem) {
    const storing *p = problem;
    int64_t codes = thimble_kv_code_bytes(p->type, stored_size);
    int64_t scales = thimble_kv_scale_bytes(p->type);
    for (int64_t i = 0; i < stored_rows; i++) {
        const float *x = p->x + i * stored_size;
        void *to = p->codes + i * codes, *scale = p->scales + i * scales;
        if (p->type == THIMBLE_KV_F16) kernels->store_f16(x, stored_size, to);
        if (p->type == THIMBLE_KV_INT8) kernels->store_int8(x, stored_size, to, scale);
        if (p->type == THIMBLE_KV_INT5) kernels->store_int5(x, stored_size, to, scale);
    }
}

static void bench_storing(const thimble_kernels *kernels, thimble_kv_type type) {
    static const char *const types[] = {"f16", "int8", "int5"};
    storing p = {.type = type, .x = filled(stored_rows * stored_size * 4, 4)};
    p.codes = filled(stored_rows * stored_size * 2, 1);
    p.scales = filled(stored_rows * stored_size, 1);
    double took = seconds(kernels, store, &p);
    printf("%-12s storing, %-4s, heads of 128                   %7.1f ns each\n", kernels->name, types[type],
           took / stored_rows * 1e9);
    free(p.x);
    free(p.codes);
    free(p.scales);
}

void thimble_bench_run(const thimble_kernels *kernels) {
    static const int32_t widths[] = {4, 8, 16};
    static const int64_t tokens[] = {1, 4, 64, 512};
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 4; j++) {
            // The definition is no contestant: one small product shows where it stands.
            if (strcmp(kernels->name, "scalar") == 0 && j > 0) continue;
            bench_product(kernels, widths[i], tokens[j]);
        }
    }
    for (int type = THIMBLE_KV_F16; type <= THIMBLE_KV_INT5; type++) bench_storing(kernels, type);
    if (strcmp(kernels->name, "scalar") == 0) return;
    // The vision tower's are float16.
    bench_attention(kernels, "full, head 64, 2520 by 2520", THIMBLE_KV_F16, 1, 64, 2520, 2520, 0);
    bench_attention(kernels, "full, head 128, 2520 by 2520", THIMBLE_KV_F16, 1, 128, 2520, 2520, 0);
    for (int type = THIMBLE_KV_F16; type <= THIMBLE_KV_INT5; type++) {
        bench_attention(kernels, "causal, 16 heads of 128, 2520", type, 16, 128, 2520, 2520, 1);
        bench_attention(kernels, "causal, 4 heads of 64, 2520", type, 4, 64, 2520, 2520, 1);
        bench_attention(kernels, "decode, 16 heads of 128, 4096 keys", type, 16, 128, 1, 4096, 1);
        bench_attention(kernels, "decode, 16 heads of 128, 65536 keys", type, 16, 128, 1, 65536, 1);
        bench_attention(kernels, "decode, 4 heads of 64, 4096 keys", type, 4, 64, 1, 4096, 1);
        bench_attention(kernels, "decode, 4 heads of 64, 65536 keys", type, 4, 64, 1, 65536, 1);
        bench_attention(kernels, "decode, 1 head of 64, 4096 keys", type, 1, 64, 1, 4096, 1);
        bench_attention(kernels, "decode, 1 head of 64, 65536 keys", type, 1, 64, 1, 65536, 1);
    }
}
