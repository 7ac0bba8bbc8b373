//! Weighted rows of a table, added to rows: `y[r] += sum of weights[r][j] * table[indices[r][j]]`.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "include/types.glsl"
#include "parameters/add_gathered.h"

layout(local_size_x_id = 0) in;
layout(push_constant, scalar) uniform Parameters { thimble_add_gathered p; };

void main() {
    for (uint row = gl_WorkGroupID.x; row < p.rows; row += gl_NumWorkGroups.x) {
        Integers indices = Integers(p.indices + uint64_t(row) * p.taps * 4);
        Floats weights = row_of(p.weights, row, p.taps), y = row_of(p.y, row, p.columns);
        for (uint i = gl_LocalInvocationID.x; i < p.columns; i += gl_WorkGroupSize.x) {
            float sum = y.at[i];
            for (uint tap = 0; tap < p.taps; tap++) {
                sum += weights.at[tap] * row_of(p.table, uint(indices.at[tap]), p.columns).at[i];
            }
            y.at[i] = sum;
        }
    }
}
