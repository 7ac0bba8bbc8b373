//! Failures, random numbers, guarded outputs and tiled matrices of the conformance checks.
#include "checks.h"
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum { margin = 64 };  // floats on either side of an output: more than any variant's vector

// A NaN that no kernel computes.
static const uint32_t untouched = 0xffc5a5a5;

static uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static void report(checks *c, const char *format, va_list arguments) {
    if (c->used + 1 >= c->capacity) return;
    int wrote = vsnprintf(c->report + c->used, c->capacity - c->used, format, arguments);
    if (wrote > 0) c->used += (size_t)wrote;
    if (c->used >= c->capacity) c->used = c->capacity - 1;
}

static PRINTF(2, 3) void report_part(checks *c, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    report(c, format, arguments);
    va_end(arguments);
}

void check_subject(checks *c, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(c->subject, sizeof c->subject, format, arguments);
    va_end(arguments);
}

void check_fail(checks *c, const char *format, ...) {
    c->failures += 1;
    report_part(c, "%s: ", c->subject);
    va_list arguments;
    va_start(arguments, format);
    report(c, format, arguments);
    va_end(arguments);
    report_part(c, "\n");
}

uint64_t random_bits(checks *c) {
    uint64_t z = c->state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

int64_t random_below(checks *c, int64_t limit) {
    return (int64_t)(random_bits(c) >> 33) % limit;  // the bias of a few in 2^31 does not matter here
}

float random_float(checks *c, float range) {
    return ((float)(random_bits(c) >> 40) * 0x1p-23f - 1) * range;
}

#if __has_feature(address_sanitizer)
void *exactly(int64_t bytes) {
    // Only whole lines can be had aligned.
    size_t size = bytes > 0 ? (size_t)bytes : 1;
    void *memory = size % 64 == 0 ? aligned_alloc(64, size) : malloc(size);
    if (!memory) abort();
    return memory;
}

void release(void *memory) { free(memory); }
#else
// A page that holds the mapping's size, the pages in whose end the memory lies, and a page that nothing may
// touch.
void *exactly(int64_t bytes) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), size = bytes > 0 ? (size_t)bytes : 1;
    size_t pages = (size + page - 1) / page * page, mapped = page + pages + page;
    char *base = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED || mprotect(base + page + pages, page, PROT_NONE) != 0) abort();
    memcpy(base, &mapped, sizeof mapped);
    return base + page + pages - size;
}

void release(void *memory) {
    if (!memory) return;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    char *base = (char *)memory - (uintptr_t)memory % page - page;
    size_t mapped;
    memcpy(&mapped, base, sizeof mapped);
    munmap(base, mapped);
}
#endif

float *random_floats(checks *c, int64_t count, float range) {
    float *x = exactly(count * (int64_t)sizeof *x);
    for (int64_t i = 0; i < count; i++) x[i] = random_float(c, range);
    return x;
}

guarded guarded_floats(int64_t count) {
    guarded g = {.memory = exactly((count + 2 * margin) * (int64_t)sizeof(float)), .count = count};
    g.y = g.memory + margin;
    for (int64_t i = 0; i < count + 2 * margin; i++) memcpy(g.memory + i, &untouched, sizeof untouched);
    return g;
}

guarded guarded_copy(const float *values, int64_t count) {
    guarded g = guarded_floats(count);
    memcpy(g.y, values, (size_t)count * sizeof *values);
    return g;
}

static int agrees(float y, float expected, float bound) {
    if (bits_of(y) == bits_of(expected)) return 1;
    if (bits_of(y) == untouched || bits_of(expected) == untouched) return 0;
    if (isnan(expected)) return isnan(y);
    if (isinf(expected)) return y == expected;
    return fabsf(y - expected) <= bound;
}

// bound = absolute + relative * |expected|, or bounds[i] of its own
static void expect(checks *c, const guarded *y, const guarded *expected, const float *bounds, float absolute,
                   float relative) {
    int64_t wrong = 0, first = 0;
    for (int64_t i = -margin; i < expected->count + margin; i++) {
        int inside = i >= 0 && i < expected->count;
        float bound = bounds && inside ? bounds[i] : absolute + relative * fabsf(expected->y[i]);
        if (agrees(y->y[i], expected->y[i], bound)) continue;
        if (wrong++ == 0) first = i;
    }
    if (wrong == 0) return;
    check_fail(c, "%lld of %lld differ, first [%lld]: %.9g (%08x), defined as %.9g (%08x)", (long long)wrong,
               (long long)expected->count, (long long)first, (double)y->y[first], bits_of(y->y[first]),
               (double)expected->y[first], bits_of(expected->y[first]));
}

void expect_within(checks *c, const guarded *y, const guarded *expected, const float *bounds) {
    expect(c, y, expected, bounds, 0, 0);
}

void expect_near(checks *c, const guarded *y, const guarded *expected, float absolute, float relative) {
    expect(c, y, expected, NULL, absolute, relative);
}

void expect_same_bits(checks *c, const guarded *y, const guarded *expected) {
    // Equal numbers of other bits are zeros of other signs, which are a difference here.
    float *none = exactly(expected->count * (int64_t)sizeof *none);
    for (int64_t i = 0; i < expected->count; i++) none[i] = -1;
    expect(c, y, expected, none, -1, 0);
    release(none);
}

// MARK: Matrices

// Bytes of a matrix in tiles; a unit of 64 bytes holds 32 / bits inputs of 16 rows.
static int64_t codes_bytes(int32_t bits, int64_t rows, int64_t padded) {
    return (rows + THIMBLE_TILE_ROWS - 1) / THIMBLE_TILE_ROWS * THIMBLE_TILE_ROWS * padded * bits / 8;
}

static uint8_t *element_address(tiled *t, int64_t row, int64_t k) {
    int64_t per_word = 32 / t->bits;
    int64_t tile = row / THIMBLE_TILE_ROWS * (t->weights.padded_columns / per_word * 64);
    return (uint8_t *)t->codes + tile + k / per_word * 64 + row % THIMBLE_TILE_ROWS * 4;
}

static void put_code(tiled *t, int64_t row, int64_t k, int32_t code) {
    uint8_t *word = element_address(t, row, k);
    if (t->bits == 8) {
        word[k % 4] = (uint8_t)code;
    } else {
        uint8_t *byte = word + k % 4;
        *byte = k % 8 < 4 ? (uint8_t)((*byte & 0xf0) | code) : (uint8_t)((*byte & 15) | code << 4);
    }
}

static uint16_t half_of(const thimble_kernels *scalar, float x) {
    uint16_t half;
    scalar->store_f16(&x, 1, &half);
    return half;
}

static void put_value(checks *c, tiled *t, int64_t row, int64_t k, float value) {
    uint8_t *word = element_address(t, row, k);
    if (t->bits == 32) {
        memcpy(word, &value, sizeof value);
    } else {
        uint16_t half = half_of(c->scalar, value);
        memcpy(word + k % 2 * 2, &half, sizeof half);
    }
}

static int32_t draw_code(checks *c, int32_t bits, elements drawn) {
    int32_t lowest = bits == 4 ? 0 : -128, highest = bits == 4 ? 15 : 127;
    if (drawn == elements_extreme) return random_below(c, 8) == 0 ? highest : lowest;
    return lowest + (int32_t)random_below(c, highest - lowest + 1);
}

static float draw_value(checks *c, elements drawn) {
    switch (drawn) {
        case elements_any: return random_float(c, 1);
        case elements_integers: return (float)(random_below(c, 17) - 8);
        case elements_extreme: return random_float(c, random_below(c, 2) ? 65504 : 1e-7f);
    }
    return 0;
}

void tiled_set_scale(tiled *t, int64_t row, int64_t k, uint16_t half) {
    int64_t groups = t->weights.padded_columns / t->weights.group;
    int64_t tile = row / THIMBLE_TILE_ROWS;
    t->scales[(tile * groups + k / t->weights.group) * THIMBLE_TILE_ROWS + row % THIMBLE_TILE_ROWS] = half;
}

tiled tiled_random(checks *c, int32_t bits, int64_t group, int64_t rows, int64_t columns, elements drawn) {
    int64_t whole = group ? group : THIMBLE_BLOCK, padded = (columns + whole - 1) / whole * whole;
    int64_t bytes = codes_bytes(bits, rows, padded);
    tiled t = {.bits = bits, .columns = columns, .codes = exactly(bytes)};
    for (int64_t i = 0; i < bytes; i++) ((uint8_t *)t.codes)[i] = (uint8_t)random_bits(c);
    t.weights = (thimble_weights){.codes = t.codes, .rows = rows, .padded_columns = padded, .group = group};
    int64_t all_rows = (rows + THIMBLE_TILE_ROWS - 1) / THIMBLE_TILE_ROWS * THIMBLE_TILE_ROWS;
    if (group) {
        t.scales = exactly(all_rows * (padded / group) * (int64_t)sizeof *t.scales);
        t.weights.scales = t.scales;
        for (int64_t row = 0; row < all_rows; row++) {
            for (int64_t k = 0; k < padded; k += group) {
                float scale = drawn == elements_any ? 0.015f + random_float(c, 0.005f) : 1;
                if (drawn == elements_any && random_below(c, 8) == 0) scale = -scale;
                tiled_set_scale(&t, row, k, row < rows ? half_of(c->scalar, scale) : half_nan);
            }
        }
    }
    for (int64_t row = 0; row < rows; row++) {
        for (int64_t k = 0; k < padded; k++) {
            if (bits <= 8) {
                put_code(&t, row, k, k < columns ? draw_code(c, bits, drawn) : bits == 4 ? 8 : 0);
            } else {
                put_value(c, &t, row, k, k < columns ? draw_value(c, drawn) : 0);
            }
        }
    }
    return t;
}

void tiled_free(tiled *t) {
    release(t->codes);
    release(t->scales);
}
