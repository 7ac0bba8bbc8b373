//! The NEON variants: their tables, and the kernels that work along one row.
#include "neon.h"
#include "float16.h"
#include <math.h>
#if defined(__aarch64__)

static void quantize(const float *x, int64_t count, int64_t padded, int8_t *codes, float *scales,
                     int32_t *sums) {
    for (int64_t begin = 0; begin < padded; begin += block, x += block, codes += block) {
        float32x4_t v[block / 4];
        // Magnitudes order as their bits do, and what is not finite lies above all that is.
        uint32x4_t largest_bits = vdupq_n_u32(0);
        for (int64_t i = 0; i < block / 4; i++) {
            v[i] = f32x4_load_part(x + i * 4, count - begin - i * 4);
            largest_bits = vmaxq_u32(largest_bits, vreinterpretq_u32_f32(vabsq_f32(v[i])));
        }
        float largest = float_from_bits(vmaxvq_u32(largest_bits));
        int finite = isfinite(largest);
        if (!finite || largest < QUANTIZE_SMALLEST) {
            memset(codes, 0, block);
            *scales++ = finite ? 0 : NAN;
            *sums++ = 0;
            continue;
        }
        int32x4_t sum = vdupq_n_s32(0);
        for (int64_t i = 0; i < block / 4; i += 2) {
            int32x4_t a = vcvtnq_s32_f32(vmulq_n_f32(v[i], 127 / largest));
            int32x4_t b = vcvtnq_s32_f32(vmulq_n_f32(v[i + 1], 127 / largest));
            sum = vaddq_s32(sum, vaddq_s32(a, b));
            vst1_s8(codes + i * 4, vmovn_s16(vcombine_s16(vmovn_s32(a), vmovn_s32(b))));
        }
        *sums++ = vaddvq_s32(sum);
        *scales++ = largest / 127;
    }
}

TEMPLATE double sum_of_doubles(float64x2_t a, float64x2_t b) { return vaddvq_f64(vaddq_f64(a, b)); }

// The sum of (x - shift)^2, in double, where the square of any float is finite.
static double sum_of_squares(const float *x, int64_t count, float shift) {
    float64x2_t low = vdupq_n_f64(0), high = vdupq_n_f64(0);
    int64_t i = 0;
    for (; i + 4 <= count; i += 4) {
        float32x4_t v = vsubq_f32(vld1q_f32(x + i), vdupq_n_f32(shift));
        float64x2_t a = vcvt_f64_f32(vget_low_f32(v)), b = vcvt_high_f64_f32(v);
        low = vfmaq_f64(low, a, a);
        high = vfmaq_f64(high, b, b);
    }
    double sum = sum_of_doubles(low, high);
    for (; i < count; i++) sum += (double)(x[i] - shift) * (x[i] - shift);
    return sum;
}

static double sum(const float *x, int64_t count) {
    float64x2_t low = vdupq_n_f64(0), high = vdupq_n_f64(0);
    for (int64_t i = 0; i < count; i += 4) {
        float32x4_t v = f32x4_load_part(x + i, count - i);
        low = vaddq_f64(low, vcvt_f64_f32(vget_low_f32(v)));
        high = vaddq_f64(high, vcvt_high_f64_f32(v));
    }
    return sum_of_doubles(low, high);
}

static float inverse_root_mean(double squares, int64_t count, float epsilon) {
    return (float)(1 / sqrt(squares / (double)count + epsilon));
}

static void rms_norm(const float *x, const float *weight, int64_t count, float epsilon, float *y) {
    float inverse = inverse_root_mean(sum_of_squares(x, count, 0), count, epsilon);
    for (int64_t i = 0; i < count; i += 4) {
        float32x4_t v = vmulq_n_f32(f32x4_load_part(x + i, count - i), inverse);
        f32x4_store_part(y + i, count - i, vmulq_f32(v, f32x4_load_part(weight + i, count - i)));
    }
}

static void add_rms_norm(const float *x, const float *weight, int64_t count, float epsilon, float *residual) {
    float inverse = inverse_root_mean(sum_of_squares(x, count, 0), count, epsilon);
    for (int64_t i = 0; i < count; i += 4) {
        float32x4_t v = vmulq_n_f32(f32x4_load_part(x + i, count - i), inverse);
        float32x4_t r = f32x4_load_part(residual + i, count - i);
        f32x4_store_part(residual + i, count - i, vfmaq_f32(r, v, f32x4_load_part(weight + i, count - i)));
    }
}

static void layer_norm(const float *x, const float *weight, const float *bias, int64_t count, float epsilon,
                       float *y) {
    float mean = (float)(sum(x, count) / (double)count);
    float inverse = inverse_root_mean(sum_of_squares(x, count, mean), count, epsilon);
    for (int64_t i = 0; i < count; i += 4) {
        float32x4_t v = vsubq_f32(f32x4_load_part(x + i, count - i), vdupq_n_f32(mean));
        float32x4_t b = f32x4_load_part(bias + i, count - i);
        v = vfmaq_f32(b, vmulq_n_f32(v, inverse), f32x4_load_part(weight + i, count - i));
        f32x4_store_part(y + i, count - i, v);
    }
}

static void add(const float *x, int64_t count, float *y) {
    for (int64_t i = 0; i < count; i += 4) {
        float32x4_t v = f32x4_load_part(y + i, count - i);
        f32x4_store_part(y + i, count - i, vaddq_f32(v, f32x4_load_part(x + i, count - i)));
    }
}

static void add_scaled(const float *x, float factor, int64_t count, float *y) {
    for (int64_t i = 0; i < count; i += 4) {
        float32x4_t scaled = vmulq_n_f32(f32x4_load_part(x + i, count - i), factor);
        f32x4_store_part(y + i, count - i, vaddq_f32(f32x4_load_part(y + i, count - i), scaled));
    }
}

// All ones where the sign bit is set.
TEMPLATE uint32x4_t negative(float32x4_t x) {
    return vreinterpretq_u32_s32(vshrq_n_s32(vreinterpretq_s32_f32(x), 31));
}

// silu(x) = x / (1 + e^-x) = x e^x / (1 + e^x): of the two, the one whose exponential is at most 1.
TEMPLATE float32x4_t silu(float32x4_t x) {
    float32x4_t e = f32x4_exp_nonpositive(vnegq_f32(vabsq_f32(x)));
    float32x4_t numerator = vbslq_f32(negative(x), vmulq_f32(x, e), x);
    return vdivq_f32(numerator, vaddq_f32(vdupq_n_f32(1), e));
}

static void swiglu(const float *x, int64_t count, float *y) {
    for (int64_t i = 0; i < count; i += 4) {
        float32x4_t a = f32x4_load_part(x + 2 * i, 2 * (count - i));
        float32x4_t b = f32x4_load_part(x + 2 * i + 4, 2 * (count - i) - 4);
        float32x4_t gate = vuzp1q_f32(a, b), up = vuzp2q_f32(a, b);
        f32x4_store_part(y + i, count - i, vmulq_f32(silu(gate), up));
    }
}

// gelu(x) = x erfc(-x / sqrt 2) / 2. erfc of a magnitude z is a polynomial in 1 / (1 + p z) times e^(-z^2),
// with an absolute error below 1.5e-7 (Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26).
TEMPLATE float32x4_t gelu_of(float32x4_t x) {
    float32x4_t z = vmulq_n_f32(vabsq_f32(x), 0.70710678f);
    float32x4_t t = vdivq_f32(vdupq_n_f32(1), vfmaq_n_f32(vdupq_n_f32(1), z, 0.3275911f));
    float32x4_t p = vdupq_n_f32(1.061405429f);
    p = vfmaq_f32(vdupq_n_f32(-1.453152027f), p, t);
    p = vfmaq_f32(vdupq_n_f32(1.421413741f), p, t);
    p = vfmaq_f32(vdupq_n_f32(-0.284496736f), p, t);
    p = vfmaq_f32(vdupq_n_f32(0.254829592f), p, t);
    float32x4_t tail = vmulq_f32(vmulq_f32(p, t), f32x4_exp_nonpositive(vnegq_f32(vmulq_f32(z, z))));
    float32x4_t twice = vbslq_f32(negative(x), tail, vsubq_f32(vdupq_n_f32(2), tail));
    return vmulq_f32(vmulq_n_f32(x, 0.5f), twice);
}

static void gelu(const float *x, int64_t count, float *y) {
    for (int64_t i = 0; i < count; i += 4) {
        f32x4_store_part(y + i, count - i, gelu_of(f32x4_load_part(x + i, count - i)));
    }
}

static void rope_interleaved(float *x, const float *cosines, const float *sines, int64_t pairs) {
    for (int64_t i = 0; i < pairs; i += 4) {
        int64_t left = pairs - i;
        float32x4_t cosine = f32x4_load_part(cosines + i, left), sine = f32x4_load_part(sines + i, left);
        float32x4_t v0 = f32x4_load_part(x + 2 * i, 2 * left);
        float32x4_t v1 = f32x4_load_part(x + 2 * i + 4, 2 * left - 4);
        float32x4_t a = vuzp1q_f32(v0, v1), b = vuzp2q_f32(v0, v1);
        float32x4_t first = vfmsq_f32(vmulq_f32(a, cosine), b, sine);
        float32x4_t second = vfmaq_f32(vmulq_f32(b, cosine), a, sine);
        f32x4_store_part(x + 2 * i, 2 * left, vzip1q_f32(first, second));
        f32x4_store_part(x + 2 * i + 4, 2 * left - 4, vzip2q_f32(first, second));
    }
}

static void rope_half(float *x, const float *cosines, const float *sines, int64_t pairs) {
    for (int64_t i = 0; i < pairs; i += 4) {
        int64_t left = pairs - i;
        float32x4_t cosine = f32x4_load_part(cosines + i, left), sine = f32x4_load_part(sines + i, left);
        float32x4_t a = f32x4_load_part(x + i, left), b = f32x4_load_part(x + pairs + i, left);
        float32x4_t first = vfmsq_f32(vmulq_f32(a, cosine), b, sine);
        float32x4_t second = vfmaq_f32(vmulq_f32(b, cosine), a, sine);
        f32x4_store_part(x + i, left, first);
        f32x4_store_part(x + pairs + i, left, second);
    }
}

static void store_f16(const float *x, int64_t count, uint16_t *y) {
    int64_t i = 0;
    for (; i + 4 <= count; i += 4) {
        // Bounds keep NaN as it is.
        float32x4_t v = vmaxq_f32(vminq_f32(vld1q_f32(x + i), vdupq_n_f32(65504)), vdupq_n_f32(-65504));
        vst1_u16(y + i, vreinterpret_u16_f16(vcvt_f16_f32(v)));
    }
    for (; i < count; i++) y[i] = half_from_float(x[i]);
}

// What both tables list: all but the integer products.
#define NEON_KERNELS                                                                                         \
    .quantize = quantize, .matmul_f16 = thimble_neon_matmul_f16, .matmul_f32 = thimble_neon_matmul_f32,      \
    .gather_row = thimble_scalar_gather_row, .rms_norm = rms_norm, .add_rms_norm = add_rms_norm,             \
    .layer_norm = layer_norm, .add = add, .add_scaled = add_scaled, .swiglu = swiglu, .gelu = gelu,          \
    .rope_interleaved = rope_interleaved, .rope_half = rope_half, .store_f16 = store_f16,                    \
    .store_int8 = thimble_scalar_store_int8, .store_int5 = thimble_scalar_store_int5,                        \
    .attention = thimble_neon_attention, .resample_row = thimble_neon_resample_row,                          \
    .blend_rows = thimble_neon_blend_rows

const thimble_kernels thimble_kernels_neon = {
    .name = "neon",
    .matmul_q4 = thimble_neon_matmul_q4,
    .matmul_q8 = thimble_neon_matmul_q8,
    NEON_KERNELS,
};

const thimble_kernels thimble_kernels_neon_i8mm = {
    .name = "neon_i8mm",
    .matmul_q4 = thimble_neon_i8mm_matmul_q4,
    .matmul_q8 = thimble_neon_i8mm_matmul_q8,
    NEON_KERNELS,
};

#endif
