//! Image resampling: integers, so that every variant gives the definition's bytes.
#include "checks.h"

// An output between margins that must keep what they hold.
typedef struct {
    uint8_t *memory;
    int64_t length;
} byte_output;

enum { byte_margin = 64, untouched_byte = 0xa5 };

static byte_output byte_output_of(int64_t length) {
    byte_output out = {.memory = exactly(length + 2 * byte_margin), .length = length};
    memset(out.memory, untouched_byte, (size_t)(length + 2 * byte_margin));
    return out;
}

static void expect_same_bytes(checks *c, const byte_output *y, const byte_output *expected) {
    for (int64_t i = 0; i < y->length + 2 * byte_margin; i++) {
        if (y->memory[i] == expected->memory[i]) continue;
        check_fail(c, "[%d] of %d is %d, defined as %d", (int)(i - byte_margin), (int)y->length,
                   y->memory[i], expected->memory[i]);
        return;
    }
}

// Bytes anywhere, or at their ends only.
static uint8_t *random_bytes(checks *c, int64_t count, int ends) {
    uint8_t *bytes = exactly(count);
    for (int64_t i = 0; i < count; i++) bytes[i] = (uint8_t)random_below(c, 256);
    for (int64_t i = 0; i < count && ends; i++) bytes[i] = bytes[i] < 128 ? 0 : 255;
    return bytes;
}

// Weights of either sign; `extreme` ones are as large as the contract has them: magnitudes up to 2^15 whose
// sum stays below 2^23.
static void fill_weights(checks *c, int16_t *weights, int64_t count, int extreme) {
    for (int64_t i = 0; i < count; i++) {
        int64_t ends = random_below(c, 2) ? INT16_MAX : INT16_MIN;
        weights[i] = (int16_t)(extreme ? ends : random_below(c, 12000) - 4000);
    }
}

static void check_row(checks *c, int64_t inputs, int64_t outputs, int64_t most_taps, int extreme) {
    int64_t capacity = (most_taps + 3) / 4 * 4;
    int32_t *starts = exactly(outputs * (int64_t)sizeof *starts);
    int32_t *counts = exactly(outputs * (int64_t)sizeof *counts);
    int16_t *weights = exactly(outputs * capacity * (int64_t)sizeof *weights);
    memset(weights, 0, (size_t)(outputs * capacity) * sizeof *weights);
    for (int64_t i = 0; i < outputs; i++) {
        counts[i] = (int32_t)(1 + random_below(c, most_taps < inputs ? most_taps : inputs));
        // The last output ends where the row does: nothing beyond it may be read.
        int64_t last_start = inputs - counts[i];
        starts[i] = (int32_t)(i == outputs - 1 ? last_start : random_below(c, last_start + 1));
        fill_weights(c, weights + i * capacity, counts[i], extreme);
    }
    thimble_taps taps = {starts, counts, weights, inputs, outputs, capacity, extreme ? 22 : 14};
    check_subject(c, "resample_row from %d to %d, up to %d taps", (int)inputs, (int)outputs, (int)most_taps);
    uint8_t *row = random_bytes(c, inputs * 3, extreme);
    byte_output y = byte_output_of(outputs * 3), expected = byte_output_of(outputs * 3);
    c->kernels->resample_row(&taps, row, y.memory + byte_margin);
    c->scalar->resample_row(&taps, row, expected.memory + byte_margin);
    expect_same_bytes(c, &y, &expected);
    release(y.memory);
    release(expected.memory);
    release(row);
    release(weights);
    release(counts);
    release(starts);
}

static void check_blend(checks *c, int64_t count, int64_t length, int extreme) {
    check_subject(c, "blend_rows of %d rows of %d", (int)count, (int)length);
    uint8_t **rows = exactly(count * (int64_t)sizeof *rows);
    for (int64_t i = 0; i < count; i++) rows[i] = random_bytes(c, length, extreme);
    int16_t *weights = exactly(count * (int64_t)sizeof *weights);
    fill_weights(c, weights, count, extreme);
    int32_t precision = extreme ? 22 : 14;
    byte_output y = byte_output_of(length), expected = byte_output_of(length);
    const uint8_t *const *lent = (const uint8_t *const *)rows;
    c->kernels->blend_rows(lent, weights, count, precision, length, y.memory + byte_margin);
    c->scalar->blend_rows(lent, weights, count, precision, length, expected.memory + byte_margin);
    expect_same_bytes(c, &y, &expected);
    release(y.memory);
    release(expected.memory);
    for (int64_t i = 0; i < count; i++) release(rows[i]);
    release(rows);
    release(weights);
}

void check_resampling(checks *c) {
    static const int64_t lengths[] = {1, 2, 4, 5, 6, 15, 16, 17, 31, 32, 33, 64, 95, 200};
    static const int64_t taps[] = {1, 2, 3, 4, 5, 8, 9, 13, 255};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        for (size_t t = 0; t < sizeof taps / sizeof *taps; t++) {
            for (int extreme = 0; extreme < 2; extreme++) {
                check_row(c, lengths[i], 1 + random_below(c, 60), taps[t], extreme);
                check_blend(c, taps[t], lengths[i], extreme);
            }
        }
    }
}
