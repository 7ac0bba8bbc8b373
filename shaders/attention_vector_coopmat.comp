//! attention_vector with cooperative matrices: the query heads of a key head are the rows of a matrix.
//
// A workgroup takes blocks of 16 positions a subgroup, with the online softmax: each subgroup computes the
// scores of its 16 positions, then the weights of some rows, then the sums of some dimensions over all
// positions.
#version 460
#ifdef LINKED
#pragma use_vulkan_memory_model
#endif
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#include "include/attention_vector.glsl"

layout(buffer_reference, std430, buffer_reference_align = 16) buffer Units { WRITTEN uvec4 at[]; };
layout(buffer_reference, scalar, buffer_reference_align = 4) buffer Codes { WRITTEN uint at[]; };

// Units of 16 bytes of a row of keys or values; and from one to the next in shared memory, so that they
// begin in different banks.
const uint row_units = head_size / 8;
const uint width = row_units + 1;
const uint lane_units = 16 * row_units / 32; // that each lane brings of 16 rows
const uint slices = head_size / 16;
const uint own_slices = (slices + subgroups - 1) / subgroups;
const uint block_positions = 16 * subgroups;
const uint own_rows = 16 / subgroups;        // whose weights a subgroup computes
const uint lane_columns = block_positions / 32;

#define MatrixA coopmat<float16_t, gl_ScopeSubgroup, 16, 16, gl_MatrixUseA>
#define MatrixB coopmat<float16_t, gl_ScopeSubgroup, 16, 16, gl_MatrixUseB>
#define Sums coopmat<float, gl_ScopeSubgroup, 16, 16, gl_MatrixUseAccumulator>

// Each subgroup's keys, float16, then its values; in the end sums, float32 [16][head_size].
shared uvec4 staged[subgroups * 16 * width];
// Words of a row: first queries, float16; then scores, float32, and in their place the weights, float16.
const uint row_words = block_positions + 4 > 4 * width ? block_positions + 4 : 4 * width;
shared uint rows_of_words[16 * row_words];
shared float query_scales[16];
// What the sums so far are multiplied by, the same throughout a row of 16.
shared float factors[256];
shared float largest[16], total[16];

// Rotates a head of which an invocation holds eight elements, and its neighbours the rest.
void rotate_eight(inout vec4 a, inout vec4 b, uint lane) {
    const float scale = 1 / sqrt(float(head_size));
    [[unroll]] for (uint i = 0; i < 4; ++i) {
        a[i] = bounded(a[i], ROTATED_LIMIT) * scale;
        b[i] = bounded(b[i], ROTATED_LIMIT) * scale;
    }
    a = rotated_within(a, head_size);
    b = rotated_within(b, head_size);
    vec4 sum = a + b;
    b = a - b;
    a = sum;
    [[unroll]] for (uint other = 1; 8 * other < head_size; other *= 2) {
        vec4 x = subgroupShuffleXor(a, other), y = subgroupShuffleXor(b, other);
        bool is_second = (lane & other) != 0;
        a = is_second ? x - a : a + x;
        b = is_second ? y - b : b + y;
    }
}

// Queries as float16, each row over a power of two, an invocation each 8 of them.
void put_queries(uint kv_head) {
    const uint row_lanes = head_size / 8;
    [[unroll]] for (uint round = 0; round * group_size < 16 * row_lanes; ++round) {
        uint i = round * group_size + gl_LocalInvocationIndex;
        if (16 * row_lanes % group_size != 0 && i >= 16 * row_lanes) break;
        uint r = i / row_lanes, lane = i % row_lanes;
        vec4 a = vec4(0), b = vec4(0);
        if (r < ratio) {
            uint64_t at = p.queries + 4 * ((kv_head * ratio + r) * head_size + 8 * lane);
            a = Floats4(at).at[0] * p.scale;
            b = Floats4(at).at[1] * p.scale;
        }
        if (type == THIMBLE_PAGES_INT5) rotate_eight(a, b, lane);
        vec4 most = max(abs(a), abs(b));
        float top = max(max(most.x, most.y), max(most.z, most.w));
        [[unroll]] for (uint other = 1; other < row_lanes; other *= 2)
            top = max(top, subgroupShuffleXor(top, other));
        // The power of two at or below the largest, so that what is left is below 2.
        uint exponent = clamp(floatBitsToUint(top) >> 23, 1u, 253u);
        float inverse = uintBitsToFloat((254 - exponent) << 23);
        if (lane == 0) query_scales[r] = uintBitsToFloat(exponent << 23);
        a *= inverse;
        b *= inverse;
        uint to = r * row_words + 4 * lane;
        rows_of_words[to] = packHalf2x16(a.xy);
        rows_of_words[to + 1] = packHalf2x16(a.zw);
        rows_of_words[to + 2] = packHalf2x16(b.xy);
        rows_of_words[to + 3] = packHalf2x16(b.zw);
    }
}

// What a lane brings of a tile: its units of the 16 rows of keys (part 0) or values (part 1) from a position
// on, whose page is known. Of codes, what becomes a unit.
void load_rows(uint kv_head, uint part, uint page, uint first, out uvec4 units[lane_units]) {
    uint row_bytes = code_bytes(type, head_size), slot = first % page_tokens;
    uint64_t head = (uint64_t(page) * 2 + part) * kv_heads + kv_head;
    uint64_t start = p.pages + head * (page_tokens * (row_bytes + scale_bytes(type)));
    if (type == THIMBLE_PAGES_F16) {
        Units from = Units(start + slot * row_bytes);
        [[unroll]] for (uint i = 0; i < lane_units; ++i) units[i] = from.at[32 * i + gl_SubgroupInvocationID];
        return;
    }
    [[unroll]] for (uint i = 0; i < lane_units; ++i) {
        uint unit = 32 * i + gl_SubgroupInvocationID, d = unit % row_units * 8;
        uint row = slot + unit / row_units;
        uint64_t codes = start + row * row_bytes;
        uint word = Codes(start + page_tokens * row_bytes + 4 * row).at[0];
        if (type == THIMBLE_PAGES_INT8) {
            units[i] = uvec4(Codes(codes + d).at[0], Codes(codes + d).at[1], word, 0);
        } else {
            uint fifth = Codes(codes + d / INT5_BLOCK * INT5_BLOCK_BYTES).at[0];
            units[i] = uvec4(Codes(codes + low_bits_at(d)).at[0], fifth >> d % INT5_BLOCK, word, 0);
        }
    }
}

// A unit as float16.
uvec4 halves(uvec4 unit) {
    return type == THIMBLE_PAGES_F16 ? unit : halves_of(type, EightCodes(unit.x, unit.y, unit.z));
}

// Puts what the lanes hold of 16 rows into the subgroup's part of `staged`.
void stage(uint at, uvec4 units[lane_units], int real_rows) {
    [[unroll]] for (uint i = 0; i < lane_units; ++i) {
        uint unit = 32 * i + gl_SubgroupInvocationID, row = unit / row_units;
        // What lies beyond the last position may not even be numbers.
        staged[at + row * width + unit % row_units] = int(row) < real_rows ? halves(units[i]) : uvec4(0);
    }
}

// Turns the scores of the subgroup's rows into weights, of which `top` and `sum` tell.
void weigh(uint first, uint end, inout float top[own_rows], inout float sum[own_rows]) {
    uint lane = gl_SubgroupInvocationID;
    [[unroll]] for (uint i = 0; i < own_rows; ++i) {
        uint row = gl_SubgroupID * own_rows + i;
        uint at = row * row_words + lane * lane_columns;
        float unscale = query_scales[row];
        float s[lane_columns];
        float highest = top[i];
        [[unroll]] for (uint c = 0; c < lane_columns; ++c) {
            s[c] = uintBitsToFloat(rows_of_words[at + c]) * unscale;
            if (s[c] > SCORE_LIMIT) s[c] = SCORE_LIMIT;
            if (s[c] < -SCORE_LIMIT || first + lane * lane_columns + c >= end) s[c] = -SCORE_LIMIT;
            highest = max(highest, s[c]);
        }
        [[unroll]] for (uint other = subgroup_size / 2; other > 0; other /= 2)
            highest = max(highest, subgroupShuffleXor(highest, other));
        float factor = exp(top[i] - highest), added = 0;
        top[i] = highest;
        [[unroll]] for (uint c = 0; c < lane_columns; ++c) {
            s[c] = first + lane * lane_columns + c < end ? exp(s[c] - highest) : 0;
            added += s[c];
        }
        sum[i] = sum[i] * factor + added;
        // All lanes have read the row before any writes over it.
        subgroupBarrier();
        [[unroll]] for (uint c = 0; c < lane_columns; c += 2)
            rows_of_words[row * row_words + (lane * lane_columns + c) / 2] =
                packHalf2x16(vec2(s[c], s[c + 1]));
        if (lane < 16) factors[16 * row + lane] = factor;
    }
}

// Rotates back the sums that lie in `staged`. All invocations call it.
void rotate_sums() {
    const uint quads = head_size / 4;
    const float scale = 1 / sqrt(float(head_size));
    for (uint i = gl_LocalInvocationIndex; i < 16 * quads; i += group_size) {
        staged[i] = floatBitsToUint(rotated_within(uintBitsToFloat(staged[i]) * scale, head_size));
    }
    // Quads that are `apart` from each other.
    for (uint apart = 1; apart < quads; apart *= 2) {
        barrier();
        for (uint i = gl_LocalInvocationIndex; i < 8 * quads; i += group_size) {
            uint first = i / apart * 2 * apart + i % apart;
            vec4 a = uintBitsToFloat(staged[first]), b = uintBitsToFloat(staged[first + apart]);
            staged[first] = floatBitsToUint(a + b);
            staged[first + apart] = floatBitsToUint(a - b);
        }
    }
    barrier();
}

void attend_range(uint length, uint share, uint ranges) {
    uint kv_head = gl_WorkGroupID.x, subgroup = gl_SubgroupID;
    Table table = Table(Step(p.step).step.block_table);
    uint begin = gl_WorkGroupID.y * share, end = min(begin + share, length), last_tile = (end - 1) / 16 * 16;
    uint staged_at = subgroup * 16 * width;

    // Tiles are on their way before they are needed, and the page of the one after is known.
    uint tile = min(begin + 16 * subgroup, last_tile);
    uint next = min(begin + 16 * subgroup + block_positions, last_tile);
    uint page = uint(table.at[tile / page_tokens]), next_page = uint(table.at[next / page_tokens]);
    uvec4 keys[lane_units], values[lane_units];
    load_rows(kv_head, 0, page, tile, keys);
    load_rows(kv_head, 1, page, tile, values);
    if (waits) {
        wait_for_link(p.link);
        // The newest position's key and value are just there.
        if (tile + 16 >= length) {
            load_rows(kv_head, 0, page, tile, keys);
            load_rows(kv_head, 1, page, tile, values);
        }
    }
    put_queries(kv_head);
    stage(staged_at, keys, int(end) - int(begin + 16 * subgroup));
    barrier();
    MatrixA q[slices];
    [[unroll]] for (uint j = 0; j < slices; ++j)
        coopMatLoad(q[j], rows_of_words, 8 * j, row_words, gl_CooperativeMatrixLayoutRowMajor);
    barrier();

    Sums sums[own_slices];
    [[unroll]] for (uint j = 0; j < own_slices; ++j) sums[j] = Sums(0);
    float top[own_rows], weight_sum[own_rows];
    [[unroll]] for (uint i = 0; i < own_rows; ++i) {
        top[i] = -SCORE_LIMIT;
        weight_sum[i] = 0;
    }

    for (uint first = begin; first < end; first += block_positions) {
        int real_rows = int(end) - int(first + 16 * subgroup);
        Sums scores = Sums(0);
        [[unroll]] for (uint j = 0; j < slices; ++j) {
            MatrixB k;
            coopMatLoad(k, staged, staged_at + 2 * j, width, gl_CooperativeMatrixLayoutColumnMajor);
            scores = coopMatMulAdd(q[j], k, scores);
        }
        coopMatStore(scores, rows_of_words, 16 * subgroup, row_words, gl_CooperativeMatrixLayoutRowMajor);
        bool more = first + block_positions < end;
        if (more) load_rows(kv_head, 0, next_page, next, keys);
        subgroupMemoryBarrierShared();
        subgroupBarrier();
        stage(staged_at, values, real_rows);
        if (more) load_rows(kv_head, 1, next_page, next, values);
        next = min(next + block_positions, last_tile);
        next_page = uint(table.at[next / page_tokens]);
        barrier();
        weigh(first, end, top, weight_sum);
        barrier();
        MatrixA weights[subgroups];
        [[unroll]] for (uint t = 0; t < subgroups; ++t)
            coopMatLoad(weights[t], rows_of_words, 8 * t, row_words, gl_CooperativeMatrixLayoutRowMajor);
        Sums shrink;
        coopMatLoad(shrink, factors, 0, 16, gl_CooperativeMatrixLayoutRowMajor);
        [[unroll]] for (uint j = 0; j < own_slices; ++j) {
            uint slice = subgroup + j * subgroups;
            if (slice >= slices) continue;
            sums[j] = sums[j] * shrink;
            [[unroll]] for (uint t = 0; t < subgroups; ++t) {
                MatrixB v;
                coopMatLoad(
                    v, staged, t * 16 * width + 2 * slice, width, gl_CooperativeMatrixLayoutRowMajor);
                sums[j] = coopMatMulAdd(weights[t], v, sums[j]);
            }
        }
        if (!more) break;
        barrier();
        stage(staged_at, keys, real_rows - int(block_positions));
        subgroupMemoryBarrierShared();
        subgroupBarrier();
    }
    barrier();
    [[unroll]] for (uint j = 0; j < own_slices; ++j) {
        uint slice = subgroup + j * subgroups;
        if (slice < slices)
            coopMatStore(sums[j], staged, 4 * slice, head_size / 4, gl_CooperativeMatrixLayoutRowMajor);
    }
    [[unroll]] for (uint i = 0; i < own_rows; ++i) {
        float whole = weight_sum[i];
        [[unroll]] for (uint other = subgroup_size / 2; other > 0; other /= 2)
            whole += subgroupShuffleXor(whole, other);
        if (gl_SubgroupInvocationID == 0) {
            largest[subgroup * own_rows + i] = top[i];
            total[subgroup * own_rows + i] = whole;
        }
    }
    barrier();
    if (type == THIMBLE_PAGES_INT5) rotate_sums();
    for (uint i = gl_LocalInvocationIndex; i < ratio * head_size / 4; i += group_size) {
        uint r = 4 * i / head_size, d = 4 * i % head_size, head = kv_head * ratio + r;
        Floats4(part_sums(gl_WorkGroupID.y, head) + 4 * d).at[0] = uintBitsToFloat(staged[i]);
        if (d == 0) {
            Floats share = Floats(part_share(gl_WorkGroupID.y, head));
            share.at[0] = largest[r];
            share.at[1] = total[r];
        }
    }
    join_ranges(kv_head, ranges);
}

void main() {
    // The position is the step's, which no dispatch before changes.
    uint splits = gl_NumWorkGroups.y;
    uint length = Step(p.step).step.position + 1;
    uint share = positions_of_range(length, splits, least_positions);
    uint ranges = (length + share - 1) / share;
    if (gl_WorkGroupID.y >= ranges) {
        if (waits) raise_link(p.link);
        return;
    }
    attend_range(length, share, ranges);
    if (waits) raise_link(p.link);
}
