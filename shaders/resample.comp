//! One axis of an image of bytes, resampled: sums in integers, the same on every device.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "include/types.glsl"
#include "parameters/resample.h"

layout(local_size_x_id = 0) in;
layout(push_constant, scalar) uniform Parameters { thimble_resample p; };

// Byte i of a line's outputs.
uint resampled(uint64_t line, uint i) {
    uint output_ = i / p.step;
    uint start = uint(Integers(p.starts).at[output_]), count = uint(Integers(p.counts).at[output_]);
    Shorts weights = Shorts(p.weights + uint64_t(output_) * p.capacity * 2);
    uint64_t x = line + uint64_t(start) * p.step + i % p.step;
    int sum = 1 << (p.fraction_bits - 1);
    for (uint tap = 0; tap < count; tap++) {
        sum += int(weights.at[tap]) * int(Bytes(x + uint64_t(tap) * p.step).at[0]);
    }
    return uint(clamp(sum >> p.fraction_bits, 0, 255));
}

void main() {
    uint threads = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    for (uint line = gl_WorkGroupID.y; line < p.lines; line += gl_NumWorkGroups.y) {
        uint64_t x = p.x + uint64_t(line) * p.inputs * p.step;
        Bytes y = Bytes(p.y + uint64_t(line) * p.outputs * p.step);
        for (uint i = gl_GlobalInvocationID.x; i < p.outputs * p.step; i += threads) {
            y.at[i] = uint8_t(resampled(x, i));
        }
    }
}
