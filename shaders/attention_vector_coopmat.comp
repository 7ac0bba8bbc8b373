//! attention_vector with cooperative matrices: the query heads of a key head are the rows of a matrix.
//
// Each subgroup takes tiles of 16 positions by itself, with the online softmax; a workgroup's subgroups join
// in shared memory. Queries and softmax weights are float16 in two parts, which together hold about 22 bits.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_vote : require
#include "include/attention_vector.glsl"

layout(buffer_reference, std430, buffer_reference_align = 16) coherent buffer Units { uvec4 at[]; };

// Halves from a row to the next in shared memory: rows begin in different banks.
const uint width = head_size + 8;
const uint row_units = head_size / 8;       // of 16 bytes
const uint tile_units = 16 * row_units;     // of the keys or values of a tile
const uint lane_units = tile_units / 32;    // that each lane brings
const uint slices = head_size / 16;

#define MatrixA coopmat<float16_t, gl_ScopeSubgroup, 16, 16, gl_MatrixUseA>
#define MatrixB coopmat<float16_t, gl_ScopeSubgroup, 16, 16, gl_MatrixUseB>
#define Sums coopmat<float, gl_ScopeSubgroup, 16, 16, gl_MatrixUseAccumulator>

// Per subgroup: the keys of a tile, then its values.
shared f16vec4 staged[subgroups * 16 * width / 4];
// The queries' two parts, each row over a power of two.
shared float16_t queries[2 * 16 * width];
shared float query_scales[16];
// Per subgroup: scores, factors, or sums.
shared float scratch[subgroups * 256];
// Per subgroup: the softmax weights' two parts.
shared f16vec4 weight_parts[subgroups * 128];
shared float largest[subgroups * 16], total[subgroups * 16];

// A row's queries, an invocation each 16th of it.
void put_queries(uint kv_head) {
    for (uint i = gl_LocalInvocationIndex; i < 256; i += group_size) {
        uint r = i / 16, lane = i % 16;
        float top = 0;
        float q[slices];
        [[unroll]] for (uint j = 0; j < slices; ++j) {
            q[j] = 0;
            uint at = (kv_head * ratio + r) * head_size + 16 * j + lane;
            if (r < ratio) q[j] = Floats(p.queries).at[at] * p.scale;
            top = max(top, abs(q[j]));
        }
        [[unroll]] for (uint other = 1; other < 16; other *= 2)
            top = max(top, subgroupShuffleXor(top, other));
        // The power of two at or below the largest, so that what is left is below 2.
        uint exponent = clamp(floatBitsToUint(top) >> 23, 1u, 253u);
        float inverse = uintBitsToFloat((254 - exponent) << 23);
        if (lane == 0) query_scales[r] = uintBitsToFloat(exponent << 23);
        [[unroll]] for (uint j = 0; j < slices; ++j) {
            float value = q[j] * inverse;
            float16_t high = float16_t(value);
            queries[r * width + 16 * j + lane] = high;
            queries[(16 + r) * width + 16 * j + lane] = float16_t(value - float(high));
        }
    }
}

// Puts what the lanes hold of 16 rows into the subgroup's part of `staged`.
void stage(uint at, uvec4 units[lane_units], uint real_rows) {
    [[unroll]] for (uint i = 0; i < lane_units; ++i) {
        uint unit = 32 * i + gl_SubgroupInvocationID, row = unit / row_units;
        uint to = at + row * (width / 4) + unit % row_units * 2;
        // What lies beyond the last position may not even be numbers.
        uvec4 bits = row < real_rows ? units[i] : uvec4(0);
        staged[to] = f16vec4(unpackFloat2x16(bits.x), unpackFloat2x16(bits.y));
        staged[to + 1] = f16vec4(unpackFloat2x16(bits.z), unpackFloat2x16(bits.w));
    }
}

void settle() {
    subgroupMemoryBarrierShared();
    subgroupBarrier();
}

void attend_range(uint length, uint share, uint ranges) {
    uint kv_head = gl_WorkGroupID.x;
    Table table = Table(Step(p.step).step.block_table);
    uint begin = gl_WorkGroupID.y * share, end = min(begin + share, length);
    put_queries(kv_head);
    barrier();

    uint lane = gl_SubgroupInvocationID, subgroup = gl_SubgroupID;
    uint staged_at = subgroup * 4 * width, scores_at = subgroup * 256, weights_at = subgroup * 128;
    uint row = lane / 2, eighth = lane % 2 * 8; // whose weights the lane computes: eight of a row's 16
    uint64_t page_bytes = 4 * kv_heads * page_tokens * head_size;
    uint values_offset = 2 * kv_heads * page_tokens * head_size;
    Sums sums[slices];
    [[unroll]] for (uint j = 0; j < slices; ++j) sums[j] = Sums(0);
    float top = -SCORE_LIMIT, weight_sum = 0;
    float unscale = query_scales[row];

    for (uint first = begin + 16 * subgroup; first < end; first += 16 * subgroups) {
        uint page = uint(table.at[first / page_tokens]);
        uint64_t at = p.pages + page * page_bytes
            + 2 * ((kv_head * page_tokens + first % page_tokens) * head_size);
        uvec4 keys[lane_units], values[lane_units];
        [[unroll]] for (uint i = 0; i < lane_units; ++i) keys[i] = Units(at).at[32 * i + lane];
        [[unroll]] for (uint i = 0; i < lane_units; ++i)
            values[i] = Units(at + values_offset).at[32 * i + lane];
        stage(staged_at, keys, end - first);
        settle();

        Sums scores = Sums(0), low_scores = Sums(0);
        [[unroll]] for (uint j = 0; j < slices; ++j) {
            MatrixA q;
            MatrixB k;
            coopMatLoad(k, staged, staged_at + 4 * j, width / 4, gl_CooperativeMatrixLayoutColumnMajor);
            coopMatLoad(q, queries, 16 * j, width, gl_CooperativeMatrixLayoutRowMajor);
            scores = coopMatMulAdd(q, k, scores);
            coopMatLoad(q, queries, 16 * width + 16 * j, width, gl_CooperativeMatrixLayoutRowMajor);
            low_scores = coopMatMulAdd(q, k, low_scores);
        }
        scores += low_scores;
        coopMatStore(scores, scratch, scores_at, 16, gl_CooperativeMatrixLayoutRowMajor);
        settle();

        float s[8];
        float highest = top;
        [[unroll]] for (uint i = 0; i < 8; ++i) {
            s[i] = scratch[scores_at + row * 16 + eighth + i] * unscale;
            if (s[i] > SCORE_LIMIT) s[i] = SCORE_LIMIT;
            if (s[i] < -SCORE_LIMIT || first + eighth + i >= end) s[i] = -SCORE_LIMIT;
            highest = max(highest, s[i]);
        }
        highest = max(highest, subgroupShuffleXor(highest, 1));
        float factor = exp(top - highest);
        float added = 0;
        [[unroll]] for (uint i = 0; i < 8; ++i) {
            s[i] = first + eighth + i < end ? exp(s[i] - highest) : 0;
            added += s[i];
        }
        weight_sum = weight_sum * factor + added;
        bool grows = subgroupAny(highest > top);
        top = highest;
        stage(staged_at, values, end - first);
        [[unroll]] for (uint i = 0; i < 2; ++i) {
            vec4 weights = vec4(s[4 * i], s[4 * i + 1], s[4 * i + 2], s[4 * i + 3]);
            f16vec4 high = f16vec4(weights);
            uint to = weights_at + row * 4 + eighth / 4 + i;
            weight_parts[to] = high;
            weight_parts[to + 64] = f16vec4(weights - vec4(high));
        }
        if (grows) {
            // Sums shrink to the new largest scores: the factors as a matrix.
            [[unroll]] for (uint i = 0; i < 8; ++i) scratch[scores_at + row * 16 + eighth + i] = factor;
            settle();
            Sums factors;
            coopMatLoad(factors, scratch, scores_at, 16, gl_CooperativeMatrixLayoutRowMajor);
            [[unroll]] for (uint j = 0; j < slices; ++j) sums[j] = sums[j] * factors;
        }
        settle();
        MatrixA weights, low_weights;
        coopMatLoad(weights, weight_parts, weights_at, 4, gl_CooperativeMatrixLayoutRowMajor);
        coopMatLoad(low_weights, weight_parts, weights_at + 64, 4, gl_CooperativeMatrixLayoutRowMajor);
        [[unroll]] for (uint j = 0; j < slices; ++j) {
            MatrixB v;
            coopMatLoad(v, staged, staged_at + 4 * j, width / 4, gl_CooperativeMatrixLayoutRowMajor);
            sums[j] = coopMatMulAdd(weights, v, sums[j]);
            sums[j] = coopMatMulAdd(low_weights, v, sums[j]);
        }
        settle();
    }

    weight_sum += subgroupShuffleXor(weight_sum, 1);
    if (eighth == 0) {
        largest[subgroup * 16 + row] = top;
        total[subgroup * 16 + row] = weight_sum;
    }
    // The subgroups' sums join, 16 dimensions at a time.
    [[unroll]] for (uint j = 0; j < slices; ++j) {
        coopMatStore(sums[j], scratch, scores_at, 16, gl_CooperativeMatrixLayoutRowMajor);
        barrier();
        for (uint i = gl_LocalInvocationIndex; i < ratio * 16; i += group_size) {
            uint r = i / 16, d = 16 * j + i % 16;
            float highest = -SCORE_LIMIT, weights = 0, sum = 0;
            for (uint other = 0; other < subgroups; ++other)
                highest = max(highest, largest[other * 16 + r]);
            for (uint other = 0; other < subgroups; ++other) {
                float weight = exp(largest[other * 16 + r] - highest);
                weights += weight * total[other * 16 + r];
                sum += weight * scratch[other * 256 + i];
            }
            uint head = kv_head * ratio + r;
            if (ranges == 1) {
                Floats(p.y).at[head * head_size + d] = weights == 0 ? 0 : sum / weights;
            } else {
                Floats(part_sums(gl_WorkGroupID.y, head)).at[d] = sum;
                if (d == 0) {
                    Floats share = Floats(part_share(gl_WorkGroupID.y, head));
                    share.at[0] = highest;
                    share.at[1] = weights;
                }
            }
        }
        barrier();
    }
    if (ranges > 1) join_ranges(kv_head, ranges);
}

void main() {
    // The position is the step's, which no dispatch before changes.
    uint splits = gl_NumWorkGroups.y;
    uint length = Step(p.step).step.position + 1;
    uint share = max(((length + splits - 1) / splits + 15) / 16 * 16, least_positions);
    uint ranges = (length + share - 1) / share;
    if (gl_WorkGroupID.y >= ranges) {
        if (waits != 0) raise_link(p.link);
        if (p.ahead_size != 0) bring_weights(ranges);
        return;
    }
    if (waits != 0) wait_for_link(p.link);
    attend_range(length, share, ranges);
    if (waits != 0) raise_link(p.link);
}
