//! Keys and values into pages with AVX2, as int8 and int5.
#include "avx2_kv.h"
#if defined(__x86_64__)

// x within +-THIMBLE_KV_LIMIT. The bound is the first operand: the instructions return the second where
// either is NaN.
TEMPLATE f32x8 bounded(f32x8 x) {
    const f32x8 limit = _mm256_set1_ps(THIMBLE_KV_LIMIT), lowest = _mm256_set1_ps(-THIMBLE_KV_LIMIT);
    return _mm256_max_ps(lowest, _mm256_min_ps(limit, x));
}

TEMPLATE int has_nan(f32x8 a, f32x8 b) {
    return _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_UNORD_Q)) != 0;
}

void thimble_avx2_store_int8(const float *x, int64_t count, int8_t *codes, float *scale) {
    f32x8 magnitudes = _mm256_setzero_ps();
    int is_nan = 0;
    for (int64_t i = 0; i < count; i += 8) {
        f32x8 v = load_part(x + i, count - i);
        is_nan |= has_nan(v, v);
        magnitudes = _mm256_max_ps(_mm256_andnot_ps(_mm256_set1_ps(-0.0f), bounded(v)), magnitudes);
    }
    float largest = f32x8_largest(magnitudes);
    int zero = is_nan || largest < QUANTIZE_SMALLEST;
    f32x8 inverse = _mm256_set1_ps(zero ? 0 : 127 / largest);
    int64_t bytes = thimble_kv_code_bytes(THIMBLE_KV_INT8, count);
    for (int64_t i = 0; i < count; i += 8) {
        i32x8 rounded = _mm256_cvtps_epi32(_mm256_mul_ps(bounded(load_part(x + i, count - i)), inverse));
        if (zero) rounded = _mm256_setzero_si256();
        __m128i low = _mm256_castsi256_si128(rounded), high = _mm256_extracti128_si256(rounded, 1);
        __m128i words = _mm_packs_epi32(low, high);
        int64_t packed = _mm_cvtsi128_si64(_mm_packs_epi16(words, words));
        memcpy(codes + i, &packed, bytes - i < 8 ? 4 : 8);
    }
    *scale = is_nan ? NAN : zero ? 0 : largest / 127;
}

// Codes of the first `count` of eight elements: their low bits as a word, and the fifth.
TEMPLATE uint32_t codes_of(f32x8 x, int64_t count, f32x8 least, f32x8 inverse, uint32_t *fifth) {
    f32x8 level = _mm256_mul_ps(_mm256_sub_ps(x, least), inverse), found = _mm256_setzero_ps();
    f32x8 t = _mm256_mul_ps(level, _mm256_set1_ps(2048));
    // As kv_code does.
    for (float bit = 16; bit >= 1; bit /= 2) {
        f32x8 c = _mm256_add_ps(found, _mm256_set1_ps(bit));
        f32x8 bound = _mm256_fmadd_ps(c, _mm256_set1_ps(2), _mm256_set1_ps(-96));
        bound = _mm256_fmadd_ps(c, bound, _mm256_set1_ps(3105));
        bound = _mm256_fmadd_ps(c, bound, _mm256_set1_ps(-1552));
        found = _mm256_blendv_ps(found, c, _mm256_cmp_ps(t, bound, _CMP_GE_OQ));
    }
    i32x8 codes = _mm256_cvtps_epi32(found);
    if (count < 8) codes = _mm256_and_si256(codes, lanes_below(count));
    *fifth = (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_slli_epi32(codes, 27)));
    i32x8 low = _mm256_and_si256(codes, _mm256_set1_epi32(15));
    i32x8 placed = _mm256_sllv_epi32(low, _mm256_setr_epi32(0, 8, 16, 24, 4, 12, 20, 28));
    __m128i four = _mm_or_si128(_mm256_castsi256_si128(placed), _mm256_extracti128_si256(placed, 1));
    __m128i two = _mm_or_si128(four, _mm_shuffle_epi32(four, 0x4e));
    return (uint32_t)_mm_cvtsi128_si32(_mm_or_si128(two, _mm_shuffle_epi32(two, 0xb1)));
}

void thimble_avx2_store_int5(const float *x, int64_t count, uint32_t *codes, uint32_t *word) {
    float rotated[THIMBLE_MAX_HEAD_SIZE];
    for (int64_t i = 0; i < count; i += 8) {
        _mm256_storeu_ps(rotated + i, bounded(load_part(x + i, count - i)));
    }
    rotate(rotated, count);
    // Lanes beyond the row repeat its first.
    f32x8 first = _mm256_set1_ps(rotated[0]), least = first, most = first;
    int is_nan = 0;
    for (int64_t i = 0; i < count; i += 8) {
        f32x8 v = load_part(rotated + i, count - i);
        if (count - i < 8) v = _mm256_blendv_ps(first, v, _mm256_castsi256_ps(lanes_below(count - i)));
        is_nan |= has_nan(v, v);
        least = _mm256_min_ps(least, v);
        most = _mm256_max_ps(most, v);
    }
    f32x8 negated = _mm256_xor_ps(least, _mm256_set1_ps(-0.0f));
    *word = is_nan ? KV_WORD_NAN : kv_word(-f32x8_largest(negated), f32x8_largest(most));
    if (is_nan) {
        memset(codes, 0, (size_t)thimble_kv_code_bytes(THIMBLE_KV_INT5, count));
        return;
    }
    float step = kv_step(*word);
    f32x8 start = _mm256_set1_ps(kv_least(*word)), inverse = _mm256_set1_ps(step == 0 ? 0 : 1 / step);
    for (int64_t i = 0; i < count; i += 8) {
        uint32_t *block = codes + i / THIMBLE_KV_BLOCK * (THIMBLE_KV_BLOCK_BYTES / 4), fifth;
        int64_t within = i % THIMBLE_KV_BLOCK;
        f32x8 v = load_part(rotated + i, count - i);
        block[1 + within / 8] = codes_of(v, count - i, start, inverse, &fifth);
        block[0] = within == 0 ? fifth : block[0] | fifth << within;
    }
}

AVX2_END
#endif
