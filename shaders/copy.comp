//! Words from one place to another.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "include/types.glsl"
#include "parameters/copy.h"

layout(local_size_x_id = 0) in;
layout(push_constant, scalar) uniform Parameters { thimble_copy p; };

void main() {
    uint threads = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    for (uint64_t i = gl_GlobalInvocationID.x; i < p.count; i += threads) {
        Words(p.y + i * 4).at[0] = Words(p.x + i * 4).at[0];
    }
}
