//! float16 by its bits, as the CPU's kernels convert.

// The float16 nearest to x, ties to even, saturating at +-65504. NaN stays NaN.
uint half_from_float(float x) {
    uint bits = floatBitsToUint(x);
    uint sign = bits >> 16 & 0x8000u;
    uint magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return sign | 0x7e00u | (magnitude >> 13 & 0x3ffu);
    if (magnitude >= 0x477fe000u) return sign | 0x7bffu;
    uint drop = 13, kept = magnitude - (112u << 23);
    if (magnitude < 0x38800000u) {
        // Below 2^-14 the result counts units of 2^-24: the significand moves down to them.
        uint exponent = magnitude >> 23;
        if (exponent < 102) return sign;
        drop = 126 - exponent;
        kept = (magnitude & 0x7fffffu) | 0x800000u;
    }
    uint value = kept >> drop;
    uint rest = kept & ((1u << drop) - 1);
    uint middle = 1u << (drop - 1);
    if (rest > middle || (rest == middle && (value & 1) != 0)) value += 1;
    return sign | value;
}
