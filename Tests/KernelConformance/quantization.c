//! Quantization and float16, both to the bit.
#include "checks.h"

static const float poisons[] = {NAN, INFINITY, -INFINITY};

static void expect_same_quantization(checks *c, const float *x, int64_t count, int64_t padded) {
    int64_t blocks = padded / THIMBLE_BLOCK, bytes = (int64_t)sizeof(float) * blocks;
    int8_t *codes[2];
    float *scales[2];
    int32_t *sums[2];
    for (int i = 0; i < 2; i++) {
        codes[i] = memset(exactly(padded), 99, (size_t)padded);
        scales[i] = memset(exactly(bytes), 99, (size_t)bytes);
        sums[i] = memset(exactly(bytes), 99, (size_t)bytes);
        (i ? c->scalar : c->kernels)->quantize(x, count, padded, codes[i], scales[i], sums[i]);
    }
    if (memcmp(codes[0], codes[1], (size_t)padded) != 0) check_fail(c, "codes differ");
    if (memcmp(sums[0], sums[1], (size_t)bytes) != 0) check_fail(c, "sums differ");
    for (int64_t b = 0; b < blocks; b++) {
        int same = isnan(scales[1][b]) ? isnan(scales[0][b]) : scales[0][b] == scales[1][b];
        if (!same) check_fail(c, "block %d has the scale %.9g", (int)b, (double)scales[0][b]);
    }
    for (int i = 0; i < 2; i++) {
        release(codes[i]);
        release(scales[i]);
        release(sums[i]);
    }
}

static void check_float16(checks *c) {
    // Every float16 with what lies midway to the next, and just beside that.
    enum { halves = 0x7bff, each = 6 };
    float *x = exactly((halves + 1) * each * (int64_t)sizeof *x);
    const float ends[each] = {INFINITY, -INFINITY, 1e30f, -1e30f, NAN, 65520};
    int64_t count = 0;
    for (uint32_t bits = 0; bits < halves; bits++) {
        // The value of a float16 by its parts: normal numbers count 2^-10 of their power of two.
        uint32_t exponent = bits >> 10, fraction = bits & 0x3ff;
        float unit = ldexpf(1, (int)(exponent ? exponent : 1) - 25);
        float low = (float)(exponent ? fraction + 0x400 : fraction) * unit, middle = low + unit / 2;
        const float around[each] = {
            low, -low, middle, -middle, nextafterf(middle, 0), nextafterf(middle, 1e6f),
        };
        memcpy(x + count, around, sizeof around);
        count += each;
    }
    memcpy(x + count, ends, sizeof ends);
    count += each;
    for (int64_t part = 0; part < 20; part++) {
        int64_t length = part == 0 ? count : part;
        uint16_t *y = exactly((length + 1) * 2), *expected = exactly((length + 1) * 2);
        y[length] = expected[length] = 77;
        check_subject(c, "store_f16 of %d", (int)length);
        const float *from = x + (count - length);
        c->kernels->store_f16(from, length, y);
        c->scalar->store_f16(from, length, expected);
        for (int64_t i = 0; i <= length; i++) {
            int nan = i < length && isnan(from[i]);
            if (nan ? (y[i] & 0x7fff) > 0x7c00 : y[i] == expected[i]) continue;
            check_fail(c, "%.9g becomes %04x, not %04x", i < length ? (double)from[i] : 0, y[i], expected[i]);
            break;
        }
        release(y);
        release(expected);
    }
    release(x);
}

void check_quantization(checks *c) {
    static const float magnitudes[] = {1e-42f, 1e-38f, 1e-36f, 1e-30f, 1, 70000, 1e30f, 3e38f};
    static const int64_t counts[] = {1, 8, 31, 32, 33, 64, 65, 100, 129, 300};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        for (size_t m = 0; m < sizeof magnitudes / sizeof *magnitudes; m++) {
            int64_t count = counts[i], padded = (count + 31) / 32 * 32 + random_below(c, 3) * 32;
            float *x = random_floats(c, count, magnitudes[m]);
            check_subject(c, "quantize %d within %g", (int)count, (double)magnitudes[m]);
            expect_same_quantization(c, x, count, padded);
            for (size_t p = 0; p < 3; p++) {
                x[random_below(c, count)] = poisons[p];
                check_subject(c, "quantize %d with %g", (int)count, (double)poisons[p]);
                expect_same_quantization(c, x, count, padded);
            }
            release(x);
        }
    }
    // Halves of a step round to even.
    float ties[THIMBLE_BLOCK];
    for (int64_t i = 0; i < THIMBLE_BLOCK; i++) ties[i] = i == 0 ? 127 : (float)(i - 16) + 0.5f;
    check_subject(c, "quantize halves of a step");
    expect_same_quantization(c, ties, THIMBLE_BLOCK, THIMBLE_BLOCK);
    check_float16(c);
}
