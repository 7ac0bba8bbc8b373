//! Rows of a weight matrix, dequantised: `y[i] = table[tokens[i]]`.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "include/table.glsl"
#include "parameters/embed.h"

layout(local_size_x_id = 0) in;
layout(push_constant, scalar) uniform Parameters { thimble_embed p; };

void main() {
    for (uint i = gl_WorkGroupID.x; i < p.rows; i += gl_NumWorkGroups.x) {
        uint row = uint(Integers(p.tokens).at[i]);
        Floats y = row_of(p.y, i, p.columns);
        for (uint column = gl_LocalInvocationID.x; column < p.columns; column += gl_WorkGroupSize.x) {
            y.at[column] = table_value(p.codes, p.scales, p.padded_columns, row, column);
        }
    }
}
