//! A resized image into normalised patches, in the order of Tensors.PatchCut; a workgroup a patch.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "include/patches.glsl"
#include "include/types.glsl"
#include "parameters/cut_patches.h"

layout(local_size_x_id = 0) in;
layout(push_constant, scalar) uniform Parameters { thimble_cut_patches p; };

void main() {
    uint count = p.width / p.patch_size * (p.height / p.patch_size);
    uint plane = p.patch_size * p.patch_size, elements = 3 * p.frame_count * plane;
    for (uint patch_ = gl_WorkGroupID.x; patch_ < count; patch_ += gl_NumWorkGroups.x) {
        uvec2 place = patch_place(patch_, p.width / p.patch_size, p.merge_size);
        Floats y = row_of(p.y, patch_, elements);
        for (uint i = gl_LocalInvocationID.x; i < elements; i += gl_WorkGroupSize.x) {
            uint channel = i / (p.frame_count * plane), pixel = i % plane;
            uint row = place.x * p.patch_size + pixel / p.patch_size;
            uint column = place.y * p.patch_size + pixel % p.patch_size;
            uint64_t byte = (uint64_t(row) * p.width + column) * 3 + channel;
            y.at[i] = Floats(p.normalised).at[channel * 256 + uint(Bytes(p.pixels + byte).at[0])];
        }
    }
}
