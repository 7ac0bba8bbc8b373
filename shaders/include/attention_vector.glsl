//! What the shaders of attention for one query token share: parameters, ranges and how they are joined.
#extension GL_EXT_shader_explicit_arithmetic_types : require
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_scalar_block_layout : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "parameters/attention_vector.h"
#include "links.glsl"
#include "step.glsl"
#include "attention_parts.glsl"
#include "codes.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const uint group_size = 128;
layout(constant_id = 1) const uint subgroup_size = 32;
layout(constant_id = 2) const uint query_heads = 16;
layout(constant_id = 3) const uint kv_heads = 1;
layout(constant_id = 4) const uint head_size = 128;
layout(constant_id = 5) const uint page_tokens = 16;
layout(constant_id = 6) const uint least_positions = 32;
layout(constant_id = 7) const uint type = THIMBLE_PAGES_F16;

layout(push_constant, scalar) uniform Parameters { thimble_attention_vector p; };

layout(buffer_reference, scalar, buffer_reference_align = 4) buffer Floats { SHARED float at[]; };
layout(buffer_reference, std430, buffer_reference_align = 16) buffer Floats4 { SHARED vec4 at[]; };
layout(buffer_reference, scalar, buffer_reference_align = 4) readonly buffer Table { int at[]; };

#define SCORE_LIMIT 3e38

const uint ratio = query_heads / kv_heads;
// Query heads that are held at once; others take their turn.
const uint rows = ratio < 16 ? ratio : 16;
const uint subgroups = group_size / subgroup_size;
// Ranges that are joined to one part at most.
const uint most_parts = THIMBLE_ATTENTION_PARTS;

// Of the rows and parts that are being joined: the largest score, then the part's weight; and the sum of
// weights.
shared vec2 shares[rows * most_parts];
shared vec2 joined_shares[rows];
shared uint before;

// A range of positions leaves, for each query head, the sum of its values, weighed by e^(score - largest), in
// `parts`; behind all of them lie the largest score and the sum of weights.
uint64_t part_sums(uint part, uint head) { return sums_of_part(p.parts, part, head, query_heads, head_size); }

uint64_t part_share(uint part, uint head) {
    return share_of_part(p.parts, gl_NumWorkGroups.y, part, head, query_heads, head_size);
}

// Joins `count` parts into the first of them, `first`.
void join_parts(uint kv_head, uint first, uint count) {
    for (uint row_begin = 0; row_begin < ratio; row_begin += rows) {
        for (uint i = gl_LocalInvocationIndex; i < rows * count; i += group_size) {
            uint r = i / count, s = i % count;
            if (row_begin + r >= ratio) continue;
            Floats share = Floats(part_share(first + s, kv_head * ratio + row_begin + r));
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
            // All of them are on their way before the first is needed: a branch around each would
            // prevent that.
            vec4 values[most_parts];
            [[unroll]] for (uint s = 0; s < most_parts; ++s) {
                uint64_t at = part_sums(first + min(s, count - 1), head) + 4 * d;
                values[s] = width == 4 ? Floats4(at).at[0] : vec4(Floats(at).at[0]);
            }
            vec4 sum = vec4(0);
            [[unroll]] for (uint s = 0; s < most_parts; ++s)
                if (s < count) sum += shares[r * most_parts + s].x * values[s];
            uint64_t at = part_sums(first, head) + 4 * d;
            if (width == 4) Floats4(at).at[0] = sum; else Floats(at).at[0] = sum.x;
            if (d == 0) {
                Floats result = Floats(part_share(first, head));
                result.at[0] = joined_shares[r].x;
                result.at[1] = joined_shares[r].y;
            }
        }
        barrier();
    }
}

// Whether this workgroup is the last of `count` to raise a counter, which is then zero again. What the others
// wrote before can be read. All invocations call it.
bool is_last(uint counter, uint count) {
    show_others();
    meet();
    if (gl_LocalInvocationIndex == 0) {
        before = atomicAdd(Links(p.arrived).at[counter], 1);
        if (before == count - 1) Links(p.arrived).at[counter] = 0;
    }
    barrier();
    see_others();
    return before == count - 1;
}

// Joins what the workgroups of a key head have left of `ranges` ranges to as many parts as a projection joins
// by itself; of those whose ranges become one part, the last to come does it.
void join_ranges(uint kv_head, uint ranges) {
    uint width = ranges_of_part(ranges);
    if (width == 1) return;
    uint part = gl_WorkGroupID.y / width;
    uint members = min(width, ranges - part * width);
    if (members > 1 && is_last(kv_head * THIMBLE_ATTENTION_JOINED + part, members))
        join_parts(kv_head, part * width, members);
}
