//! The prologue of a many-row projection: rows plain, normalised, or joined to the residual; scaled float16.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#include "include/types.glsl"
#include "parameters/prepare_half.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 2) const uint KIND = 0;
layout(constant_id = 3) const uint KEPT = 4;
layout(constant_id = 4) const uint ORDER = 0;

layout(push_constant, scalar) uniform Parameters { thimble_prepare_half p; };
layout(buffer_reference, scalar, buffer_reference_align = 16) buffer Vectors { vec4 at[]; };
layout(buffer_reference, scalar, buffer_reference_align = 8) buffer HalfQuads { f16vec4 at[]; };
layout(buffer_reference, scalar, buffer_reference_align = 16) buffer Places { uvec4 at[]; };
layout(buffer_reference, scalar, buffer_reference_align = 4) buffer HalfPairs { f16vec2 at[]; };

const uint notFinite = 0x7f800000u;
shared vec2 partial[gl_WorkGroupSize.x];

// Four floats of a row from column 4 * index on, zero beyond the columns. Rows start at multiples of 4 bytes.
vec4 load(uint64_t address, uint64_t row, uint index) {
    uint first = 4 * index;
    uint64_t start = address + 4 * row * p.columns;
    if (p.columns % 4 == 0 && address % 16 == 0) {
        return first < p.columns ? Vectors(start).at[index] : vec4(0);
    }
    vec4 v = vec4(0);
    [[unroll]] for (uint i = 0; i < 4; ++i) {
        if (first + i < p.columns) v[i] = Floats(start).at[first + i];
    }
    return v;
}

void store(uint64_t address, uint64_t row, uint index, vec4 v) {
    uint first = 4 * index;
    uint64_t start = address + 4 * row * p.columns;
    if (p.columns % 4 == 0 && address % 16 == 0) {
        if (first < p.columns) Vectors(start).at[index] = v;
        return;
    }
    [[unroll]] for (uint i = 0; i < 4; ++i) {
        if (first + i < p.columns) Floats(start).at[first + i] = v[i];
    }
}

// The sum of a over the workgroup, and the largest of b: non-negative floats as bits, so that what is not a
// number is the largest of all.
vec2 reduce(float a, uint b) {
    a = subgroupAdd(a);
    b = subgroupMax(b);
    barrier();
    if (gl_SubgroupInvocationID == 0) partial[gl_SubgroupID] = vec2(a, uintBitsToFloat(b));
    barrier();
    float sum = 0;
    uint largest = 0;
    for (uint i = 0; i < gl_NumSubgroups; ++i) {
        sum += partial[i].x;
        largest = max(largest, floatBitsToUint(partial[i].y));
    }
    return vec2(sum, uintBitsToFloat(largest));
}

uint largestBits(vec4 v) {
    uvec4 bits = floatBitsToUint(v) & 0x7fffffffu;
    return max(max(bits.x, bits.y), max(bits.z, bits.w));
}

vec4 row[KEPT];

// 1 / sqrt(mean(row^2) + epsilon), where the square of a float may pass a float's range.
float inverseRootMeanSquare() {
    float sum = 0;
    uint largest = 0;
    [[unroll]] for (uint i = 0; i < KEPT; ++i) {
        sum += dot(row[i], row[i]);
        largest = max(largest, largestBits(row[i]));
    }
    vec2 whole = reduce(sum, largest);
    uint bits = floatBitsToUint(whole.y);
    if (bits >= notFinite) return uintBitsToFloat(0x7fc00000u);
    if (whole.y < 1e15 && whole.y > 1e-15) return inversesqrt(whole.x / p.columns + p.epsilon);
    if (whole.y == 0) return inversesqrt(p.epsilon);
    // The largest becomes about 1; a mean that small or that large leaves epsilon no part but its own.
    float unit = whole.y;
    sum = 0;
    [[unroll]] for (uint i = 0; i < KEPT; ++i) {
        vec4 v = row[i] / unit;
        sum += dot(v, v);
    }
    float root = unit * sqrt(reduce(sum, 0).x / p.columns);
    return root > 1 ? 1 / root : inversesqrt(root * root + p.epsilon);
}

void main() {
    uint64_t r = gl_WorkGroupID.x;
    uint thread = gl_LocalInvocationID.x;
    [[unroll]] for (uint i = 0; i < KEPT; ++i) {
        row[i] = load(KIND == 2 ? p.delta : p.x, r, thread + i * gl_WorkGroupSize.x);
    }
    if (KIND == 2) {
        float inverse = inverseRootMeanSquare();
        [[unroll]] for (uint i = 0; i < KEPT; ++i) {
            uint index = thread + i * gl_WorkGroupSize.x;
            row[i] = load(p.x, r, index) + row[i] * inverse * load(p.delta_weight, 0, index);
            store(p.residual_out, r, index, row[i]);
        }
    }
    if (KIND != 0) {
        float inverse = inverseRootMeanSquare();
        [[unroll]] for (uint i = 0; i < KEPT; ++i) {
            row[i] = row[i] * inverse * load(p.weight, 0, thread + i * gl_WorkGroupSize.x);
        }
    }
    uint largest = 0;
    [[unroll]] for (uint i = 0; i < KEPT; ++i) largest = max(largest, largestBits(row[i]));
    uint bits = floatBitsToUint(reduce(0, largest).y);
    // The scale puts the largest between 2^14 and 2^15: as much room below as float16 gives. A row of which
    // nothing reaches 2^-100 is taken as zero.
    int exponent = int(bits >> 23) - 127;
    bool isZero = exponent < -100;
    float scale = isZero ? 1 : uintBitsToFloat(uint(exponent - 14 + 127) << 23);
    float inverse = isZero ? 0 : uintBitsToFloat(uint(14 - exponent + 127) << 23);
    if (thread == 0) {
        Floats(p.scales).at[gl_WorkGroupID.x] = bits >= notFinite ? uintBitsToFloat(0x7fc00000u) : scale;
    }
    uint tile_row = gl_WorkGroupID.x % 16;
    uint64_t blocks = p.y + uint64_t(gl_WorkGroupID.x / 16) * (p.padded_columns / 16) * 512;
    [[unroll]] for (uint i = 0; i < KEPT; ++i) {
        uint column = 4 * (thread + i * gl_WorkGroupSize.x);
        if (column >= p.padded_columns) break;
        f16vec4 v = f16vec4(bits >= notFinite ? vec4(0) : row[i] * inverse);
        uint64_t block = blocks + column / 16 * 512;
        column %= 16;
        if (ORDER == 0) {
            HalfQuads(block + tile_row * 32 + column * 2).at[0] = v;
            continue;
        }
        uvec4 places = Places(p.order).at[(tile_row * 16 + column) / 4];
        if (places.y == places.x + 1 && places.w == places.z + 1 && (places.x | places.z) % 2 == 0) {
            HalfPairs(block).at[places.x / 2] = v.xy;
            HalfPairs(block).at[places.z / 2] = v.zw;
        } else {
            [[unroll]] for (uint j = 0; j < 4; ++j) Halves(block).at[places[j]] = v[j];
        }
    }
}
