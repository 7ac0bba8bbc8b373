//! attention with cooperative matrices that reduce and convert (VK_NV_cooperative_matrix2), in registers.
//
// FlashAttention-2's cut (Dao, 2023): a subgroup takes 16 rows through all their keys, and keeps scores,
// softmax weights and sums in its registers; a workgroup's subgroups share the keys and values of a tile.
#version 460
#pragma use_vulkan_memory_model
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_NV_cooperative_matrix2 : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#extension GL_KHR_shader_subgroup_vote : require
#include "include/pages.glsl"
#include "parameters/attention.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint SUBGROUP = 32;
layout(constant_id = 2) const uint HEAD_SIZE = 128;
// Rows of a workgroup, M a subgroup, and keys of a tile.
layout(constant_id = 3) const uint ROWS = 128;
layout(constant_id = 4) const uint KEYS = 64;
// The shape of a cooperative matrix product is M, N, N.
layout(constant_id = 5) const uint M = 16;
layout(constant_id = 6) const uint N = 16;
// Must be p.page_tokens; known in advance, it divides by itself.
layout(constant_id = 7) const uint PAGE_TOKENS = 16;
layout(constant_id = 8) const uint TYPE = THIMBLE_PAGES_F16;
layout(push_constant, scalar) uniform Parameters { thimble_attention p; };

layout(buffer_reference, scalar, buffer_reference_align = 16) buffer Quads { uvec4 at[]; };
layout(buffer_reference, scalar, buffer_reference_align = 4) buffer Vectors { vec4 at[]; };

const uint THREADS = ROWS / M * SUBGROUP;
// A row of queries, keys or values: 16 bytes more than it needs, so that rows begin in different banks.
const uint OCTETS = HEAD_SIZE / 8;
const uint PITCH = OCTETS + 1;
const uint VALUES_AT = KEYS * PITCH;
const uint KEY_BLOCKS = KEYS / N;
const uint SLICES = HEAD_SIZE / N;
// Invocations that fetch a row together, so that a load of theirs is whole lines of a cache; rows that all
// of a workgroup fetch at a time; and how often, by rows and within a row.
const uint ROW_LANES = OCTETS < 4 ? 2 : OCTETS < 8 ? 4 : OCTETS < 16 ? 8 : 16;
const uint PASS_ROWS = THREADS / ROW_LANES;
const uint PASSES = (KEYS + PASS_ROWS - 1) / PASS_ROWS;
const uint FETCHES = (OCTETS + ROW_LANES - 1) / ROW_LANES;
// What a lane holds of a row of queries.
const uint LANE_OCTETS = (OCTETS + SUBGROUP - 1) / SUBGROUP;

// What a row's scale is held within. A product is below 2^39, so that a score, which may be minus infinity,
// is never infinity.
const float SCALE_LIMIT = 1e26;
const float LOG2_E = 1.44269504;

shared uvec4 staged[ROWS > 2 * KEYS ? ROWS * PITCH : 2 * KEYS * PITCH];
// By how much a row's queries were divided, times the scale of scores.
shared float row_scales[ROWS];
// The position behind the last that a row sees.
shared uint row_ends[ROWS];
shared float out_strips[ROWS * N];

const bool IS_ROTATED = TYPE == THIMBLE_PAGES_INT5;

#define Queries coopmat<float16_t, gl_ScopeSubgroup, M, N, gl_MatrixUseA>
#define Cached coopmat<float16_t, gl_ScopeSubgroup, N, N, gl_MatrixUseB>
#define Sums coopmat<float, gl_ScopeSubgroup, M, N, gl_MatrixUseAccumulator>

uint group() { return p.heads / p.kv_heads; }

float larger(const in float a, const in float b) { return max(a, b); }
float plus(const in float a, const in float b) { return a + b; }
float element_larger(const in uint row, const in uint column, const in float a, const in float b) {
    return max(a, b);
}
// The scale of a subgroup's row.
float element_scale(const in uint row, const in uint column, const in float a, const in uint first) {
    return row_scales[first + row];
}
float element_scaled(const in uint row, const in uint column, const in float a, const in float factor) {
    return a * factor;
}
float element_product(const in uint row, const in uint column, const in float a, const in float b) {
    return a * b;
}
// What is not a number stays so. The score is rounded as the largest was: were it one operation with the
// difference, the largest score would leave the rest of its rounding, whose power of two may be infinite.
float element_weight(
    const in uint row, const in uint column, const in float product, const in float scale,
    const in float top) {
    precise float score = product * scale;
    return exp2(score - top);
}
float element_factor(const in uint row, const in uint column, const in float before, const in float now) {
    return exp2(before - now);
}
float element_inverse(const in uint row, const in uint column, const in float sum) {
    return sum > 0 || isnan(sum) ? 1 / sum : 0;
}
// Minus infinity where the row does not see the position: column 0 is the position `first`, row 0 the first
// of a subgroup.
float element_seen(
    const in uint row, const in uint column, const in float product, const in uint subgroup_row,
    const in uint first) {
    return first + column < row_ends[subgroup_row + row] ? product : -1 / 0.0;
}

uvec4 keys[PASSES][FETCHES], values[PASSES][FETCHES];

// Eight elements of a row; of codes, what becomes them.
uvec4 load_octet(CachedRow row, uint octet) {
    if (TYPE == THIMBLE_PAGES_F16) return Quads(row.codes).at[octet];
    uint word = Words(row.word).at[0], d = 8 * octet;
    if (TYPE == THIMBLE_PAGES_INT8) {
        return uvec4(Words(row.codes + d).at[0], Words(row.codes + d).at[1], word, 0);
    }
    uint fifth = Words(row.codes + d / INT5_BLOCK * INT5_BLOCK_BYTES).at[0];
    return uvec4(Words(row.codes + low_bits_at(d)).at[0], fifth >> d % INT5_BLOCK, word, 0);
}

// An octet as float16.
uvec4 halves(uvec4 octet) {
    return TYPE == THIMBLE_PAGES_F16 ? octet : halves_of(TYPE, EightCodes(octet.x, octet.y, octet.z));
}

// Positions from `end` on are the last one again: what lies there may not even be numbers.
void fetch(uint first, uint end) {
    const uint row_bytes = code_bytes(TYPE, HEAD_SIZE);
    const uint head_bytes = PAGE_TOKENS * (row_bytes + scale_bytes(TYPE));
    uint part = p.kv_heads * head_bytes, lane = gl_LocalInvocationIndex % ROW_LANES;
    uint pages[PASSES], slots[PASSES];
    // All pages are asked for before the first is waited for.
    [[unroll]] for (uint i = 0; i < PASSES; ++i) {
        uint row = i * PASS_ROWS + gl_LocalInvocationIndex / ROW_LANES;
        uint position = min(first + row, end - 1);
        pages[i] = uint(Integers(p.block_table).at[position / PAGE_TOKENS]);
        slots[i] = position % PAGE_TOKENS;
    }
    uint64_t head = p.pages + gl_WorkGroupID.y * head_bytes;
    [[unroll]] for (uint i = 0; i < PASSES; ++i) {
        uint64_t start = head + uint64_t(pages[i]) * uint64_t(2 * part);
        CachedRow key = CachedRow(
            start + slots[i] * row_bytes, start + PAGE_TOKENS * row_bytes + 4 * slots[i]);
        CachedRow value = CachedRow(key.codes + part, key.word + part);
        [[unroll]] for (uint f = 0; f < FETCHES; ++f) {
            uint octet = f * ROW_LANES + lane;
            if (OCTETS % ROW_LANES != 0 && octet >= OCTETS) break;
            keys[i][f] = load_octet(key, octet);
            values[i][f] = load_octet(value, octet);
        }
    }
}

void keep() {
    uint lane = gl_LocalInvocationIndex % ROW_LANES;
    [[unroll]] for (uint i = 0; i < PASSES; ++i) {
        uint row = i * PASS_ROWS + gl_LocalInvocationIndex / ROW_LANES;
        if (KEYS % PASS_ROWS != 0 && row >= KEYS) break;
        [[unroll]] for (uint f = 0; f < FETCHES; ++f) {
            uint octet = f * ROW_LANES + lane;
            if (OCTETS % ROW_LANES != 0 && octet >= OCTETS) break;
            staged[row * PITCH + octet] = halves(keys[i][f]);
            staged[VALUES_AT + row * PITCH + octet] = halves(values[i][f]);
        }
    }
}

// The address of a row's first query or output.
uint64_t row_address(uint64_t matrix, uint first_token, uint index) {
    uint token = first_token + index / group(), head = gl_WorkGroupID.y * group() + index % group();
    return matrix + (uint64_t(token) * p.heads + head) * (4 * HEAD_SIZE);
}

// Rotates a head of which a lane holds eight elements, and its neighbours the rest: all lanes call it.
void rotate_eight(inout vec4 a, inout vec4 b) {
    const uint width = rotation_width(HEAD_SIZE);
    const float scale = 1 / sqrt(float(width));
    [[unroll]] for (uint i = 0; i < 4; ++i) {
        a[i] = bounded(a[i], ROTATED_LIMIT) * scale;
        b[i] = bounded(b[i], ROTATED_LIMIT) * scale;
    }
    a = rotated_within(a, width);
    b = rotated_within(b, width);
    vec4 sum = a + b;
    b = a - b;
    a = sum;
    for (uint other = 1; 8 * other < width; other *= 2) {
        vec4 x = subgroupShuffleXor(a, other), y = subgroupShuffleXor(b, other);
        bool is_second = (gl_SubgroupInvocationID & other) != 0;
        a = is_second ? x - a : a + x;
        b = is_second ? y - b : b + y;
    }
}

// A subgroup's rows of queries, each over a power of two that puts its largest below 2^15.
void stage_queries(uint first_token, uint first_index, uint row_count, uint end) {
    uint first_row = gl_SubgroupID * M;
    for (uint row = first_row; row < first_row + M; ++row) {
        uint index = first_index + row;
        Vectors x = Vectors(row_address(p.queries, first_token, min(index, row_count - 1)));
        vec4 low[LANE_OCTETS], high[LANE_OCTETS];
        float top = 0;
        [[unroll]] for (uint j = 0; j < LANE_OCTETS; ++j) {
            uint i = min(j * SUBGROUP + gl_SubgroupInvocationID, OCTETS - 1);
            low[j] = x.at[2 * i];
            high[j] = x.at[2 * i + 1];
            // There is one octet a lane where heads are rotated.
            if (IS_ROTATED) rotate_eight(low[j], high[j]);
            vec4 v = max(abs(low[j]), abs(high[j]));
            bool is_own = j * SUBGROUP + gl_SubgroupInvocationID < OCTETS;
            if (is_own) top = max(top, max(max(v.x, v.y), max(v.z, v.w)));
        }
        // Exponents that leave both the scale and its inverse normal numbers.
        uint exponent = clamp(floatBitsToUint(subgroupMax(top)) >> 23, 30u, 252u);
        float inverse = uintBitsToFloat((268 - exponent) << 23);
        if (gl_SubgroupInvocationID == 0) {
            float scale = uintBitsToFloat((exponent - 14) << 23) * p.scale * LOG2_E;
            row_scales[row] = min(scale, SCALE_LIMIT);
            row_ends[row] = p.is_causal != 0 ? min(end, p.start + index / group() + 1) : end;
        }
        [[unroll]] for (uint j = 0; j < LANE_OCTETS; ++j) {
            uint i = j * SUBGROUP + gl_SubgroupInvocationID;
            if (i >= OCTETS) continue;
            f16vec4 a = f16vec4(low[j] * inverse), b = f16vec4(high[j] * inverse);
            staged[row * PITCH + i] = uvec4(packFloat2x16(a.xy), packFloat2x16(a.zw), packFloat2x16(b.xy),
                packFloat2x16(b.zw));
        }
    }
    subgroupBarrier();
}

Queries queries[SLICES];
Sums sums[SLICES];
// Of a row in all its elements: the largest score, and the scale. And the sums of weights, column by column.
Sums top, scales, weight_sums;

// Takes the staged tile of positions from `first` on.
void attend(uint first, bool is_edge) {
    Sums scores[KEY_BLOCKS];
    [[unroll]] for (uint j = 0; j < KEY_BLOCKS; ++j) scores[j] = Sums(0);
    // Products that follow each other do not wait for each other.
    [[unroll]] for (uint d = 0; d < SLICES; ++d) {
        [[unroll]] for (uint j = 0; j < KEY_BLOCKS; ++j) {
            Cached key;
            coopMatLoad(key, staged, j * N * PITCH + d * N / 8, PITCH, gl_CooperativeMatrixLayoutColumnMajor);
            scores[j] = coopMatMulAdd(queries[d], key, scores[j]);
        }
    }
    if (is_edge) {
        [[unroll]] for (uint j = 0; j < KEY_BLOCKS; ++j) {
            coopMatPerElementNV(scores[j], scores[j], element_seen, gl_SubgroupID * M, first + N * j);
        }
    }
    Sums highest = scores[0];
    [[unroll]] for (uint j = 1; j < KEY_BLOCKS; ++j) {
        coopMatPerElementNV(highest, highest, element_larger, scores[j]);
    }
    coopMatReduceNV(highest, highest, gl_CooperativeMatrixReduceRowNV, larger);
    // In powers of two, as scores are.
    coopMatPerElementNV(highest, highest, element_product, scales);
    coopMatPerElementNV(highest, highest, element_larger, top);
    Sums factors;
    coopMatPerElementNV(factors, top, element_factor, highest);
    top = highest;
    coopMatPerElementNV(weight_sums, weight_sums, element_product, factors);
    [[unroll]] for (uint d = 0; d < SLICES; ++d) {
        coopMatPerElementNV(sums[d], sums[d], element_product, factors);
    }
    [[unroll]] for (uint j = 0; j < KEY_BLOCKS; ++j) {
        coopMatPerElementNV(scores[j], scores[j], element_weight, scales, top);
        weight_sums += scores[j];
        Queries weights = Queries(scores[j]);
        [[unroll]] for (uint d = 0; d < SLICES; ++d) {
            Cached value;
            coopMatLoad(value, staged, VALUES_AT + j * N * PITCH + d * N / 8, PITCH,
                gl_CooperativeMatrixLayoutRowMajor);
            sums[d] = coopMatMulAdd(weights, value, sums[d]);
        }
    }
}

// A rotation's steps between slices of means, back to where they were.
void rotate_slices() {
    const uint width = rotation_width(HEAD_SIZE);
    const float scale = 1 / sqrt(float(width));
    [[unroll]] for (uint d = 0; d < SLICES; ++d) {
        coopMatPerElementNV(sums[d], sums[d], element_scaled, scale);
    }
    [[unroll]] for (uint apart = 1; N * apart < HEAD_SIZE; apart *= 2) {
        if (N * apart >= width) break;
        [[unroll]] for (uint d = 0; d < SLICES; ++d) {
            if ((d & apart) != 0) continue;
            Sums a = sums[d], b = sums[d + apart];
            sums[d] = a + b;
            sums[d + apart] = a - b;
        }
    }
}

// Its steps within the 16 elements of a slice's row, of which a lane and its neighbours hold four each.
vec4 rotated_strip(vec4 v, uint lane) {
    v = rotated_within(v, N);
    [[unroll]] for (uint other = 1; 4 * other < N; other *= 2) {
        vec4 x = subgroupShuffleXor(v, other);
        v = (lane & other) != 0 ? x - v : v + x;
    }
    return v;
}

void store_sums(uint first_token, uint first_index, uint row_count) {
    coopMatReduceNV(weight_sums, weight_sums, gl_CooperativeMatrixReduceRowNV, plus);
    coopMatPerElementNV(weight_sums, weight_sums, element_inverse);
    uint strip = gl_SubgroupID * M * N;
    [[unroll]] for (uint d = 0; d < SLICES; ++d) {
        coopMatPerElementNV(sums[d], sums[d], element_product, weight_sums);
    }
    if (IS_ROTATED) rotate_slices();
    [[unroll]] for (uint d = 0; d < SLICES; ++d) {
        coopMatStore(sums[d], out_strips, strip, N, gl_CooperativeMatrixLayoutRowMajor);
        subgroupBarrier();
        for (uint i = gl_SubgroupInvocationID; i < M * N / 4; i += SUBGROUP) {
            uint index = first_index + gl_SubgroupID * M + i / (N / 4), at = strip + i * 4;
            vec4 v = vec4(out_strips[at], out_strips[at + 1], out_strips[at + 2], out_strips[at + 3]);
            if (IS_ROTATED) v = rotated_strip(v, i);
            if (index < row_count) {
                Vectors(row_address(p.y, first_token, index)).at[d * N / 4 + i % (N / 4)] = v;
            }
        }
        subgroupBarrier();
    }
}

void attend_rows(uint tile, uint first_token, uint row_count, uint begin, uint key_end) {
    uint first_index = tile * ROWS;
    uint last_index = min(first_index + ROWS, row_count) - 1;
    uint end = p.is_causal != 0 ? min(key_end, p.start + last_index / group() + 1) : key_end;
    // Positions below are seen by all rows.
    uint full = p.is_causal != 0 ? min(end, p.start + first_index / group() + 1) : end;
    stage_queries(first_token, first_index, row_count, end);
    [[unroll]] for (uint d = 0; d < SLICES; ++d) {
        coopMatLoad(queries[d], staged, gl_SubgroupID * M * PITCH + d * N / 8, PITCH,
            gl_CooperativeMatrixLayoutRowMajor);
        sums[d] = Sums(0);
    }
    top = Sums(-3e38);
    weight_sums = Sums(0);
    scales = Sums(0);
    coopMatPerElementNV(scales, scales, element_scale, gl_SubgroupID * M);
    if (begin < end) fetch(begin, end);
    uint first = begin;
    for (; first + KEYS <= full; first += KEYS) {
        barrier();
        keep();
        barrier();
        fetch(first + KEYS, end);
        attend(first, false);
    }
    for (; first < end; first += KEYS) {
        barrier();
        keep();
        barrier();
        fetch(first + KEYS, end);
        attend(first, true);
    }
    store_sums(first_token, first_index, row_count);
    barrier();
}

void main() {
    uint first_token = 0, token_end = p.tokens, begin = 0, end = p.key_count;
    if (p.ranges != 0) {
        first_token = Words(p.ranges).at[gl_WorkGroupID.z];
        token_end = Words(p.ranges).at[gl_WorkGroupID.z + 1];
        begin = first_token;
        end = token_end;
    }
    uint row_count = (token_end - first_token) * group();
    uint tiles = (row_count + ROWS - 1) / ROWS;
    // The last tiles see the most: they come first.
    for (uint i = gl_WorkGroupID.x; i < tiles; i += gl_NumWorkGroups.x) {
        attend_rows(tiles - 1 - i, first_token, row_count, begin, end);
    }
}
