//! Keys and values as pages hold them, Tensors.PagedKV: how many bytes they take, and what codes stand for.
#ifndef THIMBLE_CODES_GLSL
#define THIMBLE_CODES_GLSL
#extension GL_EXT_control_flow_attributes : enable
#include "parameters/kinds.h"

// A block of int5: elements, and bytes. Its first word has the fifth bits.
const uint INT5_BLOCK = 32;
const uint INT5_BLOCK_BYTES = 20;

// Bytes of a head's codes; of float16, its elements.
uint code_bytes(uint type, uint head_size) {
    if (type == THIMBLE_PAGES_F16) return 2 * head_size;
    if (type == THIMBLE_PAGES_INT8) return (head_size + 3) / 4 * 4;
    return (head_size + INT5_BLOCK - 1) / INT5_BLOCK * 4 + (head_size + 7) / 8 * 4;
}

// Bytes of what a head has behind all codes of its page: a scale, or a step and a least element.
uint scale_bytes(uint type) { return type == THIMBLE_PAGES_F16 ? 0 : 4; }

// Where the word lies, from the start of a row, that has the low bits of int5's element d.
uint low_bits_at(uint d) { return d / INT5_BLOCK * INT5_BLOCK_BYTES + 4 + d % INT5_BLOCK / 8 * 4; }

// Four int5 codes, a byte each, from d on, a multiple of 4: of their word of low bits, and their block's
// fifth bits.
uint int5_codes(uint low, uint fifth, uint d) {
    // Each of four bits goes to the lowest of a byte.
    uint spread = (fifth >> d % INT5_BLOCK & 15) * 0x00204081u & 0x01010101u;
    return (low >> (d & 4) & 0x0f0f0f0fu) | spread << 4;
}

// What four codes stand for, a byte each. `word` is the row's: a float32, or two bfloat16.
vec4 values_of(uint type, uint codes, uint word) {
    if (type == THIMBLE_PAGES_INT8) {
        ivec4 signed_codes = ivec4(codes << 24, codes << 16, codes << 8, codes) >> 24;
        return uintBitsToFloat(word) * vec4(signed_codes);
    }
    // Levels, as the CPU's kernels have them.
    vec4 c = vec4(uvec4(codes, codes >> 8, codes >> 16, codes >> 24) & 255);
    vec4 levels = c * (3009 + c * (2 * c - 93)) * (1.0 / 2048);
    return uintBitsToFloat(word & 0xffff0000u) + uintBitsToFloat(word << 16) * levels;
}

// What elements of codes are held within, 2^48; and the bits of 2^-120, below which a step or a scale is
// zero.
#define KV_LIMIT uintBitsToFloat(0x57800000u)
#define SMALLEST_BITS 0x03800000u

bool is_no_number(float x) { return (floatBitsToUint(x) & 0x7fffffffu) > 0x7f800000u; }

// What queries that int5 is read with are held within, 2^120, so that their rotation stays finite.
#define ROTATED_LIMIT uintBitsToFloat(0x7b800000u)

// The side of the matrix that runs of a head are rotated by: the largest power of two that divides it.
uint rotation_width(uint head_size) { return head_size & (~head_size + 1); }

// x within +-limit; what is not a number stays so, by its bits: a device's clamp() may make it a limit.
float bounded(float x, float limit) { return is_no_number(x) ? x : clamp(x, -limit, limit); }

// Eight codes that are on their way: of int8 their two words, of int5 the word of low bits and from the first
// one's on the fifth bits; and the row's word.
struct EightCodes { uint first, second, word; };

// What they stand for, as float16, where it saturates as pages of float16 do.
uvec4 halves_of(uint type, EightCodes codes) {
    bool is_int8 = type == THIMBLE_PAGES_INT8;
    uint low = is_int8 ? codes.first : int5_codes(codes.first, codes.second, 0);
    uint high = is_int8 ? codes.second : int5_codes(codes.first, codes.second, 4);
    vec4 a = values_of(type, low, codes.word), b = values_of(type, high, codes.word);
    [[unroll]] for (uint i = 0; i < 4; ++i) {
        a[i] = bounded(a[i], 65504);
        b[i] = bounded(b[i], 65504);
    }
    return uvec4(packHalf2x16(a.xy), packHalf2x16(a.zw), packHalf2x16(b.xy), packHalf2x16(b.zw));
}

// A rotation's steps within four elements.
vec4 rotated_within(vec4 x, uint width) {
    if (width > 1) x = vec4(x.x + x.y, x.x - x.y, x.z + x.w, x.z - x.w);
    if (width > 2) x = vec4(x.xy + x.zw, x.xy - x.zw);
    return x;
}

#endif
