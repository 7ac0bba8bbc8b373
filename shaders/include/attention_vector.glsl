//! What the shaders of attention for one query token share: parameters, ranges and how they are joined.
#extension GL_EXT_shader_explicit_arithmetic_types : require
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_scalar_block_layout : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "parameters/attention_vector.h"
#include "step.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const uint group_size = 128;
layout(constant_id = 1) const uint subgroup_size = 32;
layout(constant_id = 2) const uint query_heads = 16;
layout(constant_id = 3) const uint kv_heads = 1;
layout(constant_id = 4) const uint head_size = 128;
layout(constant_id = 5) const uint page_tokens = 16;
layout(constant_id = 6) const uint waits = 0;
layout(constant_id = 7) const uint least_positions = 32;

layout(push_constant, scalar) uniform Parameters { thimble_attention_vector p; };

layout(buffer_reference, scalar, buffer_reference_align = 4) coherent buffer Floats { float at[]; };
layout(buffer_reference, std430, buffer_reference_align = 16) coherent buffer Floats4 { vec4 at[]; };
layout(buffer_reference, scalar, buffer_reference_align = 4) readonly buffer Table { int at[]; };
layout(buffer_reference, scalar, buffer_reference_align = 4) readonly buffer Words { uint at[]; };

#define SCORE_LIMIT 3e38

const uint ratio = query_heads / kv_heads;
// Query heads that are held at once; others take their turn.
const uint rows = ratio < 16 ? ratio : 16;
const uint subgroups = group_size / subgroup_size;
// Ranges are joined in two steps, of at most this many parts each.
const uint most_parts = THIMBLE_ATTENTION_PARTS;

// Of the rows and parts that are being joined: the largest score, then the part's weight; and the sum of
// weights.
shared vec2 shares[rows * most_parts];
shared vec2 joined_shares[rows];
shared uint before;

// A range of positions leaves, for each query head, the sum of its values, weighed by e^(score - largest), in
// `parts`; behind all of them lie the largest score and the sum of weights.
uint64_t part_sums(uint part, uint head) {
    return p.parts + 4 * uint64_t((part * query_heads + head) * head_size);
}

uint64_t part_share(uint part, uint head) {
    return p.parts + 4 * uint64_t(query_heads) * (gl_NumWorkGroups.y * head_size + 2 * part) + 8 * head;
}

// Joins `count` parts, the first of which is `first`, each `distance` after the one before: into y where they
// are `all`, else into the first.
void join_parts(uint kv_head, uint first, uint distance, uint count, bool all) {
    for (uint row_begin = 0; row_begin < ratio; row_begin += rows) {
        for (uint i = gl_LocalInvocationIndex; i < rows * count; i += group_size) {
            uint r = i / count, s = i % count;
            if (row_begin + r >= ratio) continue;
            Floats share = Floats(part_share(first + s * distance, kv_head * ratio + row_begin + r));
            shares[r * most_parts + s] = vec2(share.at[0], share.at[1]);
        }
        barrier();
        for (uint r = gl_LocalInvocationIndex; r < rows; r += group_size) {
            float top = -SCORE_LIMIT, total = 0;
            for (uint s = 0; s < count; ++s) top = max(top, shares[r * most_parts + s].x);
            for (uint s = 0; s < count; ++s) {
                vec2 share = shares[r * most_parts + s];
                float weight = exp(share.x - top);
                total += weight * share.y;
                shares[r * most_parts + s].x = weight;
            }
            joined_shares[r] = vec2(top, total);
        }
        barrier();
        const uint width = head_size % 4 == 0 ? 4 : 1;
        for (uint i = gl_LocalInvocationIndex; i < rows * head_size / width; i += group_size) {
            uint r = width * i / head_size, d = width * i % head_size;
            if (row_begin + r >= ratio) continue;
            uint head = kv_head * ratio + row_begin + r;
            vec4 sum = vec4(0);
            for (uint s = 0; s < count; ++s) {
                uint64_t at = part_sums(first + s * distance, head) + 4 * d;
                vec4 value = width == 4 ? Floats4(at).at[0] : vec4(Floats(at).at[0]);
                sum += shares[r * most_parts + s].x * value;
            }
            vec2 share = joined_shares[r];
            if (all) sum = share.y == 0 ? vec4(0) : sum / share.y;
            uint64_t at = all ? p.y + 4 * (head * head_size + d) : part_sums(first, head) + 4 * d;
            if (width == 4) Floats4(at).at[0] = sum; else Floats(at).at[0] = sum.x;
            if (!all && d == 0) {
                Floats result = Floats(part_share(first, head));
                result.at[0] = share.x;
                result.at[1] = share.y;
            }
        }
        barrier();
    }
}

// Whether this workgroup is the last of `count` to raise a counter, which is then zero again. What the others
// wrote before can be read. All invocations call it.
bool is_last(uint counter, uint count) {
    memoryBarrierBuffer();
    barrier();
    if (gl_LocalInvocationIndex == 0) {
        before = atomicAdd(Links(p.arrived).at[counter], 1);
        if (before == count - 1) Links(p.arrived).at[counter] = 0;
    }
    barrier();
    memoryBarrierBuffer();
    return before == count - 1;
}

// Joins what the workgroups of a key head have left of `ranges` ranges; those that come last do it.
void join_ranges(uint kv_head, uint ranges) {
    // Parts a step: as many in the first as in the second, unless one step does.
    uint width = ranges;
    if (ranges > 8) {
        width = 4;
        while (width * width < ranges) ++width;
    }
    uint steps = (ranges + width - 1) / width;
    uint group = gl_WorkGroupID.y / width;
    uint counter = kv_head * (most_parts + 1);
    uint members = min(width, ranges - group * width);
    if (!is_last(counter + 1 + group, members)) return;
    join_parts(kv_head, group * width, 1, members, steps == 1);
    if (steps == 1 || !is_last(counter, steps)) return;
    join_parts(kv_head, 0, width, steps, true);
}

// What a workgroup without positions does while others attend: it asks for the weights of the dispatches that
// follow, one word of each sector of 32 bytes, so that they lie in the device's cache.
void bring_weights(uint ranges) {
    uint idle = (gl_NumWorkGroups.y - ranges) * kv_heads;
    uint worker = (gl_WorkGroupID.y - ranges) * kv_heads + gl_WorkGroupID.x;
    uint sectors = p.ahead_size / 32, stride = idle * group_size;
    uint touched = 0;
    for (uint i = worker * group_size + gl_LocalInvocationIndex; i < sectors; i += 8 * stride) {
        uint words[8];
        [[unroll]] for (uint j = 0; j < 8; ++j) {
            uint sector = min(i + j * stride, sectors - 1);
            words[j] = Words(p.ahead + 32 * uint64_t(sector)).at[0];
        }
        [[unroll]] for (uint j = 0; j < 8; ++j) touched ^= words[j];
    }
    // Never so, but the loads must count for something.
    if (touched == 0x12345678u && p.ahead_size == ~0u) Floats(p.y).at[0] = 0;
}
