//! A token's weight, exp((logit - highest) / temperature), and whole numbers in proportion to weights.
#ifndef THIMBLE_WEIGHT_GLSL
#define THIMBLE_WEIGHT_GLSL
#include "logit.glsl"

// log2(e) in units of 2^-31 and, what that leaves, of 2^-63.
const uint64_t LOG2_E_HIGH = 0xb8aa3b29ul;
const uint64_t LOG2_E_LOW = 0x5c17f0bbul;
// (ln 2)^k / k! in units of 2^-62: the series of 2^x.
const uint64_t SERIES[13] = uint64_t[](
        0x4000000000000000ul, 0x2c5c85fdf473de6bul, 0x0f5fdeffc162c754ul, 0x038d611ae09417f1ul,
        0x009d955b7dd273b9ul, 0x0015d87fe78a6731ul, 0x0002861225f0d8f1ul, 0x00003ff97f8b1162ul,
        0x0000058b0088e972ul, 0x0000006d494f4e58ul, 0x00000007933d4563ul, 0x000000007a32b1cdul,
        0x00000000070ef594ul);

// The bits of exp(-x), x being zero or more: the nearest float32 but for one in a thousand, as glibc's.
// Drivers' own differ by units, and by far where they take subnormal numbers for zero.
uint weight_bits(float x) {
    uint bits = floatBitsToUint(x);
    // Half of the least float32, and whatever is no number.
    if (bits >= floatBitsToUint(104.0)) return 0;
    // x is significand * 2^exponent; x * log2(e) in units of 2^-32.
    uint exponent = bits >> 23;
    uint64_t significand = uint64_t((bits & 0x7fffffu) | 0x800000u);
    uint64_t halvings = significand * LOG2_E_HIGH + (significand * LOG2_E_LOW >> 32);
    uint drop = 149 - exponent;
    halvings = drop > 60 ? 0 : (halvings + (1ul << (drop - 1))) >> drop;
    uint64_t part = halvings & 0xfffffffful;
    uint64_t power = SERIES[12];
    for (int k = 11; k >= 0; k--) {
        power = SERIES[k] - ((power >> 32) * part + ((power & 0xfffffffful) * part >> 32));
    }
    // power is 2^-part in units of 2^-62, above a half. To 24 bits, or the fewer of a subnormal number.
    int biased = 126 - int(halvings >> 32);
    drop = 38 + uint(max(1 - biased, 0));
    uint rounded = uint(power >> drop);
    uint64_t rest = power & ((1ul << drop) - 1), middle = 1ul << (drop - 1);
    if (rest > middle || (rest == middle && (rounded & 1) != 0)) rounded += 1;
    // The highest bit adds one to the exponent.
    return (uint(max(biased, 1) - 1) << 23) + rounded;
}

// A weight in units of 2^-44. Sums of these come out the same in any order; 2^19 weights fit into 63 bits.
uint64_t amount_of(uint weight) {
    uint exponent = weight >> 23;
    uint64_t significand = weight & 0x7fffffu;
    if (exponent > 0) significand |= 0x800000u;
    int shift = int(max(exponent, 1)) - 106;
    if (shift >= 0) return significand << uint(shift);
    return shift < -30 ? 0 : (significand + (1ul << uint(-shift - 1))) >> uint(-shift);
}

// amount * fraction, rounded up; the fraction is below 1.
uint64_t share_of(uint64_t amount, float fraction) {
    uint bits = floatBitsToUint(fraction);
    uint exponent = bits >> 23;
    uint64_t significand = bits & 0x7fffffu;
    if (exponent > 0) significand |= 0x800000u;
    uint drop = 126 - max(exponent, 1);
    // In units of 2^-drop.
    uint64_t low = (amount & 0xfffffful) * significand;
    uint64_t share = (amount >> 24) * significand + (low >> 24);
    bool leaves = (low & 0xfffffful) != 0;
    if (drop > 63) return 1;
    leaves = leaves || (share & ((1ul << drop) - 1)) != 0;
    return (share >> drop) + (leaves ? 1 : 0);
}

#endif
