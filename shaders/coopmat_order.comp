//! How the lanes of a subgroup hold a cooperative matrix A: a driver's own affair, found by looking.
#version 460
#pragma use_vulkan_memory_model
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#include "include/types.glsl"
#include "parameters/prepare_half.h"
layout(local_size_x_id = 0) in;
layout(constant_id = 2) const uint ROWS = 16;
layout(constant_id = 3) const uint COLUMNS = 16;
layout(push_constant, scalar) uniform Parameters { thimble_coopmat_order p; };

shared float16_t elements[ROWS * COLUMNS];

void main() {
    // Up to 256, which float16 holds.
    for (uint i = gl_LocalInvocationIndex; i < ROWS * COLUMNS; i += gl_WorkGroupSize.x) {
        elements[i] = float16_t(i / COLUMNS * 16 + i % COLUMNS);
    }
    barrier();
    coopmat<float16_t, gl_ScopeSubgroup, ROWS, COLUMNS, gl_MatrixUseA> a;
    coopMatLoad(a, elements, 0, COLUMNS, gl_CooperativeMatrixLayoutRowMajor);
    [[unroll]] for (uint i = 0; i < 8; ++i) {
        uint found = ~0u;
        if (i < a.length()) found = uint(a[i]);
        Words(p.y).at[gl_SubgroupInvocationID * 8 + i] = found;
    }
}
