//! Many rows times a weight matrix, with cooperative matrices of any shape that the device reports.
//
// Weights become float16 on their way into shared memory, which all subgroups of a workgroup read; inputs go
// from the caches into matrices directly, some matrices' columns ahead.
#version 460
#pragma use_vulkan_memory_model
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint SUBGROUP = 32;
layout(constant_id = 2) const uint WEIGHT_TYPE = 4;
layout(constant_id = 3) const uint GROUP = 32;
layout(constant_id = 4) const uint EPILOGUE = 0;
// What a workgroup computes, and how many columns it takes at a time.
layout(constant_id = 5) const uint BLOCK_TOKENS = 256;
layout(constant_id = 6) const uint BLOCK_ROWS = 64;
layout(constant_id = 7) const uint BLOCK_COLUMNS = 64;
// What a subgroup of it computes.
layout(constant_id = 8) const uint PART_TOKENS = 64;
layout(constant_id = 9) const uint PART_ROWS = 64;
// The shape of a cooperative matrix product.
layout(constant_id = 10) const uint M = 16;
layout(constant_id = 11) const uint N = 16;
layout(constant_id = 12) const uint K = 16;
// 2: one step's columns are stored in shared memory while the other's are multiplied.
layout(constant_id = 13) const uint STAGES = 2;
layout(constant_id = 14) const uint X_ORDER = 0;
#include "include/weight_chunks.glsl"
#include "parameters/matmul_coopmat.h"

layout(push_constant, scalar) uniform Parameters { thimble_matmul_coopmat p; };
#include "include/product_epilogue.glsl"

const uint PARTS = BLOCK_TOKENS / PART_TOKENS * (BLOCK_ROWS / PART_ROWS);
const uint THREADS = PARTS * SUBGROUP;
const uint OCTETS = BLOCK_COLUMNS / 8;
// Rows in shared memory are 16 bytes longer than they need be, so that they begin in different banks.
const uint PITCH = OCTETS + 1;
const uint STAGE_QUADS = BLOCK_ROWS * PITCH;
// A strip of sums on their way out, a subgroup.
const uint STRIP_PITCH = PART_ROWS / 4 + 1;
const uint STRIP_QUADS = PARTS * M * STRIP_PITCH;
shared uvec4 tiles[STAGES * STAGE_QUADS > STRIP_QUADS ? STAGES * STAGE_QUADS : STRIP_QUADS];

// Matrices along a subgroup's tokens and rows, and along a step's columns: an even number.
const uint TOKEN_COUNT = PART_TOKENS / M;
const uint ROW_COUNT = PART_ROWS / N;
const uint COLUMN_COUNT = BLOCK_COLUMNS / K;
coopmat<float, gl_ScopeSubgroup, M, N, gl_MatrixUseAccumulator> sums[TOKEN_COUNT][ROW_COUNT];

// The weights that an invocation brings for a step; no tile needs more than 8 chunks.
const uint CHUNKS = BLOCK_ROWS / 4 * OCTETS;
const uint FETCHES = (CHUNKS + THREADS - 1) / THREADS;
Chunk fetched[8];

void fetch_weights(uint step) {
    uint last = (p.rows + TILE_ROWS - 1) / TILE_ROWS * (TILE_ROWS / 4) - 1;
    [[unroll]] for (uint f = 0; f < FETCHES; ++f) {
        uint i = f * THREADS + gl_LocalInvocationIndex;
        uint row_quad = min(gl_WorkGroupID.y * (BLOCK_ROWS / 4) + i / OCTETS, last);
        fetched[f] = fetch_chunk(
            p.codes, p.weight_scales, p.padded_columns, row_quad, step * OCTETS + i % OCTETS);
    }
}

void keep_weights(uint stage) {
    [[unroll]] for (uint f = 0; f < FETCHES; ++f) {
        uint i = f * THREADS + gl_LocalInvocationIndex;
        if (CHUNKS % THREADS != 0 && i >= CHUNKS) break;
        uint first = stage * STAGE_QUADS + i / OCTETS * 4 * PITCH + i % OCTETS;
        [[unroll]] for (uint row = 0; row < 4; ++row) {
            tiles[first + row * PITCH] = expand_chunk(fetched[f], row);
        }
    }
}

// Of the columns at hand, and of those that follow: as many sets as divide a step.
const uint SETS = COLUMN_COUNT < 4 ? 2 : 4;
coopmat<float16_t, gl_ScopeSubgroup, M, K, gl_MatrixUseA> inputs[4][TOKEN_COUNT];
// Where the subgroup's tokens lie, at a step's first column. Within a step the offsets are constants.
uint64_t inputs_at[TOKEN_COUNT];

// Bytes and quads of a block of 16 x 16.
const uint BLOCK_BYTES = 512;
const uint BLOCK_QUADS = BLOCK_BYTES / 16;

void find_inputs(uint first_token, uint column) {
    uint last = (p.tokens + 15) / 16 - 1;
    [[unroll]] for (uint i = 0; i < TOKEN_COUNT; ++i) {
        uint token = first_token + i * M;
        uint64_t block = uint64_t(min(token / 16, last)) * (p.padded_columns / 16) + column / 16;
        uint first = X_ORDER == 1 ? gl_SubgroupInvocationID : token % 16 * 2;
        inputs_at[i] = p.x + block * BLOCK_BYTES + first * 16;
    }
}

// Those from a column of the step on, or of the next one's.
void load_inputs(uint set, uint column) {
    [[unroll]] for (uint i = 0; i < TOKEN_COUNT; ++i) {
        Quads x = Quads(inputs_at[i]);
        uint block = column / 16 * BLOCK_QUADS;
        if (X_ORDER == 1) {
            uvec4 quad = x.at[block];
            [[unroll]] for (uint e = 0; e < 8; ++e) {
                inputs[set][i][e] = unpackFloat2x16(quad[e / 2])[e % 2];
            }
        } else {
            coopMatLoad(
                inputs[set][i], x.at, block + column % 16 / 8, 2, gl_CooperativeMatrixLayoutRowMajor);
        }
    }
}

void multiply(uint stage, uint row) {
    uint weights_at = stage * STAGE_QUADS + row * PITCH;
    coopmat<float16_t, gl_ScopeSubgroup, K, N, gl_MatrixUseB> weights[ROW_COUNT];
    [[unroll]] for (uint k = 0; k < COLUMN_COUNT; ++k) {
        load_inputs((k + SETS - 1) % SETS, (k + SETS - 1) * K);
        [[unroll]] for (uint j = 0; j < ROW_COUNT; ++j) {
            coopMatLoad(weights[j], tiles, weights_at + j * N * PITCH + k * K / 8, PITCH,
                gl_CooperativeMatrixLayoutColumnMajor);
        }
        [[unroll]] for (uint j = 0; j < ROW_COUNT; ++j) {
            [[unroll]] for (uint i = 0; i < TOKEN_COUNT; ++i) {
                sums[i][j] = coopMatMulAdd(inputs[k % SETS][i], weights[j], sums[i][j]);
            }
        }
    }
}

// Quads of a strip that an invocation takes out.
const uint STRIP_FETCHES = (M * PART_ROWS / 4 + SUBGROUP - 1) / SUBGROUP;

// Sums leave through shared memory, a strip of M tokens at a time, so that each invocation has 4 rows of a
// token that it knows.
void leave(uint part_token, uint part_row) {
    uint first_token = gl_WorkGroupID.x * BLOCK_TOKENS + part_token;
    uint first_row = gl_WorkGroupID.y * BLOCK_ROWS + part_row;
    uint strip = gl_SubgroupID * (M * STRIP_PITCH);
    Parts parts = parts_of(gl_WorkGroupID.z);
    [[unroll]] for (uint i = 0; i < TOKEN_COUNT; ++i) {
        float scales[STRIP_FETCHES];
        vec4 added[STRIP_FETCHES];
        [[unroll]] for (uint f = 0; f < STRIP_FETCHES; ++f) {
            if (p.splits != 1) break;
            uint q = f * SUBGROUP + gl_SubgroupInvocationID;
            uint token = first_token + i * M + q / (PART_ROWS / 4);
            scales[f] = token_scale(token);
            added[f] = addends(token, first_row + q % (PART_ROWS / 4) * 4);
        }
        [[unroll]] for (uint j = 0; j < ROW_COUNT; ++j) {
            coopMatStore(
                sums[i][j], tiles, strip + j * N / 4, STRIP_PITCH, gl_CooperativeMatrixLayoutRowMajor);
        }
        subgroupBarrier();
        [[unroll]] for (uint f = 0; f < STRIP_FETCHES; ++f) {
            uint q = f * SUBGROUP + gl_SubgroupInvocationID;
            if (q >= M * PART_ROWS / 4) break;
            uint token = q / (PART_ROWS / 4), quad = q % (PART_ROWS / 4);
            vec4 v = uintBitsToFloat(tiles[strip + token * STRIP_PITCH + quad]);
            token += i * M;
            if (p.splits == 1) finish(first_token + token, first_row + quad * 4, v, scales[f], added[f]);
            else parts.at[((part_token + token) * BLOCK_ROWS + part_row) / 4 + quad] = v;
        }
        subgroupBarrier();
    }
}

void main() {
    uint part_token = gl_SubgroupID / (BLOCK_ROWS / PART_ROWS) * PART_TOKENS;
    uint part_row = gl_SubgroupID % (BLOCK_ROWS / PART_ROWS) * PART_ROWS;
    [[unroll]] for (uint i = 0; i < TOKEN_COUNT; ++i) {
        [[unroll]] for (uint j = 0; j < ROW_COUNT; ++j) {
            sums[i][j] = coopmat<float, gl_ScopeSubgroup, M, N, gl_MatrixUseAccumulator>(0);
        }
    }
    uint steps = p.padded_columns / BLOCK_COLUMNS;
    uint begin = steps * gl_WorkGroupID.z / p.splits, end = steps * (gl_WorkGroupID.z + 1) / p.splits;
    if (begin < end) {
        find_inputs(gl_WorkGroupID.x * BLOCK_TOKENS + part_token, begin * BLOCK_COLUMNS);
        [[unroll]] for (uint k = 0; k + 1 < SETS; ++k) load_inputs(k, k * K);
        fetch_weights(begin);
        keep_weights(0);
    }
    barrier();
    for (uint step = begin; step < end; ++step) {
        uint stage = STAGES == 2 ? (step - begin) % 2 : 0;
        // Past the last step the last is brought again, for nothing: that costs less than asking.
        fetch_weights(min(step + 1, end - 1));
        multiply(stage, part_row);
        [[unroll]] for (uint i = 0; i < TOKEN_COUNT; ++i) {
            inputs_at[i] += BLOCK_COLUMNS / 16 * BLOCK_BYTES;
        }
        if (STAGES == 1) barrier();
        keep_weights(STAGES == 2 ? 1 - stage : 0);
        barrier();
    }
    leave(part_token, part_row);
    if (p.splits > 1) join_parts();
}
