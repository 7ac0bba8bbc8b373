//! Keys and values out of pages with AVX-512: 16 elements of a row as floats; and the rotation of int5.
#pragma once
#include "kv.h"
#include "avx512.h"
#if defined(__x86_64__)

// Sixteen int5 elements from `channel` on, the first of them real. Each lane of eight shifts its code down
// and picks its level: of the 16 of codes without a fifth bit, or of the others.
TEMPLATE f32x16 load_int5(kv_row row, int64_t channel, __mmask16 real) {
    const i32x16 word_of_lane = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
    const i32x16 shifts = _mm512_setr_epi32(0, 8, 16, 24, 4, 12, 20, 28, 0, 8, 16, 24, 4, 12, 20, 28);
    // Levels over 2048, without the fifth bit and with it.
    const f32x16 lower = _mm512_setr_ps(0, 2918, 5662, 8244, 10676, 12970, 15138, 17192, //
                                        19144, 21006, 22790, 24508, 26172, 27794, 29386, 30960);
    const f32x16 upper = _mm512_setr_ps(32528, 34102, 35694, 37316, 38980, 40698, 42482, 44344, //
                                        46296, 48350, 50518, 52812, 55244, 57826, 60570, 63488);
    __mmask8 words = (__mmask8)(1 | (real >> 7 & 2));
    __m128i packed = _mm_maskz_loadu_epi32(words, kv_low_bits(row, channel));
    i32x16 of_lanes = _mm512_permutexvar_epi32(word_of_lane, _mm512_castsi128_si512(packed));
    i32x16 low = _mm512_srlv_epi32(of_lanes, shifts);
    uint16_t fifth;  // there is a word of them
    memcpy(&fifth, kv_fifth_bits(row, channel), sizeof fifth);
    f32x16 level = _mm512_mask_permutexvar_ps(_mm512_permutexvar_ps(low, lower), fifth, low, upper);
    return _mm512_maskz_fmadd_ps(real, level, _mm512_set1_ps(row.unit), _mm512_set1_ps(row.least));
}

// The elements from `channel`, a multiple of 16, on; of int8 only their codes. Lanes that are not `real` are
// zero, and their memory is not touched; the first is.
TEMPLATE f32x16 load_row(const thimble_kv_type type, kv_row row, int64_t channel, __mmask16 real) {
    if (type == THIMBLE_KV_F16) return load_halves((const uint16_t *)row.codes + channel, real);
    if (type == THIMBLE_KV_INT5) return load_int5(row, channel, real);
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(real, row.codes + channel)));
}

// A step of kv_rotate within vectors: lanes `half` apart, whose partners `swapped` brings.
TEMPLATE f32x16 rotate_lanes(f32x16 v, f32x16 swapped, const int32_t half) {
    const i32x16 lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    __mmask16 second = _mm512_test_epi32_mask(lane, _mm512_set1_epi32(half));
    return _mm512_mask_sub_ps(_mm512_add_ps(v, swapped), second, swapped, v);
}

// kv_rotate, to the bit.
static inline void rotate(float *x, int64_t count) {
    int64_t width = count & -count;
    if (width < 16) {
        kv_rotate(x, count);
        return;
    }
    f32x16 scale = _mm512_set1_ps(1 / sqrtf((float)width));
    for (int64_t i = 0; i < count; i += 16) {
        f32x16 v = _mm512_mul_ps(_mm512_loadu_ps(x + i), scale);
        v = rotate_lanes(v, _mm512_permute_ps(v, 0xb1), 1);
        v = rotate_lanes(v, _mm512_permute_ps(v, 0x4e), 2);
        v = rotate_lanes(v, _mm512_shuffle_f32x4(v, v, 0xb1), 4);
        v = rotate_lanes(v, _mm512_shuffle_f32x4(v, v, 0x4e), 8);
        _mm512_storeu_ps(x + i, v);
    }
    for (int64_t half = 16; half < width; half *= 2) {
        for (int64_t start = 0; start < count; start += 2 * half) {
            for (int64_t i = start; i < start + half; i += 16) {
                f32x16 a = _mm512_loadu_ps(x + i), b = _mm512_loadu_ps(x + i + half);
                _mm512_storeu_ps(x + i, _mm512_add_ps(a, b));
                _mm512_storeu_ps(x + i + half, _mm512_sub_ps(a, b));
            }
        }
    }
}

#endif
