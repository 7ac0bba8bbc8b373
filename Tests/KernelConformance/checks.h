//! What the families of checks share: failures, random numbers, guarded outputs and tiled matrices.
#pragma once
#include "conformance.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

// One run over a variant.
typedef struct {
    const thimble_kernels *kernels;  // on trial
    const thimble_kernels *scalar;
    uint64_t state;  // of the random numbers
    int32_t failures;
    char *report;
    size_t capacity, used;
    char subject[160];  // what is checked just now, for the report
} checks;

#define PRINTF(text, first) __attribute__((format(printf, text, first)))

PRINTF(2, 3) void check_subject(checks *c, const char *format, ...);
PRINTF(2, 3) void check_fail(checks *c, const char *format, ...);

// Random numbers (SplitMix64).
uint64_t random_bits(checks *c);
int64_t random_below(checks *c, int64_t limit);
float random_float(checks *c, float range);  // in -range...range, each as likely as the others

// Memory of exactly that size, so that a read or a write beyond it is a crash, or an address sanitizer's
// report. Never NULL; it goes back by `release`.
void *exactly(int64_t bytes);
void release(void *memory);
float *random_floats(checks *c, int64_t count, float range);

// An output of a kernel: `count` floats between margins, all of them one bit pattern until they are written.
// It is released by whoever made it, through `memory`.
typedef struct {
    float *memory;
    float *y;
    int64_t count;
} guarded;

guarded guarded_floats(int64_t count);
// The same holding `values`, for a kernel that adds to its output or works in place.
guarded guarded_copy(const float *values, int64_t count);

// Compares an output and its margins with the definition's. What the definition left untouched must be
// untouched, NaN must meet NaN, and the rest may differ by the bound of its element.
void expect_within(checks *c, const guarded *y, const guarded *expected, const float *bounds);
void expect_near(checks *c, const guarded *y, const guarded *expected, float absolute, float relative);
void expect_same_bits(checks *c, const guarded *y, const guarded *expected);

// A matrix in tiles. Rows that fill the last tile up hold garbage, which nothing may depend on.
typedef struct {
    thimble_weights weights;
    int32_t bits;
    int64_t columns;
    void *codes;
    uint16_t *scales;
} tiled;

// What the elements and scales of a matrix are drawn from.
typedef enum {
    elements_any,       // every code, scales of 0.01 to 0.02 of either sign; values in -1...1
    elements_integers,  // every code, scales of one; values that are small integers: products are exact
    elements_extreme,   // codes at their ends only, scales of one; values up to what float16 holds
} elements;

tiled tiled_random(checks *c, int32_t bits, int64_t group, int64_t rows, int64_t columns, elements drawn);
void tiled_free(tiled *t);
void tiled_set_scale(tiled *t, int64_t row, int64_t k, uint16_t half);

// The halves that tests need by name.
enum { half_one = 0x3c00, half_nan = 0x7e00 };

// The families.
void check_products(checks *c);
void check_quantization(checks *c);
void check_rows(checks *c);
void check_storing(checks *c);
void check_attention(checks *c);
void check_resampling(checks *c);
