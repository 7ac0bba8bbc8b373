//! epilogue(W * prologue(x)) for one row of input. TYPE, the bits of a weight, is defined by who includes it.
//
// Four units of a tile, 256 bytes, are a cell: 16 rows by CELL inputs. Four lanes take a cell: each the same
// 16 bytes of the four units, so four rows by CELL inputs, and the workgroup's lanes take a tile's cells in
// turn. With q4 a cell is one block of activations: a row's integers meet their two scales once.
#extension GL_EXT_shader_explicit_arithmetic_types : require
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_scalar_block_layout : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_integer_dot_product : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "parameters/project_vector.h"
#include "links.glsl"
#include "step.glsl"
#include "half.glsl"
#include "attention_parts.glsl"
#include "quotient.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const uint group_size = 256;
layout(constant_id = 1) const uint subgroup_size = 32;
layout(constant_id = 2) const uint prologue = THIMBLE_PROLOGUE_PLAIN;
layout(constant_id = 3) const uint epilogue = THIMBLE_EPILOGUE_STORE;
layout(constant_id = 4) const uint group = 32;
layout(constant_id = 5) const uint capacity = 4096;
layout(constant_id = 6) const uint query_heads = 1;
layout(constant_id = 7) const uint kv_heads = 1;
layout(constant_id = 8) const uint head_size = 64;
layout(constant_id = 9) const uint page_tokens = 16;
layout(constant_id = 10) const uint pairs = 0;
layout(constant_id = 11) const uint pairing = THIMBLE_PAIRING_INTERLEAVED;

// Tiles whose sums gather in shared memory before they become outputs.
layout(constant_id = 12) const uint pending = 4;
// Whether the norms' weights come to shared memory, and before the wait for another dispatch.
layout(constant_id = 13) const uint holds_norms = 0;
// Cells that a lane has on their way.
layout(constant_id = 14) const uint depth = 1;
// How attention has cut positions.
layout(constant_id = 15) const uint splits = 1;
layout(constant_id = 16) const uint least_positions = 64;

layout(push_constant, scalar) uniform Parameters { thimble_project_vector p; };

layout(buffer_reference, std430, buffer_reference_align = 16) readonly buffer Units { uvec4 at[]; };
layout(buffer_reference, std430, buffer_reference_align = 8) readonly buffer Scales { uvec2 at[]; };
layout(buffer_reference, scalar, buffer_reference_align = 4) readonly buffer Vector { float at[]; };
layout(buffer_reference, std430, buffer_reference_align = 16) readonly buffer Vector4 { vec4 at[]; };
// Activations: other dispatches write them while this one may already run.
layout(buffer_reference, scalar, buffer_reference_align = 4) buffer Activation { WRITTEN float at[]; };
layout(buffer_reference, std430, buffer_reference_align = 16) buffer Activation4 { WRITTEN vec4 at[]; };
layout(buffer_reference, scalar, buffer_reference_align = 8) buffer Share { WRITTEN vec2 at[]; };
layout(buffer_reference, scalar, buffer_reference_align = 2) buffer Pages { WRITTEN uint16_t at[]; };

const uint subgroups = group_size / subgroup_size;
const uint teams = group_size / 4;      // of four lanes
const uint CELL = 128 / TYPE;           // inputs of a cell
const bool integers = TYPE <= 8;
#define TWO_M80 uintBitsToFloat(0x17800000u)
const uint block = 32;                  // inputs that share an activation scale

// The input: int8 codes, four a word and 16 a vector, with a block's scale and -8 times its sum; or floats.
#if TYPE == 4
shared uvec4 codes_low[capacity / 32];
shared uvec4 codes_high[capacity / 32];
shared vec2 block_scales[capacity / 32];
#elif TYPE == 8
shared uvec4 codes_low[capacity / 16];
shared float block_scales[capacity / 32];
#else
shared vec4 inputs[capacity / 4 + 1];
#endif
shared float partial[pending * subgroups * 16];
shared float biases[16 * pending];
// Attention inputs: cosines and sines, and where the key and value go.
shared float turns[2 * pairs + 1];
shared uint position, page;
// The norm's weight, then that of what joins the residual.
const uint norms = prologue == THIMBLE_PROLOGUE_RESIDUAL ? 2 : prologue == THIMBLE_PROLOGUE_RMS_NORM ? 1 : 0;
shared vec4 norm_weights[holds_norms * norms * capacity / 4 + 1];
shared float reduced[4 * subgroups];

#include "vector_prologue.glsl"
#include "vector_epilogue.glsl"

// ---- product

struct Cell {
    uvec4 unit[4];
    uvec2 scales; // four float16: of this lane's rows
};

// Where the lane's part of a cell lies; `column` is which 16 bytes of a unit.
Cell load_cell(uint tile, uint cell, uint cells, uint column) {
    Cell c;
    Units units = Units(p.codes + (uint64_t(tile) * cells + cell) * 256);
    [[unroll]] for (uint i = 0; i < 4; ++i) c.unit[i] = units.at[4 * i + column];
    c.scales = uvec2(0);
    if (integers) {
        uint groups = cells / (group / CELL);
        c.scales = Scales(p.scales + (uint64_t(tile) * groups + cell / (group / CELL)) * 32).at[column];
    }
    return c;
}

vec4 row_scales(uvec2 scales) { return vec4(unpackHalf2x16(scales.x), unpackHalf2x16(scales.y)); }

// Adds a cell's share to the lane's four rows.
vec4 add_cell(vec4 sum, Cell c, uint cell) {
#if TYPE == 4
    uvec4 low = codes_low[cell], high = codes_high[cell];
    vec2 scale = block_scales[cell];
    ivec4 dots = ivec4(floatBitsToInt(scale.y));
    uint x[8] = uint[8](low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w);
    [[unroll]] for (uint i = 0; i < 4; ++i) {
        [[unroll]] for (uint r = 0; r < 4; ++r) {
            uint word = c.unit[i][r];
            dots[r] += dotPacked4x8EXT(int(word & 0x0f0f0f0f), int(x[2 * i]));
            dots[r] += dotPacked4x8EXT(int(word >> 4 & 0x0f0f0f0f), int(x[2 * i + 1]));
        }
    }
    return fma(row_scales(c.scales) * scale.x, vec4(dots), sum);
#elif TYPE == 8
    uvec4 x = codes_low[cell];
    ivec4 dots = ivec4(0);
    [[unroll]] for (uint i = 0; i < 4; ++i)
        [[unroll]] for (uint r = 0; r < 4; ++r) dots[r] += dotPacked4x8EXT(int(c.unit[i][r]), int(x[i]));
    return fma(row_scales(c.scales) * block_scales[cell / 2], vec4(dots), sum);
#elif TYPE == 16
    [[unroll]] for (uint i = 0; i < 4; ++i) {
        vec4 x = input_at(8 * cell + i / 2 * 4);
        vec2 pair = i % 2 == 0 ? x.xy : x.zw;
        [[unroll]] for (uint r = 0; r < 4; ++r) {
            vec2 w = unpackHalf2x16(c.unit[i][r]);
            sum[r] = fma(w.y, pair.y, fma(w.x, pair.x, sum[r]));
        }
    }
    return sum;
#else
    vec4 x = input_at(4 * cell);
    [[unroll]] for (uint i = 0; i < 4; ++i) sum = fma(uintBitsToFloat(c.unit[i]), vec4(x[i]), sum);
    return sum;
#endif
}

// Adds up what the subgroup's lanes hold of 16 rows, and puts it where the tile's other subgroups put theirs.
void put_sums(vec4 sum, uint slot) {
    uint lane = gl_SubgroupInvocationID;
    uint base = (slot * subgroups + gl_SubgroupID) * 16;
    if (subgroup_size >= 16) {
        // Each exchange halves the rows that a lane still holds.
        bool upper = (lane & 4) != 0;
        vec2 kept = upper ? sum.zw : sum.xy;
        kept += subgroupShuffleXor(upper ? sum.xy : sum.zw, 4);
        bool odd = (lane & 8) != 0;
        float one = odd ? kept.y : kept.x;
        one += subgroupShuffleXor(odd ? kept.x : kept.y, 8);
        for (uint other = 16; other < subgroup_size; other *= 2) one += subgroupShuffleXor(one, other);
        if (lane < 16) partial[base + (lane & 3) * 4 + (upper ? 2 : 0) + (odd ? 1 : 0)] = one;
    } else {
        for (uint other = 4; other < subgroup_size; other *= 2) sum += subgroupShuffleXor(sum, other);
        if (lane < 4) [[unroll]] for (uint r = 0; r < 4; ++r) partial[base + 4 * lane + r] = sum[r];
    }
}

// Moves to the lane's next cell: a tile's cells are taken by the workgroup's teams in turn.
void advance(inout uint tile, inout uint cell, uint team, uint cells, uint stride) {
    cell += teams;
    if (cell - team >= cells) {
        cell = team;
        tile += stride;
    }
}

void main() {
    uint quantum = integers ? group : 32;
    uint cells = (p.columns + quantum - 1) / quantum * quantum / CELL;
    uint tiles = (p.rows + 15) / 16;
    uint stride = gl_NumWorkGroups.x;
    uint team = gl_LocalInvocationIndex / 4, column = gl_LocalInvocationIndex & 3;

    uint tile = gl_WorkGroupID.x;
    if (tile >= tiles) return;
    // The first weights are on their way before anything that another dispatch writes is asked for.
    Cell ring[depth];
    uint ahead_tile = tile, ahead_cell = team;
    [[unroll]] for (uint i = 0; i < depth; ++i) {
        if (ahead_tile < tiles) ring[i] = load_cell(ahead_tile, min(ahead_cell, cells - 1), cells, column);
        advance(ahead_tile, ahead_cell, team, cells, stride);
    }
    look_ahead(tile, stride);
    hold_norms();
    if (waits) wait_for_link(p.link);
    else if (holds_norms != 0) barrier();
    if (capacity != 0) prepare_inputs(cells * CELL);
    barrier();

    uint first = tile, count = 0, cell = team;
    vec4 sum = vec4(0);
    while (tile < tiles) {
        [[unroll]] for (uint i = 0; i < depth; ++i) {
            if (tile >= tiles) break;
            if (cell < cells) sum = add_cell(sum, ring[i], cell);
            if (ahead_tile < tiles)
                ring[i] = load_cell(ahead_tile, min(ahead_cell, cells - 1), cells, column);
            advance(ahead_tile, ahead_cell, team, cells, stride);
            uint this_tile = tile;
            advance(tile, cell, team, cells, stride);
            if (tile == this_tile) continue;
            put_sums(sum, count);
            sum = vec4(0);
            count += 1;
            if (count == pending || tile >= tiles) {
                barrier();
                finish(first, stride, count, first == gl_WorkGroupID.x);
                count = 0;
                first = tile;
                if (tile < tiles) barrier();
            }
        }
    }
    if (waits) raise_link(p.link);
}
