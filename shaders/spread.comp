//! Numbers of a grid's rows and columns, side by side for each patch; a workgroup a patch.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "include/patches.glsl"
#include "include/types.glsl"
#include "parameters/spread.h"

layout(local_size_x_id = 0) in;
layout(push_constant, scalar) uniform Parameters { thimble_spread p; };

void main() {
    uint count = p.grid_height * p.grid_width;
    for (uint patch_ = gl_WorkGroupID.x; patch_ < count; patch_ += gl_NumWorkGroups.x) {
        uvec2 place = patch_place(patch_, p.grid_width, p.merge_size);
        Floats row = row_of(p.sides, place.x, p.columns);
        Floats column = row_of(p.sides, p.grid_height + place.y, p.columns);
        Floats y = row_of(p.y, patch_, 2 * p.columns);
        for (uint i = gl_LocalInvocationID.x; i < 2 * p.columns; i += gl_WorkGroupSize.x) {
            if (i < p.columns) y.at[i] = row.at[i]; else y.at[i] = column.at[i - p.columns];
        }
    }
}
