//! `y = rmsNorm(x) * weight`, a workgroup a row.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "include/types.glsl"
#include "parameters/rms_norm.h"

layout(local_size_x_id = 0) in;
layout(push_constant, scalar) uniform Parameters { thimble_rms_norm p; };

#include "include/norm.glsl"

void main() {
    Floats weight = Floats(p.weight);
    for (uint row = gl_WorkGroupID.x; row < p.rows; row += gl_NumWorkGroups.x) {
        Floats x = row_of(p.x, row, p.columns), y = row_of(p.y, row, p.columns);
        Normaliser n = row_normaliser(x, p.columns, 0, p.epsilon);
        for (uint i = gl_LocalInvocationID.x; i < p.columns; i += gl_WorkGroupSize.x) {
            y.at[i] = normalised(n, x.at[i]) * weight.at[i];
        }
    }
}
