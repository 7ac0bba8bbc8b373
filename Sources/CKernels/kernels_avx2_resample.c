//! Image resampling with AVX2: bytes widen to 16 bits, and pairs of them meet pairs of weights.
#include "avx2.h"
#if defined(__x86_64__)

enum { step_taps = 4, step_bytes = 16 };  // pixels of a step, and the bytes that it loads for them

// Two pixels (low half) and two more (high half) with two weights each: lanes are red, green, blue, none.
TEMPLATE i32x8 add_four_pixels(i32x8 sums, __m128i bytes, const int16_t *weights) {
    const i32x8 channels = _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1,  //
                                            6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
    const i32x8 pairs = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
    int64_t four;
    memcpy(&four, weights, sizeof four);
    i32x8 factors = _mm256_permutevar8x32_epi32(_mm256_set1_epi64x(four), pairs);
    i32x8 pixels = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(bytes), channels);
    return _mm256_add_epi32(sums, _mm256_madd_epi16(pixels, factors));
}

void thimble_avx2_resample_row(const thimble_taps *taps, const uint8_t *row, uint8_t *out) {
    const i32x8 half = _mm256_zextsi128_si256(_mm_set1_epi32(1 << (taps->precision - 1)));
    const __m128i shift = _mm_cvtsi32_si128(taps->precision);
    const uint8_t *end = row + taps->inputs * 3;
    for (int64_t i = 0; i < taps->outputs; i++) {
        const int16_t *weights = taps->weights + i * taps->capacity;
        const uint8_t *pixels = row + (int64_t)taps->starts[i] * 3;
        i32x8 sums = half;
        for (int64_t tap = 0; tap < taps->counts[i]; tap += step_taps, pixels += step_taps * 3) {
            __m128i bytes;
            if (end - pixels >= step_bytes) {
                bytes = _mm_loadu_si128((const __m128i *)pixels);
            } else {
                uint8_t last[step_bytes] = {0};
                memcpy(last, pixels, (size_t)(end - pixels));
                bytes = _mm_loadu_si128((const __m128i *)last);
            }
            sums = add_four_pixels(sums, bytes, weights + tap);
        }
        __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
        sum = _mm_sra_epi32(sum, shift);
        sum = _mm_packus_epi16(_mm_packs_epi32(sum, sum), sum);
        int32_t pixel = _mm_cvtsi128_si32(sum);
        memcpy(out + i * 3, &pixel, 3);
    }
}

// Sums of 32 bytes of each row; the order of lanes is that in which packing twice puts them right.
TEMPLATE void add_two_rows(i32x8 sums[4], i32x8 first, i32x8 second, i32x8 factors) {
    const i32x8 zero = _mm256_setzero_si256();
    i32x8 low = _mm256_unpacklo_epi8(first, second), high = _mm256_unpackhi_epi8(first, second);
    sums[0] = _mm256_add_epi32(sums[0], _mm256_madd_epi16(_mm256_unpacklo_epi8(low, zero), factors));
    sums[1] = _mm256_add_epi32(sums[1], _mm256_madd_epi16(_mm256_unpackhi_epi8(low, zero), factors));
    sums[2] = _mm256_add_epi32(sums[2], _mm256_madd_epi16(_mm256_unpacklo_epi8(high, zero), factors));
    sums[3] = _mm256_add_epi32(sums[3], _mm256_madd_epi16(_mm256_unpackhi_epi8(high, zero), factors));
}

// Two neighbouring weights in each lane.
TEMPLATE i32x8 weight_pair(int16_t first, int16_t second) {
    return _mm256_set1_epi32((int32_t)((uint32_t)(uint16_t)second << 16 | (uint16_t)first));
}

void thimble_avx2_blend_rows(const uint8_t *const rows[], const int16_t *weights, int64_t count,
                             int32_t precision, int64_t length, uint8_t *out) {
    const __m128i shift = _mm_cvtsi32_si128(precision);
    int64_t at = 0;
    for (; at + 32 <= length; at += 32) {
        i32x8 sums[4];
        for (int64_t i = 0; i < 4; i++) sums[i] = _mm256_set1_epi32(1 << (precision - 1));
        for (int64_t row = 0; row < count; row += 2) {
            int64_t second = row + 1 < count ? row + 1 : row;
            i32x8 factors = weight_pair(weights[row], second > row ? weights[second] : 0);
            add_two_rows(sums, _mm256_loadu_si256((const i32x8 *)(rows[row] + at)),
                         _mm256_loadu_si256((const i32x8 *)(rows[second] + at)), factors);
        }
        for (int64_t i = 0; i < 4; i++) sums[i] = _mm256_sra_epi32(sums[i], shift);
        i32x8 bytes = _mm256_packus_epi16(_mm256_packs_epi32(sums[0], sums[1]),
                                          _mm256_packs_epi32(sums[2], sums[3]));
        _mm256_storeu_si256((i32x8 *)(out + at), bytes);
    }
    for (; at < length; at++) {
        int32_t sum = 1 << (precision - 1);
        for (int64_t row = 0; row < count; row++) sum += weights[row] * rows[row][at];
        sum >>= precision;
        out[at] = (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
    }
}

AVX2_END
#endif
