//! Cosine and sine of any angle, to about 1e-7 whatever the driver's own are good for.
#ifndef THIMBLE_ANGLE_GLSL
#define THIMBLE_ANGLE_GLSL
#include "types.glsl"

// 2 / pi in units of 2^-32 and, what that leaves, of 2^-64.
const uint64_t QUARTERS_HIGH = 0xa2f9836eul;
const uint64_t QUARTERS_LOW = 0x4e441529ul;

// (cosine, sine) of an angle that is zero or more, in radians. Quarter turns are counted in integers: 2^-32
// of one is exact enough, and whole turns fall off the top.
vec2 cosine_and_sine(float angle) {
    float rest = angle;
    uint quarter = 0;
    if (angle > 0.75) {
        uint bits = floatBitsToUint(angle);
        uint64_t significand = uint64_t((bits & 0x7fffffu) | 0x800000u);
        // The angle is significand * 2^exponent.
        int exponent = int(bits >> 23) - 150;
        uint64_t turned = significand * QUARTERS_HIGH + (significand * QUARTERS_LOW >> 32);
        turned = exponent < 0 ? turned >> uint(-exponent) : turned << min(uint(exponent), 63u);
        // To the nearest quarter: what is left lies in -0.5..<0.5 of one, and is the low half read as signed.
        quarter = uint((turned + 0x80000000ul) >> 32) & 3u;
        rest = float(int(uint(turned))) * (1.57079632679489662 / 4294967296.0);
    }
    // Their series: the first terms left out are below 2e-9 at an eighth of a turn.
    float square = rest * rest;
    float sine = rest + rest * square * (-1.0 / 6 + square * (1.0 / 120 + square * (-1.0 / 5040
        + square * (1.0 / 362880))));
    float cosine = 1 + square * (-0.5 + square * (1.0 / 24 + square * (-1.0 / 720
        + square * (1.0 / 40320 + square * (-1.0 / 3628800)))));
    if ((quarter & 1) != 0) {
        float was = cosine;
        cosine = -sine;
        sine = was;
    }
    return quarter >= 2 ? vec2(-cosine, -sine) : vec2(cosine, sine);
}

#endif
