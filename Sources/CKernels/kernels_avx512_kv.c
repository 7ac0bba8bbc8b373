//! Keys and values into pages with AVX-512, as int8 and int4.
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

// Codes of the elements that are `real` into one word or two.
TEMPLATE void store_codes(f32x16 x, __mmask16 real, f32x16 least, f32x16 inverse, uint32_t *codes) {
    i32x16 rounded = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_sub_ps(x, least), inverse));
    rounded = _mm512_max_epi32(_mm512_setzero_si512(), _mm512_min_epi32(_mm512_set1_epi32(15), rounded));
    __m128i bytes = _mm512_cvtepi32_epi8(_mm512_maskz_mov_epi32(real, rounded));
    // Of each eight, the last four move into the first four's high halves.
    __m128i joined = _mm_or_si128(bytes, _mm_srli_epi64(bytes, 28));
    __m128i words = _mm_shuffle_epi32(joined, 0x08);
    _mm_mask_storeu_epi32(codes, (__mmask8)(1 | (real >> 7 & 2)), words);
}

void thimble_avx512_store_int4(const float *x, int64_t count, uint32_t *codes, uint32_t *scales) {
    float rotated[THIMBLE_MAX_HEAD_SIZE];
    for (int64_t i = 0; i < count; i += 16) {
        _mm512_storeu_ps(rotated + i, bounded(load_part(x + i, count - i)));
    }
    rotate(rotated, count);
    for (int64_t i = 0; i < count; i += THIMBLE_KV_GROUP, codes += THIMBLE_KV_GROUP / 8) {
        __mmask16 real[2] = {lanes_below(count - i), lanes_below(count - i - 16)};
        // Lanes beyond the row repeat the group's first.
        f32x16 first = _mm512_set1_ps(rotated[i]), v[2];
        for (int64_t j = 0; j < 2; j++) v[j] = _mm512_mask_loadu_ps(first, real[j], rotated + i + 16 * j);
        if (_mm512_cmp_ps_mask(v[0], v[1], _CMP_UNORD_Q)) {
            *scales++ = KV_GROUP_NAN;
            for (int64_t j = 0; j < THIMBLE_KV_GROUP / 8 && i + 8 * j < count; j++) codes[j] = 0;
            continue;
        }
        uint32_t word = kv_group_word(_mm512_reduce_min_ps(_mm512_min_ps(v[0], v[1])),
                                      _mm512_reduce_max_ps(_mm512_max_ps(v[0], v[1])));
        float step = kv_group_step(word);
        f32x16 least = _mm512_set1_ps(kv_group_least(word));
        f32x16 inverse = _mm512_set1_ps(step == 0 ? 0 : 1 / step);
        store_codes(v[0], real[0], least, inverse, codes);
        if (real[1]) store_codes(v[1], real[1], least, inverse, codes + 2);
        *scales++ = word;
    }
}

AVX512_END
#endif
