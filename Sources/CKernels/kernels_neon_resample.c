//! Image resampling with NEON: bytes widen to 16 bits, and a weight multiplies a vector of them.
#include "neon.h"
#if defined(__aarch64__)

enum { step_taps = 4, step_bytes = 16 };  // pixels of a step, and the bytes that it loads for them

// The bytes nearest to sums that started at one half.
TEMPLATE uint8x8_t bytes_from_sums(int32x4_t low, int32x4_t high, int32x4_t shift) {
    int16x4_t a = vqmovn_s32(vshlq_s32(low, shift)), b = vqmovn_s32(vshlq_s32(high, shift));
    return vqmovun_s16(vcombine_s16(a, b));
}

void thimble_neon_resample_row(const thimble_taps *taps, const uint8_t *row, uint8_t *out) {
    // Red, green, blue and nothing of two pixels; an index beyond the table gives zero.
    static const uint8_t first_two[16] = {0, 99, 1, 99, 2, 99, 99, 99, 3, 99, 4, 99, 5, 99, 99, 99};
    static const uint8_t last_two[16] = {6, 99, 7, 99, 8, 99, 99, 99, 9, 99, 10, 99, 11, 99, 99, 99};
    const uint8x16_t order0 = vld1q_u8(first_two), order2 = vld1q_u8(last_two);
    const int32x4_t half = vdupq_n_s32(1 << (taps->precision - 1)), shift = vdupq_n_s32(-taps->precision);
    const uint8_t *end = row + taps->inputs * 3;
    for (int64_t i = 0; i < taps->outputs; i++) {
        const int16_t *weights = taps->weights + i * taps->capacity;
        const uint8_t *pixels = row + (int64_t)taps->starts[i] * 3;
        int32x4_t sums = half;
        for (int64_t tap = 0; tap < taps->counts[i]; tap += step_taps, pixels += step_taps * 3) {
            uint8x16_t bytes;
            if (end - pixels >= step_bytes) {
                bytes = vld1q_u8(pixels);
            } else {
                uint8_t last[step_bytes] = {0};
                memcpy(last, pixels, (size_t)(end - pixels));
                bytes = vld1q_u8(last);
            }
            int16x4_t four = vld1_s16(weights + tap);
            int16x8_t pair0 = vreinterpretq_s16_u8(vqtbl1q_u8(bytes, order0));
            int16x8_t pair2 = vreinterpretq_s16_u8(vqtbl1q_u8(bytes, order2));
            sums = vmlal_lane_s16(sums, vget_low_s16(pair0), four, 0);
            sums = vmlal_lane_s16(sums, vget_high_s16(pair0), four, 1);
            sums = vmlal_lane_s16(sums, vget_low_s16(pair2), four, 2);
            sums = vmlal_lane_s16(sums, vget_high_s16(pair2), four, 3);
        }
        uint8_t pixel[8];
        vst1_u8(pixel, bytes_from_sums(sums, sums, shift));
        memcpy(out + i * 3, pixel, 3);
    }
}

// Sixteen bytes of each row.
TEMPLATE uint8x16_t blend_sixteen(const uint8_t *const rows[], int64_t at, const int16_t *weights,
                                  int64_t count, int32_t precision) {
    const int32x4_t shift = vdupq_n_s32(-precision);
    int32x4_t sums[4];
    for (int64_t i = 0; i < 4; i++) sums[i] = vdupq_n_s32(1 << (precision - 1));
    for (int64_t row = 0; row < count; row++) {
        uint8x16_t bytes = vld1q_u8(rows[row] + at);
        int16x8_t low = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(bytes)));
        int16x8_t high = vreinterpretq_s16_u16(vmovl_u8(vget_high_u8(bytes)));
        sums[0] = vmlal_n_s16(sums[0], vget_low_s16(low), weights[row]);
        sums[1] = vmlal_n_s16(sums[1], vget_high_s16(low), weights[row]);
        sums[2] = vmlal_n_s16(sums[2], vget_low_s16(high), weights[row]);
        sums[3] = vmlal_n_s16(sums[3], vget_high_s16(high), weights[row]);
    }
    return vcombine_u8(bytes_from_sums(sums[0], sums[1], shift), bytes_from_sums(sums[2], sums[3], shift));
}

void thimble_neon_blend_rows(const uint8_t *const rows[], const int16_t *weights, int64_t count,
                             int32_t precision, int64_t length, uint8_t *out) {
    int64_t at = 0;
    for (; at + 16 <= length; at += 16) {
        vst1q_u8(out + at, blend_sixteen(rows, at, weights, count, precision));
    }
    for (; at < length; at++) {
        int32_t sum = 1 << (precision - 1);
        for (int64_t row = 0; row < count; row++) sum += weights[row] * rows[row][at];
        sum >>= precision;
        out[at] = (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
    }
}

#endif
