//! Keys and values out of pages with AVX2: eight elements of a row as floats; and the rotation of int5.
#pragma once
#include "kv.h"
#include "avx2.h"
#if defined(__x86_64__)

TEMPLATE f32x8 load_int8(const uint8_t *codes) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)codes)));
}

// The eight int5 elements from `channel`, a multiple of 8, on.
TEMPLATE f32x8 load_int5(kv_row row, int64_t channel) {
    const uint8_t *low_bits = kv_low_bits(row, channel);
    int32_t packed;
    memcpy(&packed, low_bits, sizeof packed);
    const i32x8 shifts = _mm256_setr_epi32(0, 8, 16, 24, 4, 12, 20, 28);
    i32x8 low = _mm256_and_si256(_mm256_srlv_epi32(_mm256_set1_epi32(packed), shifts), _mm256_set1_epi32(15));
    // Every byte has the eight fifth bits, so that one of them comes to lie above the lane's low bits.
    i32x8 all = _mm256_set1_epi8((char)*kv_fifth_bits(row, channel));
    i32x8 fifth = _mm256_srlv_epi32(all, _mm256_setr_epi32(4, 5, 6, 7, 8, 9, 10, 11));
    i32x8 codes = _mm256_or_si256(low, _mm256_and_si256(fifth, _mm256_set1_epi32(16)));
    f32x8 c = _mm256_cvtepi32_ps(codes);
    f32x8 level = _mm256_fmadd_ps(c, _mm256_set1_ps(2), _mm256_set1_ps(-93));
    level = _mm256_mul_ps(c, _mm256_fmadd_ps(c, level, _mm256_set1_ps(3009)));
    return _mm256_fmadd_ps(level, _mm256_set1_ps(row.unit), _mm256_set1_ps(row.least));
}

// The elements from `channel`, a multiple of 8, on; of int8 only their codes. Where there are fewer than a
// vector, lanes from `count`, which is positive, on are zero, and their memory is not touched.
TEMPLATE f32x8 load_row(const thimble_kv_type type, kv_row row, int64_t channel, int64_t count) {
    if (type == THIMBLE_KV_F16) return load_part_of_halves((const uint16_t *)row.codes + channel, count);
    if (type == THIMBLE_KV_INT5) {
        f32x8 v = load_int5(row, channel);
        return count >= 8 ? v : _mm256_and_ps(v, _mm256_castsi256_ps(lanes_below(count)));
    }
    if (count >= 8) return load_int8(row.codes + channel);
    uint8_t part[8] = {0};
    memcpy(part, row.codes + channel, (size_t)count);
    return load_int8(part);
}

// What multiplies lanes that hold vectors of `rows` query rows key by key: each key's worth from `worth` on,
// which a vector's eight can be read from.
TEMPLATE f32x8 worth_of_lanes(const int64_t rows, const float *worth) {
    if (rows == 1) return _mm256_loadu_ps(worth);
    i32x8 key_of_lane = _mm256_srli_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), rows / 2);
    return _mm256_permutevar8x32_ps(_mm256_castps128_ps256(_mm_loadu_ps(worth)), key_of_lane);
}

// A step of kv_rotate within vectors: lanes whose partners `swapped` brings, the second of each two of which
// have the sign bit in `second`.
TEMPLATE f32x8 rotate_lanes(f32x8 v, f32x8 swapped, i32x8 second) {
    return _mm256_add_ps(swapped, _mm256_xor_ps(v, _mm256_castsi256_ps(second)));
}

// kv_rotate, to the bit.
static inline void rotate(float *x, int64_t count) {
    int64_t width = count & -count;
    if (width < 8) {
        kv_rotate(x, count);
        return;
    }
    const int32_t sign = INT32_MIN;
    const i32x8 second[3] = {
        _mm256_setr_epi32(0, sign, 0, sign, 0, sign, 0, sign),
        _mm256_setr_epi32(0, 0, sign, sign, 0, 0, sign, sign),
        _mm256_setr_epi32(0, 0, 0, 0, sign, sign, sign, sign),
    };
    f32x8 scale = _mm256_set1_ps(1 / sqrtf((float)width));
    for (int64_t i = 0; i < count; i += 8) {
        f32x8 v = _mm256_mul_ps(_mm256_loadu_ps(x + i), scale);
        v = rotate_lanes(v, _mm256_permute_ps(v, 0xb1), second[0]);
        v = rotate_lanes(v, _mm256_permute_ps(v, 0x4e), second[1]);
        v = rotate_lanes(v, _mm256_permute2f128_ps(v, v, 1), second[2]);
        _mm256_storeu_ps(x + i, v);
    }
    for (int64_t half = 8; half < width; half *= 2) {
        for (int64_t start = 0; start < count; start += 2 * half) {
            for (int64_t i = start; i < start + half; i += 8) {
                f32x8 a = _mm256_loadu_ps(x + i), b = _mm256_loadu_ps(x + i + half);
                _mm256_storeu_ps(x + i, _mm256_add_ps(a, b));
                _mm256_storeu_ps(x + i + half, _mm256_sub_ps(a, b));
            }
        }
    }
}

#endif
