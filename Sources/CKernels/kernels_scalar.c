//! The kernels' definition: each one as plainly as C can say it. Other variants are tested against these.
#include "float16.h"
#include "variants.h"
#include <math.h>

// Products and sums stay separate on every machine, so that the definition has one value.
#pragma STDC FP_CONTRACT OFF

enum { block = THIMBLE_BLOCK, tile_rows = THIMBLE_TILE_ROWS, unit_bytes = 64 };

// The address of the 32-bit word that holds input k of a row, for a type with `per_word` inputs a word.
static const uint8_t *word_address(const thimble_weights *w, int64_t row, int64_t k, int64_t per_word) {
    int64_t tile_bytes = w->padded_columns / per_word * unit_bytes;
    return (const uint8_t *)w->codes + row / tile_rows * tile_bytes + k / per_word * unit_bytes
           + row % tile_rows * 4;
}

static int32_t q4_code(const thimble_weights *w, int64_t row, int64_t k) {
    uint8_t byte = word_address(w, row, k, 8)[k % 4];
    return (k % 8 < 4 ? byte & 15 : byte >> 4) - 8;
}

static int32_t q8_code(const thimble_weights *w, int64_t row, int64_t k) {
    return (int8_t)word_address(w, row, k, 4)[k % 4];
}

static float f16_value(const thimble_weights *w, int64_t row, int64_t k) {
    uint16_t half;
    memcpy(&half, word_address(w, row, k, 2) + k % 2 * 2, sizeof half);
    return float_from_half(half);
}

static float f32_value(const thimble_weights *w, int64_t row, int64_t k) {
    float value;
    memcpy(&value, word_address(w, row, k, 1), sizeof value);
    return value;
}

static float weight_scale(const thimble_weights *w, int64_t row, int64_t k) {
    int64_t groups = w->padded_columns / w->group;
    return float_from_half(
        w->scales[(row / tile_rows * groups + k / w->group) * tile_rows + row % tile_rows]);
}

static int64_t row_end(const thimble_weights *w, int64_t tile_end) {
    return tile_end * tile_rows < w->rows ? tile_end * tile_rows : w->rows;
}

void thimble_scalar_quantize(const float *x, int64_t count, int64_t padded, int8_t *codes, float *scales,
                             int32_t *sums) {
    for (int64_t begin = 0; begin < padded; begin += block) {
        float largest = 0;
        int finite = 1;
        for (int64_t i = begin; i < begin + block && i < count; i++) {
            if (!isfinite(x[i])) finite = 0;
            if (fabsf(x[i]) > largest) largest = fabsf(x[i]);
        }
        int zero = !finite || largest < QUANTIZE_SMALLEST;
        float inverse = zero ? 0 : 127 / largest;
        int32_t sum = 0;
        for (int64_t i = begin; i < begin + block; i++) {
            codes[i] = zero || i >= count ? 0 : (int8_t)rintf(x[i] * inverse);
            sum += codes[i];
        }
        scales[begin / block] = !finite ? NAN : zero ? 0 : largest / 127;
        sums[begin / block] = sum;
    }
}

typedef int32_t code_function(const thimble_weights *w, int64_t row, int64_t k);

static inline void matmul_integer(code_function *code, const thimble_weights *w, const thimble_quantized *x,
                                  int64_t tokens, int64_t tile_begin, int64_t tile_end, float *y,
                                  int64_t y_stride) {
    for (int64_t token = 0; token < tokens; token++) {
        const int8_t *codes = x->codes + token * w->padded_columns;
        const float *scales = x->scales + token * (w->padded_columns / block);
        for (int64_t row = tile_begin * tile_rows; row < row_end(w, tile_end); row++) {
            float sum = 0;
            for (int64_t begin = 0; begin < w->padded_columns; begin += block) {
                int32_t dot = 0;
                for (int64_t k = begin; k < begin + block; k++) dot += code(w, row, k) * codes[k];
                sum += weight_scale(w, row, begin) * scales[begin / block] * (float)dot;
            }
            y[token * y_stride + row] = sum;
        }
    }
}

static void matmul_q4(const thimble_weights *w, const thimble_quantized *x, int64_t tokens,
                      int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride) {
    matmul_integer(q4_code, w, x, tokens, tile_begin, tile_end, y, y_stride);
}

static void matmul_q8(const thimble_weights *w, const thimble_quantized *x, int64_t tokens,
                      int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride) {
    matmul_integer(q8_code, w, x, tokens, tile_begin, tile_end, y, y_stride);
}

typedef float value_function(const thimble_weights *w, int64_t row, int64_t k);

static inline void matmul_float(value_function *value, const thimble_weights *w, const float *x,
                                int64_t x_stride, int64_t tokens, int64_t tile_begin, int64_t tile_end,
                                float *y, int64_t y_stride) {
    for (int64_t token = 0; token < tokens; token++) {
        for (int64_t row = tile_begin * tile_rows; row < row_end(w, tile_end); row++) {
            float sum = 0;
            for (int64_t k = 0; k < w->padded_columns; k++) sum += value(w, row, k) * x[token * x_stride + k];
            y[token * y_stride + row] = sum;
        }
    }
}

static void matmul_f16(const thimble_weights *w, const float *x, int64_t x_stride, int64_t tokens,
                       int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride) {
    matmul_float(f16_value, w, x, x_stride, tokens, tile_begin, tile_end, y, y_stride);
}

static void matmul_f32(const thimble_weights *w, const float *x, int64_t x_stride, int64_t tokens,
                       int64_t tile_begin, int64_t tile_end, float *y, int64_t y_stride) {
    matmul_float(f32_value, w, x, x_stride, tokens, tile_begin, tile_end, y, y_stride);
}

void thimble_scalar_gather_row(const thimble_weights *w, int32_t bits, int64_t row, int64_t columns,
                               float *y) {
    for (int64_t k = 0; k < columns; k++) {
        switch (bits) {
            case 4: y[k] = weight_scale(w, row, k) * (float)q4_code(w, row, k); break;
            case 8: y[k] = weight_scale(w, row, k) * (float)q8_code(w, row, k); break;
            case 16: y[k] = f16_value(w, row, k); break;
            default: y[k] = f32_value(w, row, k); break;
        }
    }
}

// 1 / sqrt(mean(x^2) + epsilon). In double, where the square of any float is finite.
static float inverse_root_mean_square(const float *x, int64_t count, float epsilon) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++) sum += (double)x[i] * x[i];
    return (float)(1 / sqrt(sum / (double)count + epsilon));
}

// x is normalised before the weight multiplies it: the other order could overflow.
void thimble_scalar_rms_norm(const float *x, const float *weight, int64_t count, float epsilon, float *y) {
    float inverse = inverse_root_mean_square(x, count, epsilon);
    for (int64_t i = 0; i < count; i++) y[i] = x[i] * inverse * weight[i];
}

void thimble_scalar_add_rms_norm(const float *x, const float *weight, int64_t count, float epsilon,
                                 float *residual) {
    float inverse = inverse_root_mean_square(x, count, epsilon);
    for (int64_t i = 0; i < count; i++) residual[i] += x[i] * inverse * weight[i];
}

void thimble_scalar_layer_norm(const float *x, const float *weight, const float *bias, int64_t count,
                               float epsilon, float *y) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++) sum += x[i];
    float mean = (float)(sum / (double)count);
    double squares = 0;
    for (int64_t i = 0; i < count; i++) squares += (double)(x[i] - mean) * (x[i] - mean);
    float inverse = (float)(1 / sqrt(squares / (double)count + epsilon));
    for (int64_t i = 0; i < count; i++) y[i] = (x[i] - mean) * inverse * weight[i] + bias[i];
}

void thimble_scalar_add(const float *x, int64_t count, float *y) {
    for (int64_t i = 0; i < count; i++) y[i] += x[i];
}

void thimble_scalar_add_scaled(const float *x, float factor, int64_t count, float *y) {
    for (int64_t i = 0; i < count; i++) y[i] += factor * x[i];
}

void thimble_scalar_swiglu(const float *x, int64_t count, float *y) {
    for (int64_t i = 0; i < count; i++) {
        float gate = x[2 * i], up = x[2 * i + 1];
        y[i] = gate / (1 + expf(-gate)) * up;
    }
}

// 1 + erf(z) = erfc(-z), which does not cancel where z is far below zero.
void thimble_scalar_gelu(const float *x, int64_t count, float *y) {
    for (int64_t i = 0; i < count; i++) y[i] = x[i] * 0.5f * erfcf(-x[i] * 0.70710678f);
}

static void rotate(float *a, float *b, float cosine, float sine) {
    float first = *a, second = *b;
    *a = first * cosine - second * sine;
    *b = second * cosine + first * sine;
}

void thimble_scalar_rope_interleaved(float *x, const float *cosines, const float *sines, int64_t pairs) {
    for (int64_t i = 0; i < pairs; i++) rotate(&x[2 * i], &x[2 * i + 1], cosines[i], sines[i]);
}

void thimble_scalar_rope_half(float *x, const float *cosines, const float *sines, int64_t pairs) {
    for (int64_t i = 0; i < pairs; i++) rotate(&x[i], &x[i + pairs], cosines[i], sines[i]);
}

static const thimble_kernels table = {
    .name = "scalar",
    .quantize = thimble_scalar_quantize,
    .matmul_q4 = matmul_q4,
    .matmul_q8 = matmul_q8,
    .matmul_f16 = matmul_f16,
    .matmul_f32 = matmul_f32,
    .gather_row = thimble_scalar_gather_row,
    .rms_norm = thimble_scalar_rms_norm,
    .add_rms_norm = thimble_scalar_add_rms_norm,
    .layer_norm = thimble_scalar_layer_norm,
    .add = thimble_scalar_add,
    .add_scaled = thimble_scalar_add_scaled,
    .swiglu = thimble_scalar_swiglu,
    .gelu = thimble_scalar_gelu,
    .rope_interleaved = thimble_scalar_rope_interleaved,
    .rope_half = thimble_scalar_rope_half,
    .store_f16 = thimble_scalar_store_f16,
    .store_int8 = thimble_scalar_store_int8,
    .store_int5 = thimble_scalar_store_int5,
    .attention = thimble_scalar_attention,
    .resample_row = thimble_scalar_resample_row,
    .blend_rows = thimble_scalar_blend_rows,
};

const thimble_kernels *thimble_kernels_scalar(void) { return &table; }
