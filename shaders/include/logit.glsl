//! A token's logit as the sampler takes it: no NaN, with the penalties of what was seen, and its order.
#ifndef THIMBLE_LOGIT_GLSL
#define THIMBLE_LOGIT_GLSL
#include "types.glsl"
#include "parameters/sample.h"

// Integers are what logits are told apart by: a driver may take NaN, -0 and subnormal numbers for others.
const uint INFINITE = 0x7f800000u;
const uint SIGN = 0x80000000u;
// The order of minus infinity, which no token can be drawn with.
const uint ORDER_OF_NOTHING = ~(INFINITE | SIGN);
const uint ORDER_OF_INFINITE = INFINITE | SIGN;

bool is_nan(float x) { return (floatBitsToUint(x) & ~SIGN) > INFINITE; }

// Greater for the greater number, the same for both zeros.
uint order_of(float x) {
    uint bits = floatBitsToUint(x);
    if (is_nan(x)) return ORDER_OF_NOTHING;
    if (bits == SIGN) bits = 0;
    return (bits & SIGN) != 0 ? ~bits : bits | SIGN;
}

float of_order(uint order) {
    return uintBitsToFloat((order & SIGN) != 0 ? order & ~SIGN : ~order);
}

// a / b to the nearest, both positive: Vulkan lets a quotient be off by some units, and the host's is not.
float quotient(float a, float b) {
    uint a_bits = floatBitsToUint(a), b_bits = floatBitsToUint(b);
    int exponent = int(a_bits >> 23) - int(b_bits >> 23);
    bool is_plain = a_bits >= 0x00800000u && a_bits < INFINITE && b_bits >= 0x00800000u && b_bits < INFINITE
        && exponent > -125 && exponent < 127;
    // Near the ends of the range some units do not matter.
    if (!is_plain) return a / b;
    uint64_t dividend = uint64_t((a_bits & 0x7fffffu) | 0x800000u) << 26;
    uint divisor = (b_bits & 0x7fffffu) | 0x800000u;
    // 26 or 27 bits, the lowest of which also says whether anything is left.
    uint significand = uint(dividend / divisor);
    if (significand * divisor != uint(dividend)) significand |= 1;
    // To 24 bits, ties to even.
    uint drop = significand >= 1u << 26 ? 3 : 2;
    uint rounded = significand >> drop;
    uint rest = significand & ((1u << drop) - 1), middle = 1u << (drop - 1);
    if (rest > middle || (rest == middle && (rounded & 1) != 0)) rounded += 1;
    // The highest bit adds one to the exponent.
    return uintBitsToFloat((uint(exponent + 123 + int(drop)) << 23) + rounded);
}

// As the host penalises. `count` is twice how often the token was generated, plus 1 where it was seen.
float penalised(float value, uint count, thimble_sampling options) {
    precise float x = value;
    if ((count & 1) != 0) {
        x = x > 0 ? quotient(x, options.repetition_penalty) : x * options.repetition_penalty;
    }
    if (count > 1) {
        precise float penalty = float(count / 2) * options.frequency_penalty;
        penalty += options.presence_penalty;
        x -= penalty;
    }
    return x;
}

#endif
