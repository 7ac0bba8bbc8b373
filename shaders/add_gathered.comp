//! Weighted rows of a table, added to patches that choose them by row and column; a workgroup a patch.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "include/patches.glsl"
#include "include/types.glsl"
#include "parameters/add_gathered.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 2) const uint TAPS = 4;
layout(push_constant, scalar) uniform Parameters { thimble_add_gathered p; };

void main() {
    uint count = p.grid_height * p.grid_width;
    for (uint patch_ = gl_WorkGroupID.x; patch_ < count; patch_ += gl_NumWorkGroups.x) {
        uvec2 place = patch_place(patch_, p.grid_width, p.merge_size);
        Integers indices = Integers(p.indices);
        Floats weights = Floats(p.weights), y = row_of(p.y, patch_, p.columns);
        uint row = place.x * TAPS, column = (p.grid_height + place.y) * TAPS;
        uint64_t rows[TAPS][TAPS];
        float products[TAPS][TAPS];
        [[unroll]] for (uint down = 0; down < TAPS; down++) {
            [[unroll]] for (uint across = 0; across < TAPS; across++) {
                uint index = uint(indices.at[row + down] + indices.at[column + across]);
                rows[down][across] = p.table + uint64_t(index) * p.columns * 4;
                products[down][across] = weights.at[row + down] * weights.at[column + across];
            }
        }
        for (uint i = gl_LocalInvocationID.x; i < p.columns; i += gl_WorkGroupSize.x) {
            float sum = y.at[i];
            [[unroll]] for (uint down = 0; down < TAPS; down++) {
                [[unroll]] for (uint across = 0; across < TAPS; across++) {
                    sum += products[down][across] * Floats(rows[down][across]).at[i];
                }
            }
            y.at[i] = sum;
        }
    }
}
