//! float16 by its bits: exact on every machine, subnormals included, with no help from the instruction set.
#pragma once
#include <stdint.h>
#include <string.h>

static inline uint32_t float_bits(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float float_from_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

// The value of a float16. A signalling NaN comes back quiet, as hardware conversions give it.
static inline float float_from_half(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    uint32_t exponent = half >> 10 & 0x1f;
    uint32_t fraction = half & 0x3ff;
    if (exponent == 0x1f) {
        uint32_t quiet = fraction ? 0x400000 : 0;
        return float_from_bits(sign | 0x7f800000 | quiet | fraction << 13);
    }
    if (exponent == 0) {
        // A subnormal is its fraction in units of 2^-24, which float32 holds exactly as a normal number.
        float magnitude = (float)fraction * 0x1p-24f;
        return float_from_bits(sign | float_bits(magnitude));
    }
    return float_from_bits(sign | (exponent + 112) << 23 | fraction << 13);
}

// The float16 nearest to x, ties to even, saturating at +-65504. NaN stays NaN and keeps the top of its
// payload.
static inline uint16_t half_from_float(float x) {
    uint32_t bits = float_bits(x);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    uint32_t magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) return (uint16_t)(sign | 0x7e00 | (magnitude >> 13 & 0x3ff));
    if (magnitude >= 0x477fe000) return (uint16_t)(sign | 0x7bff);  // 65504 and above, infinity too
    uint32_t drop, kept;  // `kept` loses its lowest `drop` bits to rounding
    if (magnitude >= 0x38800000) {
        drop = 13;
        kept = magnitude - (112u << 23);
    } else {
        // Below 2^-14 the result counts units of 2^-24: the significand moves down to them.
        uint32_t exponent = magnitude >> 23;
        if (exponent < 102) return sign;  // below 2^-25: nearest to zero
        drop = 126 - exponent;
        kept = (magnitude & 0x7fffff) | 0x800000;
    }
    uint32_t half = kept >> drop;
    uint32_t rest = kept & ((1u << drop) - 1);
    uint32_t middle = 1u << (drop - 1);
    if (rest > middle || (rest == middle && (half & 1))) half += 1;  // a carry into the exponent is right
    return (uint16_t)(sign | half);
}
