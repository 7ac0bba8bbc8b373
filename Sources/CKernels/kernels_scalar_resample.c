//! Image resampling, as the definition has it: sums of bytes with fixed-point weights.
#include "variants.h"

// The byte nearest to a sum that started at one half.
static uint8_t byte_from_sum(int32_t sum, int32_t precision) {
    int32_t value = sum >> precision;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

void thimble_scalar_resample_row(const thimble_taps *taps, const uint8_t *row, uint8_t *out) {
    for (int64_t i = 0; i < taps->outputs; i++) {
        const int16_t *weights = taps->weights + i * taps->capacity;
        const uint8_t *pixels = row + (int64_t)taps->starts[i] * 3;
        for (int64_t channel = 0; channel < 3; channel++) {
            int32_t sum = 1 << (taps->precision - 1);
            for (int64_t tap = 0; tap < taps->counts[i]; tap++) {
                sum += weights[tap] * pixels[tap * 3 + channel];
            }
            out[i * 3 + channel] = byte_from_sum(sum, taps->precision);
        }
    }
}

void thimble_scalar_blend_rows(const uint8_t *const rows[], const int16_t *weights, int64_t count,
                               int32_t precision, int64_t length, uint8_t *out) {
    for (int64_t i = 0; i < length; i++) {
        int32_t sum = 1 << (precision - 1);
        for (int64_t row = 0; row < count; row++) sum += weights[row] * rows[row][i];
        out[i] = byte_from_sum(sum, precision);
    }
}
