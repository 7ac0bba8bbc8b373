//! Keys and values out of pages with AVX-512: 16 elements of a row as floats; and the rotation of int5.
#pragma once
#include "kv.h"
#include "avx512.h"
#if defined(__x86_64__)

// Sixteen int5 elements from `channel` on, the first of them real. Each lane of eight shifts its code down
// and picks its value from those that the row knows: the 16 of codes without a fifth bit, or the others.
TEMPLATE f32x16 load_int5(kv_row row, int64_t channel, __mmask16 real) {
    const i32x16 word_of_lane = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
    const i32x16 shifts = _mm512_setr_epi32(0, 8, 16, 24, 4, 12, 20, 28, 0, 8, 16, 24, 4, 12, 20, 28);
    // Levels over 8192, without the fifth bit and with it.
    const f32x16 lower = _mm512_setr_ps(0, 11672, 22648, 32976, 42704, 51880, 60552, 68768, //
                                        76576, 84024, 91160, 98032, 104688, 111176, 117544, 123840);
    const f32x16 upper = _mm512_setr_ps(130112, 136408, 142776, 149264, 155920, 162792, 169928, 177376, //
                                        185184, 193400, 202072, 211248, 220976, 231304, 242280, 253952);
    __mmask8 words = (__mmask8)(1 | (real >> 7 & 2));
    __m128i packed = _mm_maskz_loadu_epi32(words, kv_low_bits(row, channel));
    i32x16 of_lanes = _mm512_permutexvar_epi32(word_of_lane, _mm512_castsi128_si512(packed));
    i32x16 low = _mm512_srlv_epi32(of_lanes, shifts);
    f32x16 step = _mm512_set1_ps(kv_step(*row.scales) / 8192), least = _mm512_set1_ps(kv_least(*row.scales));
    f32x16 without = _mm512_fmadd_ps(lower, step, least), with = _mm512_fmadd_ps(upper, step, least);
    __mmask16 fifth = (__mmask16)kv_fifth_bits(row, channel);
    f32x16 v = _mm512_maskz_permutexvar_ps(real, low, without);
    return _mm512_mask_permutexvar_ps(v, real & fifth, low, with);
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
