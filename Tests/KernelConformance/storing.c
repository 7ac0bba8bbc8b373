//! Keys and values as they are stored: every variant's bits, and how far they are from what was given.
#include "pages.h"

static const int64_t sizes[] = {1,  2,  7,  8,  15, 16, 24,  31,  32,  33,
                                40, 64, 72, 80, 96, 100, 128, 160, 255, 256};
static const thimble_kv_type types[] = {THIMBLE_KV_INT8, THIMBLE_KV_INT5};

// The variant and the definition store the same bits, in all of a row's words.
static void expect_same_row(checks *c, thimble_kv_type type, const float *x, int64_t count) {
    int64_t bytes[2] = {thimble_kv_code_bytes(type, count), thimble_kv_scale_bytes(type)};
    uint8_t *stored[2][2];
    for (int i = 0; i < 2; i++) {
        for (int part = 0; part < 2; part++) {
            stored[i][part] = memset(exactly(bytes[part]), 99, (size_t)bytes[part]);
        }
        kv_store(i ? c->scalar : c->kernels, type, x, count, stored[i][0], stored[i][1]);
    }
    if (memcmp(stored[0][0], stored[1][0], (size_t)bytes[0]) != 0) check_fail(c, "codes differ");
    for (int64_t at = 0; at < bytes[1]; at += 4) {
        float scale[2];
        for (int i = 0; i < 2; i++) memcpy(&scale[i], stored[i][1] + at, sizeof scale[i]);
        int same = type == THIMBLE_KV_INT8 && isnan(scale[1]) ? isnan(scale[0])
                                                              : memcmp(&scale[0], &scale[1], 4) == 0;
        if (!same) check_fail(c, "scales differ at %d", (int)at);
    }
    for (int i = 0; i < 4; i++) release(stored[i / 2][i % 2]);
}

// How far elements of a row, as they are stored, may be from x: half a step, or half of what lies between two
// levels of int5, which is 1.425 steps at most. bfloat16 moves an end of the row by 2^-9 of itself, and 31
// steps by as much of them.
static double error_bound(thimble_kv_type type, const double *x, int64_t count) {
    double least = x[0], most = x[0];
    for (int64_t i = 0; i < count; i++) {
        if (x[i] < least) least = x[i];
        if (x[i] > most) most = x[i];
    }
    double largest = most > -least ? most : -least;
    double step = type == THIMBLE_KV_INT8 ? largest / 127 : (most - least) / 31 * 1.425;
    double ends = type == THIMBLE_KV_INT8 ? 0 : (largest + most - least) * 0x1p-8;
    // Steps below 2^-120 are zero.
    return step * 0.501 + ends + 0x1p-115;
}

// What is stored of a row, beside what should be.
static void check_error(checks *c, thimble_kv_type type, const float *x, int64_t count) {
    pages p = pages_shuffled(c, type, 1, count, 1, 1);
    pages_store(c, &p, 0, 0, 0, x);
    double wanted[THIMBLE_MAX_HEAD_SIZE], read[THIMBLE_MAX_HEAD_SIZE];
    double stored_wanted[THIMBLE_MAX_HEAD_SIZE], stored[THIMBLE_MAX_HEAD_SIZE];
    for (int64_t i = 0; i < count; i++) wanted[i] = (double)x[i];
    pages_read(&p, 0, 0, 0, read);
    memcpy(stored_wanted, wanted, sizeof wanted);
    memcpy(stored, read, sizeof read);
    if (type == THIMBLE_KV_INT5) {
        hadamard_transform(wanted, count, stored_wanted);
        hadamard_transform(read, count, stored);
    }
    double sums = 0;  // what float32 makes of the sums of a rotation
    for (int64_t i = 0; i < count; i++) sums = fmax(sums, fabs(wanted[i]) * 0x1p-19);
    double bound = error_bound(type, stored_wanted, count) + sums;
    for (int64_t i = 0; i < count; i++) {
        double error = fabs(stored[i] - stored_wanted[i]);
        if (error <= bound) continue;
        check_fail(c, "element %d is %g off, more than %g", (int)i, error, bound);
        break;
    }
    pages_free(&p);
}

// One NaN makes NaN of all that shares its scale, and infinity saturates.
static void check_extremes(checks *c, thimble_kv_type type, float *x, int64_t count) {
    int64_t at = random_below(c, count);
    float kept = x[at];
    const float ends[] = {NAN, INFINITY, -INFINITY, 3e38f};
    for (size_t e = 0; e < sizeof ends / sizeof *ends; e++) {
        x[at] = ends[e];
        check_subject(c, "store_%s of %d with %g", kv_type_name(type), (int)count, (double)ends[e]);
        expect_same_row(c, type, x, count);
        pages p = pages_shuffled(c, type, 1, count, 1, 1);
        pages_store(c, &p, 0, 0, 0, x);
        double read[THIMBLE_MAX_HEAD_SIZE];
        pages_read(&p, 0, 0, 0, read);
        double limit = (double)THIMBLE_KV_LIMIT, wanted = ends[e] < 0 ? -limit : limit;
        int right = isnan(ends[e]) ? isnan(read[at]) != 0 : fabs(read[at] - wanted) <= limit / 4;
        if (!right) check_fail(c, "it reads as %g", read[at]);
        for (int64_t i = 0; i < count; i++) {
            if (isnan(ends[e]) && !isnan(read[i])) check_fail(c, "element %d is a number", (int)i);
            if (!isnan(ends[e]) && !isfinite(read[i])) check_fail(c, "element %d is none", (int)i);
        }
        pages_free(&p);
    }
    x[at] = kept;
}

static void check_row(checks *c, thimble_kv_type type, int64_t count, float magnitude) {
    float *x = random_floats(c, count, magnitude);
    check_subject(c, "store_%s of %d within %g", kv_type_name(type), (int)count, (double)magnitude);
    expect_same_row(c, type, x, count);
    check_error(c, type, x, count);
    check_extremes(c, type, x, count);
    release(x);
}

// Rows of one value, and rows too small for a step.
static void check_level(checks *c, thimble_kv_type type, int64_t count, float value) {
    float x[THIMBLE_MAX_HEAD_SIZE];
    for (int64_t i = 0; i < count; i++) x[i] = value;
    check_subject(c, "store_%s of %d times %g", kv_type_name(type), (int)count, (double)value);
    expect_same_row(c, type, x, count);
    check_error(c, type, x, count);
}

// Rows whose words are known. An odd count is not rotated.
static void check_words(checks *c) {
    static const int levels[] = {0, 2918, 5662, 8244, 10676, 12970, 15138, 17192, 63488};
    float x[9];
    for (int i = 0; i < 9; i++) x[i] = (float)levels[i] / 2048 - 1;
    uint32_t *codes = exactly(12), word;
    check_subject(c, "store_int5 of nine known numbers");
    c->kernels->store_int5(x, 9, codes, &word);
    if (codes[0] != 0x100 || codes[1] != 0x73625140 || codes[2] != 0x0f || word != 0xbf803f80) {
        check_fail(c, "it gives %08x %08x %08x and %08x", codes[0], codes[1], codes[2], word);
    }
    release(codes);
    static const float y[] = {-63.5f, 0, 1, 10.3f, 63.5f};
    static const int8_t expected[] = {-127, 0, 2, 21, 127, 0, 0, 0};
    int8_t *bytes = exactly(8);
    float scale;
    check_subject(c, "store_int8 of five known numbers");
    c->kernels->store_int8(y, 5, bytes, &scale);
    if (memcmp(bytes, expected, 8) != 0 || scale != 0.5f) check_fail(c, "it gives others");
    release(bytes);
}

void check_storing(checks *c) {
    check_words(c);
    static const float magnitudes[] = {1e-30f, 1e-3f, 1, 7e4f, 1e9f};
    static const float levels[] = {0, -0.0f, 1, -3, 1e-42f};
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            for (size_t m = 0; m < sizeof magnitudes / sizeof *magnitudes; m++) {
                check_row(c, types[t], sizes[i], magnitudes[m]);
            }
            for (size_t l = 0; l < sizeof levels / sizeof *levels; l++) {
                check_level(c, types[t], sizes[i], levels[l]);
            }
        }
    }
    // Halves of a step round to even.
    float ties[64];
    for (int64_t i = 0; i < 64; i++) ties[i] = i == 0 ? 127 : (float)(i - 16) + 0.5f;
    check_subject(c, "store_int8 of halves of a step");
    expect_same_row(c, THIMBLE_KV_INT8, ties, 64);
}
