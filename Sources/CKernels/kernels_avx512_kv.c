//! Keys and values into pages with AVX-512, as int8 and int5.
#include "avx512_kv.h"
#if defined(__x86_64__)

// x within +-THIMBLE_KV_LIMIT. The bound is the first operand: the instructions return the second where
// either is NaN.
TEMPLATE f32x16 bounded(f32x16 x) {
    const f32x16 limit = _mm512_set1_ps(THIMBLE_KV_LIMIT), lowest = _mm512_set1_ps(-THIMBLE_KV_LIMIT);
    return _mm512_max_ps(lowest, _mm512_min_ps(limit, x));
}

void thimble_avx512_store_int8(const float *x, int64_t count, int8_t *codes, float *scale) {
    f32x16 magnitudes = _mm512_setzero_ps();
    __mmask16 is_nan = 0;
    for (int64_t i = 0; i < count; i += 16) {
        f32x16 v = load_part(x + i, count - i);
        is_nan |= _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
        magnitudes = _mm512_max_ps(_mm512_abs_ps(bounded(v)), magnitudes);
    }
    float largest = _mm512_reduce_max_ps(magnitudes);
    int zero = is_nan || largest < QUANTIZE_SMALLEST;
    f32x16 inverse = _mm512_set1_ps(zero ? 0 : 127 / largest);
    int64_t bytes = thimble_kv_code_bytes(THIMBLE_KV_INT8, count);
    for (int64_t i = 0; i < count; i += 16) {
        i32x16 rounded = _mm512_cvtps_epi32(_mm512_mul_ps(bounded(load_part(x + i, count - i)), inverse));
        if (zero) rounded = _mm512_setzero_si512();
        _mm_mask_storeu_epi8(codes + i, lanes_below(bytes - i), _mm512_cvtepi32_epi8(rounded));
    }
    *scale = is_nan ? NAN : zero ? 0 : largest / 127;
}

// The low bits of the codes of the elements that are `real` into one word or two; returns the fifth bits.
TEMPLATE uint32_t store_codes(f32x16 x, __mmask16 real, f32x16 least, f32x16 inverse, uint32_t *words) {
    f32x16 level = _mm512_mul_ps(_mm512_sub_ps(x, least), inverse), found = _mm512_setzero_ps();
    f32x16 t = _mm512_mul_ps(level, _mm512_set1_ps(2048));
    // As kv_code does.
    for (float bit = 16; bit >= 1; bit /= 2) {
        f32x16 c = _mm512_add_ps(found, _mm512_set1_ps(bit));
        f32x16 bound = _mm512_fmadd_ps(c, _mm512_set1_ps(2), _mm512_set1_ps(-96));
        bound = _mm512_fmadd_ps(c, bound, _mm512_set1_ps(3105));
        bound = _mm512_fmadd_ps(c, bound, _mm512_set1_ps(-1552));
        found = _mm512_mask_mov_ps(found, _mm512_cmp_ps_mask(t, bound, _CMP_GE_OQ), c);
    }
    i32x16 codes = _mm512_maskz_cvtps_epi32(real, found);
    __m128i bytes = _mm512_cvtepi32_epi8(_mm512_and_si512(codes, _mm512_set1_epi32(15)));
    // Of each eight, the last four move into the first four's high halves.
    __m128i joined = _mm_or_si128(bytes, _mm_srli_epi64(bytes, 28));
    _mm_mask_storeu_epi32(words, (__mmask8)(1 | (real >> 7 & 2)), _mm_shuffle_epi32(joined, 0x08));
    return _mm512_test_epi32_mask(codes, _mm512_set1_epi32(16));
}

void thimble_avx512_store_int5(const float *x, int64_t count, uint32_t *codes, uint32_t *word) {
    float rotated[THIMBLE_MAX_HEAD_SIZE];
    for (int64_t i = 0; i < count; i += 16) {
        _mm512_storeu_ps(rotated + i, bounded(load_part(x + i, count - i)));
    }
    rotate(rotated, count);
    // Lanes beyond the row repeat its first.
    f32x16 first = _mm512_set1_ps(rotated[0]), least = first, most = first;
    __mmask16 is_nan = 0;
    for (int64_t i = 0; i < count; i += 16) {
        f32x16 v = _mm512_mask_loadu_ps(first, lanes_below(count - i), rotated + i);
        is_nan |= _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
        least = _mm512_min_ps(least, v);
        most = _mm512_max_ps(most, v);
    }
    *word = is_nan ? KV_WORD_NAN : kv_word(_mm512_reduce_min_ps(least), _mm512_reduce_max_ps(most));
    if (is_nan) {
        memset(codes, 0, (size_t)thimble_kv_code_bytes(THIMBLE_KV_INT5, count));
        return;
    }
    float step = kv_step(*word);
    f32x16 start = _mm512_set1_ps(kv_least(*word)), inverse = _mm512_set1_ps(step == 0 ? 0 : 1 / step);
    for (int64_t i = 0; i < count; i += 16) {
        uint32_t *block = codes + i / THIMBLE_KV_BLOCK * (THIMBLE_KV_BLOCK_BYTES / 4);
        int64_t within = i % THIMBLE_KV_BLOCK;
        __mmask16 real = lanes_below(count - i);
        uint32_t fifth = store_codes(
            _mm512_maskz_loadu_ps(real, rotated + i), real, start, inverse, block + 1 + within / 8);
        block[0] = within == 0 ? fifth : block[0] | fifth << within;
    }
}

AVX512_END
#endif
