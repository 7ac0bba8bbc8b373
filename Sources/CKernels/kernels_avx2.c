//! The AVX2 variant: its table, and the kernels that work along one row.
#include "avx2.h"
#include "float16.h"
#include <math.h>
#if defined(__x86_64__)

TEMPLATE f32x8 set1(float x) { return _mm256_set1_ps(x); }
TEMPLATE f32x8 load(const float *p) { return _mm256_loadu_ps(p); }
TEMPLATE f32x8 magnitude(f32x8 x) { return _mm256_andnot_ps(set1(-0.0f), x); }

static void quantize(const float *x, int64_t count, int64_t padded, int8_t *codes, float *scales,
                     int32_t *sums) {
    const i32x8 in_order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    for (int64_t begin = 0; begin < padded; begin += 32, x += 32, codes += 32) {
        f32x8 v[4], largest = _mm256_setzero_ps();
        i32x8 not_finite = _mm256_setzero_si256();
        const i32x8 infinity = _mm256_set1_epi32(0x7f7fffff);
        for (int64_t i = 0; i < 4; i++) {
            v[i] = load_part(x + i * 8, count - begin - i * 8);
            largest = _mm256_max_ps(largest, magnitude(v[i]));
            i32x8 bits = _mm256_castps_si256(magnitude(v[i]));
            not_finite = _mm256_or_si256(not_finite, _mm256_cmpgt_epi32(bits, infinity));
        }
        float size = f32x8_largest(largest);
        int finite = _mm256_testz_si256(not_finite, not_finite);
        if (!finite || size < QUANTIZE_SMALLEST) {
            _mm256_storeu_si256((i32x8 *)codes, _mm256_setzero_si256());
            *scales++ = finite ? 0 : NAN;
            *sums++ = 0;
            continue;
        }
        i32x8 q[4];
        for (int64_t i = 0; i < 4; i++) q[i] = _mm256_cvtps_epi32(_mm256_mul_ps(v[i], set1(127 / size)));
        i32x8 bytes = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
        bytes = _mm256_permutevar8x32_epi32(bytes, in_order);
        _mm256_storeu_si256((i32x8 *)codes, bytes);
        i32x8 fours = _mm256_add_epi32(_mm256_add_epi32(q[0], q[1]), _mm256_add_epi32(q[2], q[3]));
        __m128i two = _mm_add_epi32(_mm256_castsi256_si128(fours), _mm256_extracti128_si256(fours, 1));
        two = _mm_add_epi32(two, _mm_unpackhi_epi64(two, two));
        *sums++ = _mm_cvtsi128_si32(two) + _mm_extract_epi32(two, 1);
        *scales++ = size / 127;
    }
}

TEMPLATE double sum_of_doubles(__m256d a, __m256d b) {
    double lanes[4];
    _mm256_storeu_pd(lanes, _mm256_add_pd(a, b));
    return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
}

// The sum of (x - shift)^2, in double, where the square of any float is finite.
static double sum_of_squares(const float *x, int64_t count, float shift) {
    __m256d low = _mm256_setzero_pd(), high = _mm256_setzero_pd();
    for (int64_t i = 0; i < count; i += 8) {
        f32x8 v = _mm256_sub_ps(load_part(x + i, count - i), set1(shift));
        if (count - i < 8) v = _mm256_and_ps(v, _mm256_castsi256_ps(lanes_below(count - i)));
        __m256d a = _mm256_cvtps_pd(_mm256_castps256_ps128(v)),
                b = _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1));
        low = _mm256_fmadd_pd(a, a, low);
        high = _mm256_fmadd_pd(b, b, high);
    }
    return sum_of_doubles(low, high);
}

static double sum(const float *x, int64_t count) {
    __m256d low = _mm256_setzero_pd(), high = _mm256_setzero_pd();
    for (int64_t i = 0; i < count; i += 8) {
        f32x8 v = load_part(x + i, count - i);
        low = _mm256_add_pd(low, _mm256_cvtps_pd(_mm256_castps256_ps128(v)));
        high = _mm256_add_pd(high, _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1)));
    }
    return sum_of_doubles(low, high);
}

static float inverse_root_mean(double squares, int64_t count, float epsilon) {
    return (float)(1 / sqrt(squares / (double)count + epsilon));
}

static void rms_norm(const float *x, const float *weight, int64_t count, float epsilon, float *y) {
    f32x8 inverse = set1(inverse_root_mean(sum_of_squares(x, count, 0), count, epsilon));
    for (int64_t i = 0; i < count; i += 8) {
        f32x8 v = _mm256_mul_ps(load_part(x + i, count - i), inverse);
        store_part(y + i, count - i, _mm256_mul_ps(v, load_part(weight + i, count - i)));
    }
}

static void add_rms_norm(const float *x, const float *weight, int64_t count, float epsilon, float *residual) {
    f32x8 inverse = set1(inverse_root_mean(sum_of_squares(x, count, 0), count, epsilon));
    for (int64_t i = 0; i < count; i += 8) {
        f32x8 v = _mm256_mul_ps(load_part(x + i, count - i), inverse);
        f32x8 r = load_part(residual + i, count - i);
        store_part(residual + i, count - i, _mm256_fmadd_ps(v, load_part(weight + i, count - i), r));
    }
}

static void layer_norm(const float *x, const float *weight, const float *bias, int64_t count, float epsilon,
                       float *y) {
    float mean = (float)(sum(x, count) / (double)count);
    f32x8 inverse = set1(inverse_root_mean(sum_of_squares(x, count, mean), count, epsilon));
    for (int64_t i = 0; i < count; i += 8) {
        f32x8 v = _mm256_mul_ps(_mm256_sub_ps(load_part(x + i, count - i), set1(mean)), inverse);
        f32x8 b = load_part(bias + i, count - i);
        store_part(y + i, count - i, _mm256_fmadd_ps(v, load_part(weight + i, count - i), b));
    }
}

static void add(const float *x, int64_t count, float *y) {
    for (int64_t i = 0; i < count; i += 8) {
        store_part(y + i, count - i, _mm256_add_ps(load_part(y + i, count - i), load_part(x + i, count - i)));
    }
}

static void add_scaled(const float *x, float factor, int64_t count, float *y) {
    for (int64_t i = 0; i < count; i += 8) {
        f32x8 scaled = _mm256_mul_ps(set1(factor), load_part(x + i, count - i));
        store_part(y + i, count - i, _mm256_add_ps(load_part(y + i, count - i), scaled));
    }
}

// silu(x) = x / (1 + e^-x) = x e^x / (1 + e^x): of the two, the one whose exponential is at most 1.
TEMPLATE f32x8 silu(f32x8 x) {
    f32x8 e = f32x8_exp_nonpositive(_mm256_or_ps(x, set1(-0.0f)));
    f32x8 numerator = _mm256_blendv_ps(x, _mm256_mul_ps(x, e), x);
    return _mm256_div_ps(numerator, _mm256_add_ps(set1(1), e));
}

static void swiglu(const float *x, int64_t count, float *y) {
    for (int64_t i = 0; i < count; i += 8) {
        f32x8 a = load_part(x + 2 * i, 2 * (count - i)), b = load_part(x + 2 * i + 8, 2 * (count - i) - 8);
        // Each 128-bit half parts by itself, so that lanes come out as pairs 0 2 1 3 of the quarters.
        f32x8 gate = _mm256_shuffle_ps(a, b, 0x88), up = _mm256_shuffle_ps(a, b, 0xdd);
        f32x8 product = _mm256_mul_ps(silu(gate), up);
        product = _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(product), 0xd8));
        store_part(y + i, count - i, product);
    }
}

// gelu(x) = x erfc(-x / sqrt 2) / 2. erfc of a magnitude z is a polynomial in 1 / (1 + p z) times e^(-z^2),
// with an absolute error below 1.5e-7 (Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26).
TEMPLATE f32x8 gelu_of(f32x8 x) {
    f32x8 z = _mm256_mul_ps(magnitude(x), set1(0.70710678f));
    f32x8 t = _mm256_div_ps(set1(1), _mm256_fmadd_ps(z, set1(0.3275911f), set1(1)));
    f32x8 p = set1(1.061405429f);
    p = _mm256_fmadd_ps(p, t, set1(-1.453152027f));
    p = _mm256_fmadd_ps(p, t, set1(1.421413741f));
    p = _mm256_fmadd_ps(p, t, set1(-0.284496736f));
    p = _mm256_fmadd_ps(p, t, set1(0.254829592f));
    f32x8 square = _mm256_xor_ps(_mm256_mul_ps(z, z), set1(-0.0f));
    f32x8 tail = _mm256_mul_ps(_mm256_mul_ps(p, t), f32x8_exp_nonpositive(square));
    f32x8 twice = _mm256_blendv_ps(_mm256_sub_ps(set1(2), tail), tail, x);
    return _mm256_mul_ps(_mm256_mul_ps(x, set1(0.5f)), twice);
}

static void gelu(const float *x, int64_t count, float *y) {
    for (int64_t i = 0; i < count; i += 8) store_part(y + i, count - i, gelu_of(load_part(x + i, count - i)));
}

static void rope_interleaved(float *x, const float *cosines, const float *sines, int64_t pairs) {
    const i32x8 twice = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
    for (int64_t i = 0; i < pairs; i += 4) {
        int64_t left = pairs - i < 4 ? pairs - i : 4;
        f32x8 cosine = _mm256_permutevar8x32_ps(load_part(cosines + i, left), twice);
        f32x8 sine = _mm256_permutevar8x32_ps(load_part(sines + i, left), twice);
        f32x8 v = load_part(x + 2 * i, 2 * left);
        f32x8 swapped = _mm256_mul_ps(_mm256_permute_ps(v, 0xb1), sine);
        store_part(x + 2 * i, 2 * left, _mm256_fmaddsub_ps(v, cosine, swapped));
    }
}

static void rope_half(float *x, const float *cosines, const float *sines, int64_t pairs) {
    for (int64_t i = 0; i < pairs; i += 8) {
        int64_t left = pairs - i;
        f32x8 cosine = load_part(cosines + i, left), sine = load_part(sines + i, left);
        f32x8 a = load_part(x + i, left), b = load_part(x + pairs + i, left);
        f32x8 first = _mm256_fmsub_ps(a, cosine, _mm256_mul_ps(b, sine));
        f32x8 second = _mm256_fmadd_ps(b, cosine, _mm256_mul_ps(a, sine));
        store_part(x + i, left, first);
        store_part(x + pairs + i, left, second);
    }
}

static void store_f16(const float *x, int64_t count, uint16_t *y) {
    int64_t i = 0;
    for (; i + 8 <= count; i += 8) {
        // The bound is the first operand: the instructions return the second where either is NaN.
        f32x8 v = _mm256_max_ps(set1(-65504), _mm256_min_ps(set1(65504), load(x + i)));
        _mm_storeu_si128((__m128i *)(y + i), _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
    }
    for (; i < count; i++) y[i] = half_from_float(x[i]);
}

const thimble_kernels thimble_kernels_avx2 = {
    .name = "avx2",
    .quantize = quantize,
    .matmul_q4 = thimble_avx2_matmul_q4,
    .matmul_q8 = thimble_avx2_matmul_q8,
    .matmul_f16 = thimble_avx2_matmul_f16,
    .matmul_f32 = thimble_avx2_matmul_f32,
    .gather_row = thimble_scalar_gather_row,
    .rms_norm = rms_norm,
    .add_rms_norm = add_rms_norm,
    .layer_norm = layer_norm,
    .add = add,
    .add_scaled = add_scaled,
    .swiglu = swiglu,
    .gelu = gelu,
    .rope_interleaved = rope_interleaved,
    .rope_half = rope_half,
    .store_f16 = store_f16,
    .store_int8 = thimble_avx2_store_int8,
    .store_int5 = thimble_avx2_store_int5,
    .attention = thimble_avx2_attention,
    .resample_row = thimble_avx2_resample_row,
    .blend_rows = thimble_avx2_blend_rows,
};

AVX2_END
#endif
