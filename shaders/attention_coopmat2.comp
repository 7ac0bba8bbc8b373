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
// What an invocation fetches of a tile's keys, and of its values.
const uint FETCHES = (KEYS * OCTETS + THREADS - 1) / THREADS;
// What a lane holds of a row of queries.
const uint LANE_OCTETS = (OCTETS + SUBGROUP - 1) / SUBGROUP;

// What a row's scale is held within. A product is below 2^39, so that a score, which may be minus infinity,
// is never infinity.
const float SCALE_LIMIT = 1e26;
const float LOG2_E = 1.44269504;

shared uvec4 staged[ROWS > 2 * KEYS ? ROWS * PITCH : 2 * KEYS * PITCH];
// By how much a row's queries were divided, times the scale of scores.
shared float row_scales[ROWS];
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
// Minus infinity where the row does not see the position: column 0 is the position `first`, row 0 the row
// `index` of the range.
float element_seen(
    const in uint row, const in uint column, const in float product, const in uint index,
    const in uint first, const in uint end) {
    uint limit = p.is_causal != 0 ? min(end, p.start + (index + row) / group() + 1) : end;
    return first + column < limit ? product : -1 / 0.0;
}

uvec4 keys[FETCHES], values[FETCHES];

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

// Zeros from `end` on: what lies there may not even be numbers.
void fetch(uint first, uint end) {
    [[unroll]] for (uint f = 0; f < FETCHES; ++f) {
        uint i = f * THREADS + gl_LocalInvocationIndex;
        uint position = first + i / OCTETS, octet = i % OCTETS;
        keys[f] = uvec4(0);
        values[f] = uvec4(0);
        if (position < end) {
            CachedRow key = cached_row(
                TYPE, p.pages, p.block_table, 0, gl_WorkGroupID.y, position, p.kv_heads, PAGE_TOKENS,
                HEAD_SIZE);
            uint64_t part = p.kv_heads * PAGE_TOKENS * (code_bytes(TYPE, HEAD_SIZE) + scale_bytes(TYPE));
            keys[f] = load_octet(key, octet);
            values[f] = load_octet(CachedRow(key.codes + part, key.word + part), octet);
        }
    }
}

void keep() {
    [[unroll]] for (uint f = 0; f < FETCHES; ++f) {
        uint i = f * THREADS + gl_LocalInvocationIndex;
        if (KEYS * OCTETS % THREADS != 0 && i >= KEYS * OCTETS) break;
        staged[i / OCTETS * PITCH + i % OCTETS] = halves(keys[f]);
        staged[VALUES_AT + i / OCTETS * PITCH + i % OCTETS] = halves(values[f]);
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
void stage_queries(uint first_token, uint first_index, uint row_count) {
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
void attend(uint first, uint end, uint index, bool is_edge) {
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
            coopMatPerElementNV(scores[j], scores[j], element_seen, index, first + N * j, end);
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
    bool grows = false;
    [[unroll]] for (uint e = 0; e < factors.length(); ++e) grows = grows || factors[e] != 1;
    if (subgroupAny(grows)) {
        coopMatPerElementNV(weight_sums, weight_sums, element_product, factors);
        [[unroll]] for (uint d = 0; d < SLICES; ++d) {
            coopMatPerElementNV(sums[d], sums[d], element_product, factors);
        }
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
    uint first_index = tile * ROWS, index = first_index + gl_SubgroupID * M;
    uint last_index = min(first_index + ROWS, row_count) - 1;
    uint end = p.is_causal != 0 ? min(key_end, p.start + last_index / group() + 1) : key_end;
    // Positions below are seen by all rows.
    uint full = p.is_causal != 0 ? min(end, p.start + first_index / group() + 1) : end;
    stage_queries(first_token, first_index, row_count);
    [[unroll]] for (uint d = 0; d < SLICES; ++d) {
        coopMatLoad(queries[d], staged, gl_SubgroupID * M * PITCH + d * N / 8, PITCH,
            gl_CooperativeMatrixLayoutRowMajor);
        sums[d] = Sums(0);
    }
    top = Sums(-3e38);
    weight_sums = Sums(0);
    scales = Sums(0);
    coopMatPerElementNV(scales, scales, element_scale, gl_SubgroupID * M);
    fetch(begin, end);
    for (uint first = begin; first < end; first += KEYS) {
        barrier();
        keep();
        barrier();
        fetch(first + KEYS, end);
        attend(first, end, index, first + KEYS > full);
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
