//! The AVX-512 variant: its table, and the kernels that work along one row.
#include "avx512.h"
#include <math.h>
#if defined(__x86_64__)

TEMPLATE f32x16 set1(float x) { return _mm512_set1_ps(x); }
TEMPLATE f32x16 magnitude(f32x16 x) { return _mm512_abs_ps(x); }

void thimble_avx512_quantize(const float *x, int64_t count, int64_t padded, int8_t *codes, float *scales,
                             int32_t *sums) {
    const f32x16 largest_finite = set1(0x1.fffffep127f);
    for (int64_t begin = 0; begin < padded; begin += 32, x += 32, codes += 32) {
        f32x16 low = load_part(x, count - begin), high = load_part(x + 16, count - begin - 16);
        // Of NaN and a number the maximum may be either: what is not finite is looked for by itself.
        __mmask16 finite = _mm512_cmp_ps_mask(magnitude(low), largest_finite, _CMP_LE_OQ)
                           & _mm512_cmp_ps_mask(magnitude(high), largest_finite, _CMP_LE_OQ);
        float size = _mm512_reduce_max_ps(_mm512_max_ps(magnitude(low), magnitude(high)));
        if (finite != 0xffff || size < QUANTIZE_SMALLEST) {
            memset(codes, 0, 32);
            *scales++ = finite == 0xffff ? 0 : NAN;
            *sums++ = 0;
            continue;
        }
        f32x16 inverse = set1(127 / size);
        i32x16 q0 = _mm512_cvtps_epi32(_mm512_mul_ps(low, inverse));
        i32x16 q1 = _mm512_cvtps_epi32(_mm512_mul_ps(high, inverse));
        _mm_storeu_si128((__m128i *)codes, _mm512_cvtepi32_epi8(q0));
        _mm_storeu_si128((__m128i *)(codes + 16), _mm512_cvtepi32_epi8(q1));
        *sums++ = _mm512_reduce_add_epi32(_mm512_add_epi32(q0, q1));
        *scales++ = size / 127;
    }
}

// Sums are in double, where the square of any float is finite.
TEMPLATE __m512d low_half(f32x16 x) { return _mm512_cvtps_pd(_mm512_castps512_ps256(x)); }
TEMPLATE __m512d high_half(f32x16 x) { return _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1)); }

// The sum of (x - shift)^2.
static double sum_of_squares(const float *x, int64_t count, float shift) {
    __m512d low = _mm512_setzero_pd(), high = _mm512_setzero_pd();
    for (int64_t i = 0; i < count; i += 16) {
        f32x16 v = _mm512_maskz_sub_ps(lanes_below(count - i), load_part(x + i, count - i), set1(shift));
        low = _mm512_fmadd_pd(low_half(v), low_half(v), low);
        high = _mm512_fmadd_pd(high_half(v), high_half(v), high);
    }
    return _mm512_reduce_add_pd(_mm512_add_pd(low, high));
}

static double sum(const float *x, int64_t count) {
    __m512d low = _mm512_setzero_pd(), high = _mm512_setzero_pd();
    for (int64_t i = 0; i < count; i += 16) {
        f32x16 v = load_part(x + i, count - i);
        low = _mm512_add_pd(low, low_half(v));
        high = _mm512_add_pd(high, high_half(v));
    }
    return _mm512_reduce_add_pd(_mm512_add_pd(low, high));
}

static float inverse_root_mean(double squares, int64_t count, float epsilon) {
    return (float)(1 / sqrt(squares / (double)count + epsilon));
}

void thimble_avx512_rms_norm(const float *x, const float *weight, int64_t count, float epsilon, float *y) {
    f32x16 inverse = set1(inverse_root_mean(sum_of_squares(x, count, 0), count, epsilon));
    for (int64_t i = 0; i < count; i += 16) {
        f32x16 v = _mm512_mul_ps(load_part(x + i, count - i), inverse);
        store_part(y + i, count - i, _mm512_mul_ps(v, load_part(weight + i, count - i)));
    }
}

void thimble_avx512_add_rms_norm(const float *x, const float *weight, int64_t count, float epsilon,
                                 float *residual) {
    f32x16 inverse = set1(inverse_root_mean(sum_of_squares(x, count, 0), count, epsilon));
    for (int64_t i = 0; i < count; i += 16) {
        f32x16 v = _mm512_mul_ps(load_part(x + i, count - i), inverse);
        f32x16 r = load_part(residual + i, count - i);
        store_part(residual + i, count - i, _mm512_fmadd_ps(v, load_part(weight + i, count - i), r));
    }
}

void thimble_avx512_layer_norm(const float *x, const float *weight, const float *bias, int64_t count,
                               float epsilon, float *y) {
    float mean = (float)(sum(x, count) / (double)count);
    f32x16 inverse = set1(inverse_root_mean(sum_of_squares(x, count, mean), count, epsilon));
    for (int64_t i = 0; i < count; i += 16) {
        f32x16 v = _mm512_mul_ps(_mm512_sub_ps(load_part(x + i, count - i), set1(mean)), inverse);
        f32x16 b = load_part(bias + i, count - i);
        store_part(y + i, count - i, _mm512_fmadd_ps(v, load_part(weight + i, count - i), b));
    }
}

void thimble_avx512_add(const float *x, int64_t count, float *y) {
    for (int64_t i = 0; i < count; i += 16) {
        store_part(y + i, count - i, _mm512_add_ps(load_part(y + i, count - i), load_part(x + i, count - i)));
    }
}

void thimble_avx512_add_scaled(const float *x, float factor, int64_t count, float *y) {
    for (int64_t i = 0; i < count; i += 16) {
        f32x16 scaled = _mm512_mul_ps(load_part(x + i, count - i), set1(factor));
        store_part(y + i, count - i, _mm512_add_ps(load_part(y + i, count - i), scaled));
    }
}

// silu(x) = x / (1 + e^-x) = x e^x / (1 + e^x): of the two, the one whose exponential is at most 1.
TEMPLATE f32x16 silu(f32x16 x) {
    f32x16 e = f32x16_exp_nonpositive(_mm512_or_ps(x, set1(-0.0f)));
    f32x16 numerator = _mm512_mask_mul_ps(x, _mm512_movepi32_mask(_mm512_castps_si512(x)), x, e);
    return _mm512_div_ps(numerator, _mm512_add_ps(set1(1), e));
}

void thimble_avx512_swiglu(const float *x, int64_t count, float *y) {
    const i32x16 even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const i32x16 odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    for (int64_t i = 0; i < count; i += 16) {
        f32x16 a = load_part(x + 2 * i, 2 * (count - i));
        f32x16 b = load_part(x + 2 * i + 16, 2 * (count - i) - 16);
        f32x16 gate = _mm512_permutex2var_ps(a, even, b), up = _mm512_permutex2var_ps(a, odd, b);
        store_part(y + i, count - i, _mm512_mul_ps(silu(gate), up));
    }
}

// gelu(x) = x erfc(-x / sqrt 2) / 2. erfc of a magnitude z is a polynomial in 1 / (1 + p z) times e^(-z^2),
// with an absolute error below 1.5e-7 (Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26).
TEMPLATE f32x16 gelu_of(f32x16 x) {
    f32x16 z = _mm512_mul_ps(magnitude(x), set1(0.70710678f));
    f32x16 t = _mm512_div_ps(set1(1), _mm512_fmadd_ps(z, set1(0.3275911f), set1(1)));
    f32x16 p = set1(1.061405429f);
    p = _mm512_fmadd_ps(p, t, set1(-1.453152027f));
    p = _mm512_fmadd_ps(p, t, set1(1.421413741f));
    p = _mm512_fmadd_ps(p, t, set1(-0.284496736f));
    p = _mm512_fmadd_ps(p, t, set1(0.254829592f));
    f32x16 square = _mm512_xor_ps(_mm512_mul_ps(z, z), set1(-0.0f));
    f32x16 tail = _mm512_mul_ps(_mm512_mul_ps(p, t), f32x16_exp_nonpositive(square));
    __mmask16 positive = _knot_mask16(_mm512_movepi32_mask(_mm512_castps_si512(x)));
    f32x16 twice = _mm512_mask_sub_ps(tail, positive, set1(2), tail);
    return _mm512_mul_ps(_mm512_mul_ps(x, set1(0.5f)), twice);
}

void thimble_avx512_gelu(const float *x, int64_t count, float *y) {
    for (int64_t i = 0; i < count; i += 16) {
        store_part(y + i, count - i, gelu_of(load_part(x + i, count - i)));
    }
}

void thimble_avx512_rope_interleaved(float *x, const float *cosines, const float *sines, int64_t pairs) {
    const i32x16 twice = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    for (int64_t i = 0; i < pairs; i += 8) {
        int64_t left = pairs - i < 8 ? pairs - i : 8;
        f32x16 cosine = _mm512_permutexvar_ps(twice, load_part(cosines + i, left));
        f32x16 sine = _mm512_permutexvar_ps(twice, load_part(sines + i, left));
        f32x16 v = load_part(x + 2 * i, 2 * left);
        f32x16 swapped = _mm512_mul_ps(_mm512_permute_ps(v, 0xb1), sine);
        store_part(x + 2 * i, 2 * left, _mm512_fmaddsub_ps(v, cosine, swapped));
    }
}

void thimble_avx512_rope_half(float *x, const float *cosines, const float *sines, int64_t pairs) {
    for (int64_t i = 0; i < pairs; i += 16) {
        int64_t left = pairs - i;
        f32x16 cosine = load_part(cosines + i, left), sine = load_part(sines + i, left);
        f32x16 a = load_part(x + i, left), b = load_part(x + pairs + i, left);
        f32x16 first = _mm512_fmsub_ps(a, cosine, _mm512_mul_ps(b, sine));
        f32x16 second = _mm512_fmadd_ps(b, cosine, _mm512_mul_ps(a, sine));
        store_part(x + i, left, first);
        store_part(x + pairs + i, left, second);
    }
}

void thimble_avx512_store_f16(const float *x, int64_t count, uint16_t *y) {
    for (int64_t i = 0; i < count; i += 16) {
        // The bound is the first operand: the instructions return the second where either is NaN.
        f32x16 v = load_part(x + i, count - i);
        v = _mm512_max_ps(set1(-65504), _mm512_min_ps(set1(65504), v));
        __m256i halves = _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
        _mm256_mask_storeu_epi16(y + i, lanes_below(count - i), halves);
    }
}

const thimble_kernels thimble_kernels_avx512 = {
    .name = "avx512",
    .quantize = thimble_avx512_quantize,
    .matmul_q4 = thimble_avx512_matmul_q4,
    .matmul_q8 = thimble_avx512_matmul_q8,
    .matmul_f16 = thimble_avx512_matmul_f16,
    .matmul_f32 = thimble_avx512_matmul_f32,
    .gather_row = thimble_scalar_gather_row,
    .rms_norm = thimble_avx512_rms_norm,
    .add_rms_norm = thimble_avx512_add_rms_norm,
    .layer_norm = thimble_avx512_layer_norm,
    .add = thimble_avx512_add,
    .add_scaled = thimble_avx512_add_scaled,
    .swiglu = thimble_avx512_swiglu,
    .gelu = thimble_avx512_gelu,
    .rope_interleaved = thimble_avx512_rope_interleaved,
    .rope_half = thimble_avx512_rope_half,
    .store_f16 = thimble_avx512_store_f16,
    .store_int8 = thimble_avx512_store_int8,
    .store_int5 = thimble_avx512_store_int5,
    .attention = thimble_avx512_attention,
    .resample_row = thimble_avx2_resample_row,
    .blend_rows = thimble_avx2_blend_rows,
};

AVX512_END
#endif
