//! Keys and values out of pages with AVX-512: 16 elements of a row as floats; and the rotation of int4.
#pragma once
#include "kv.h"
#include "avx512.h"
#if defined(__x86_64__)

// Sixteen int4 elements from `channel` on, the first of them real. Each lane of eight shifts its code down
// and picks its value from the 16 that the group knows.
TEMPLATE f32x16 load_int4(kv_row row, int64_t channel, __mmask16 real) {
    const i32x16 word_of_lane = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
    const i32x16 shifts = _mm512_setr_epi32(0, 8, 16, 24, 4, 12, 20, 28, 0, 8, 16, 24, 4, 12, 20, 28);
    const f32x16 codes = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    __mmask8 words = (__mmask8)(1 | (real >> 7 & 2));
    __m128i packed = _mm_maskz_loadu_epi32(words, row.codes + channel / 2);
    i32x16 of_lanes = _mm512_permutexvar_epi32(word_of_lane, _mm512_castsi128_si512(packed));
    i32x16 word = _mm512_set1_epi32((int32_t)row.scales[channel / THIMBLE_KV_GROUP]);
    f32x16 step = _mm512_castsi512_ps(_mm512_slli_epi32(word, 16));
    f32x16 least = _mm512_castsi512_ps(_mm512_and_si512(word, _mm512_set1_epi32((int32_t)0xffff0000)));
    f32x16 values = _mm512_fmadd_ps(codes, step, least);
    return _mm512_maskz_permutexvar_ps(real, _mm512_srlv_epi32(of_lanes, shifts), values);
}

// The elements from `channel`, a multiple of 16, on; of int8 only their codes. Lanes that are not `real` are
// zero, and their memory is not touched; the first is.
TEMPLATE f32x16 load_row(const thimble_kv_type type, kv_row row, int64_t channel, __mmask16 real) {
    if (type == THIMBLE_KV_F16) return load_halves((const uint16_t *)row.codes + channel, real);
    if (type == THIMBLE_KV_INT4) return load_int4(row, channel, real);
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
