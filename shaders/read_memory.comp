//! Reads memory from end to end: how fast this device can, which is what decoding is held against.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_shader_explicit_arithmetic_types : require
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_scalar_block_layout : require
#extension GL_EXT_control_flow_attributes : require
#include "parameters/read_memory.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const uint group_size = 256;
layout(constant_id = 1) const uint subgroup_size = 32;

layout(push_constant, scalar) uniform Parameters { thimble_read_memory p; };

layout(buffer_reference, std430, buffer_reference_align = 16) readonly buffer Lines { uvec4 at[]; };
layout(buffer_reference, scalar, buffer_reference_align = 4) buffer Sink { uint at; };

void main() {
    Lines lines = Lines(p.x);
    uint stride = gl_NumWorkGroups.x * group_size;
    uvec4 sum = uvec4(0);
    // Four loads under way at once.
    uint line = gl_WorkGroupID.x * group_size + gl_LocalInvocationID.x;
    for (; line + 3 * stride < p.count; line += 4 * stride) {
        uvec4 a = lines.at[line], b = lines.at[line + stride];
        uvec4 c = lines.at[line + 2 * stride], d = lines.at[line + 3 * stride];
        sum += (a ^ b) + (c ^ d);
    }
    for (; line < p.count; line += stride) sum += lines.at[line];
    uint total = sum.x + sum.y + sum.z + sum.w;
    if (total == 0x9e3779b9u) Sink(p.sink).at = total;
}
