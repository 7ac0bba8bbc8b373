//! Weighted rows of a table, added to patches that choose them by row and column; a workgroup a patch.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "include/patches.glsl"
#include "include/types.glsl"
#include "parameters/add_gathered.h"

layout(local_size_x_id = 0) in;
layout(push_constant, scalar) uniform Parameters { thimble_add_gathered p; };

void main() {
    uint count = p.grid_height * p.grid_width;
    for (uint patch_ = gl_WorkGroupID.x; patch_ < count; patch_ += gl_NumWorkGroups.x) {
        uvec2 place = patch_place(patch_, p.grid_width, p.merge_size);
        uint row = place.x * p.taps, column = (p.grid_height + place.y) * p.taps;
        Integers indices = Integers(p.indices);
        Floats weights = Floats(p.weights), y = row_of(p.y, patch_, p.columns);
        for (uint i = gl_LocalInvocationID.x; i < p.columns; i += gl_WorkGroupSize.x) {
            float sum = y.at[i];
            for (uint down = row; down < row + p.taps; down++) {
                for (uint across = column; across < column + p.taps; across++) {
                    uint index = uint(indices.at[down] + indices.at[across]);
                    sum += weights.at[down] * weights.at[across] * row_of(p.table, index, p.columns).at[i];
                }
            }
            y.at[i] = sum;
        }
    }
}
