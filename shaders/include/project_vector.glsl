//! epilogue(W * prologue(x)) for one row of input. TYPE, the bits of a weight, is defined by who includes it.
//
// Four units of a tile, 256 bytes, are a cell: 16 rows by CELL inputs. Four lanes take a cell: each the same
// 16 bytes of the four units, so four rows by CELL inputs, and the workgroup's lanes take a tile's cells in
// turn. With q4 a cell is one block of activations: a row's integers meet their two scales once.
//
// Where projections follow each other, one dispatch does them in turn: each is a stage, which waits for the
// stage before with its first weights already on their way. All that can be known of a stage its pipeline
// knows: at each of them the device has to fetch and issue every instruction before it reads at full speed.
#extension GL_EXT_shader_explicit_arithmetic_types : require
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_scalar_block_layout : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_integer_dot_product : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#extension GL_KHR_shader_subgroup_vote : require
#include "parameters/project_vector.h"
#include "links.glsl"
#include "step.glsl"
#include "half.glsl"
#include "attention_parts.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const uint group_size = 256;
layout(constant_id = 1) const uint subgroup_size = 32;
layout(constant_id = 2) const uint group = 32;
layout(constant_id = 3) const uint capacity = 4096;
// Tiles whose sums gather in shared memory before they become outputs.
layout(constant_id = 4) const uint pending = 4;
layout(constant_id = 5) const uint query_heads = 1;
layout(constant_id = 6) const uint kv_heads = 1;
layout(constant_id = 7) const uint head_size = 64;
layout(constant_id = 8) const uint page_tokens = 16;
layout(constant_id = 9) const uint pairs = 0;
// How attention has cut positions.
layout(constant_id = 10) const uint splits = 1;
layout(constant_id = 11) const uint least_positions = 64;
layout(constant_id = 12) const uint stages = 1;
layout(constant_id = 13) const uint shares = 1;

// What is known of a stage.
struct Stage {
    uint index, prologue, epilogue, rows, columns;
    uint depth; // cells that a lane has on their way, of a tile or of a few
    uint biased;
    uint share; // tiles of a share, at most
};
#define STAGE(n, id) \
    layout(constant_id = id) const uint prologue_##n = THIMBLE_PROLOGUE_PLAIN; \
    layout(constant_id = id + 1) const uint epilogue_##n = THIMBLE_EPILOGUE_STORE; \
    layout(constant_id = id + 2) const uint rows_##n = 16; \
    layout(constant_id = id + 3) const uint columns_##n = 32; \
    layout(constant_id = id + 4) const uint depth_##n = 1; \
    layout(constant_id = id + 5) const uint biased_##n = 0; \
    layout(constant_id = id + 6) const uint share_##n = 1;
STAGE(0, 14)
STAGE(1, 21)
STAGE(2, 28)
STAGE(3, 35)
#define STAGE_OF(n) \
    Stage(n, prologue_##n, epilogue_##n, rows_##n, columns_##n, depth_##n, biased_##n, share_##n)

#ifdef LINKED
layout(push_constant, scalar) uniform Parameters { thimble_vector_stages list; };
layout(buffer_reference, scalar, buffer_reference_align = 8) readonly buffer StageList {
    thimble_project_vector at[];
};
// Of all stages: what lies there is not waited for again.
shared thimble_project_vector of_stage[THIMBLE_VECTOR_STAGES];
#define P(stage) of_stage[stage.index]
#define CLAIMS list.claims
#include "shares.glsl"
#else
layout(push_constant, scalar) uniform Parameters { thimble_project_vector parameters; };
#define P(stage) parameters
#define CLAIMS 0
#endif

layout(buffer_reference, std430, buffer_reference_align = 16) readonly buffer Units { uvec4 at[]; };
layout(buffer_reference, std430, buffer_reference_align = 8) readonly buffer Scales { uvec2 at[]; };
layout(buffer_reference, scalar, buffer_reference_align = 4) readonly buffer Vector { float at[]; };
layout(buffer_reference, std430, buffer_reference_align = 16) readonly buffer Vector4 { vec4 at[]; };
// Activations: other dispatches and stages write them while this one may already run.
layout(buffer_reference, scalar, buffer_reference_align = 4) buffer Activation { WRITTEN float at[]; };
layout(buffer_reference, std430, buffer_reference_align = 16) buffer Activation4 { WRITTEN vec4 at[]; };
layout(buffer_reference, scalar, buffer_reference_align = 8) buffer Share { WRITTEN vec2 at[]; };
layout(buffer_reference, scalar, buffer_reference_align = 2) buffer Pages { WRITTEN uint16_t at[]; };

const uint subgroups = group_size / subgroup_size;
const uint teams = group_size / 4;      // of four lanes
const uint CELL = 128 / TYPE;           // inputs of a cell
const bool integers = TYPE <= 8;
const uint block = 32;                  // inputs that share an activation scale
const uint quantum = integers ? group : 32;
const uint most_depth = 3;

uint padded_columns(Stage s) { return (s.columns + quantum - 1) / quantum * quantum; }
uint cells_of(Stage s) { return padded_columns(s) / CELL; }

// Rounds of a workgroup's teams for a tile's cells; how many of them are on their way at once; and in how
// many turns a tile is done.
uint rounds_of_tile(Stage s) { return (cells_of(s) + teams - 1) / teams; }
uint rounds_at_once(Stage s) { return min(s.depth, rounds_of_tile(s)); }
uint turns_of_tile(Stage s) { return (rounds_of_tile(s) + rounds_at_once(s) - 1) / rounds_at_once(s); }

// Tiles that are under way together.
uint tiles_at_once(Stage s) { return s.depth / rounds_at_once(s); }

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
// Sums of subgroups, four reductions of a stage.
shared vec4 reduced[subgroups + 4];

#include "vector_prologue.glsl"
#include "vector_epilogue.glsl"

// ---- product

struct Cell {
    uvec4 unit[4];
    uvec2 scales; // four float16: of this lane's rows
};

// Where a stage's weights lie, as a workgroup goes through them: the planes, how many tiles there are, and
// which 16 bytes of a unit are the lane's.
struct Weights {
    uint64_t codes, scales;
    uint tiles, column;
};

// The cell that a lane takes, of a tile that the workgroup does.
struct Place {
    uint tile, cell;
};

// The lane's part of a cell. Where there is none all lanes ask for the same bytes, which costs little: a
// branch would hold up the loads behind it.
Cell load_cell(Stage s, Weights w, Place at) {
    bool is_real = at.tile < w.tiles;
    uint cell = min(at.cell, cells_of(s) - 1);
    Cell c;
    uint64_t units = (uint64_t(at.tile) * cells_of(s) + cell) * 256 + w.column * 16;
    [[unroll]] for (uint i = 0; i < 4; ++i) c.unit[i] = Units(w.codes + (is_real ? units : 0)).at[4 * i];
    c.scales = uvec2(0);
    if (integers) {
        const uint group_cells = group / CELL;
        uint64_t first = uint64_t(at.tile) * (cells_of(s) / group_cells) + cell / group_cells;
        c.scales = Scales(w.scales + (is_real ? first * 32 + w.column * 8 : 0)).at[0];
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

// Moves to the lane's next cell.
void advance(Stage s, inout Place at, uint team) {
    uint padded = turns_of_tile(s) * rounds_at_once(s) * teams;
    at.cell += teams;
    if (padded == teams || at.cell - team >= padded) {
        at.cell = team;
        at.tile += shares;
    }
}

// Branches that all lanes of a subgroup take alike are taken by a vote where a driver could not tell: behind
// others lanes that exchange are first looked for.

// Does a share of a stage. `settles` where the first of several stages waits until all shares are claimed,
// too: false, and nothing is done, where some are left.
bool run_stage(Stage s, uint share, bool settles) {
    uint cells = cells_of(s), stride = shares, tile = share;
    uint team = gl_LocalInvocationIndex / 4;
    Weights w = Weights(P(s).codes, P(s).scales, (s.rows + 15) / 16, gl_LocalInvocationIndex & 3);
    uint64_t claims = settles ? CLAIMS : 0;
    if (tile >= w.tiles) {
        // What others take over is not known here.
        if (settles && !wait_for_link(P(s).link, claims, shares)) return false;
        if (waits) raise_link(P(s).link);
        return true;
    }
    // The first weights are on their way before anything that others write is asked for.
    Cell ring[most_depth];
    Place ahead = Place(tile, team);
    [[unroll]] for (uint i = 0; i < most_depth; ++i) {
        if (i >= s.depth) break;
        ring[i] = load_cell(s, w, ahead);
        advance(s, ahead, team);
    }
    look_ahead(s, tile, stride);
    Norms norms;
    ask_for_norms(s, norms);
    Operands operands = operands_of(s);
    if (waits && !subgroupAll(wait_for_link(P(s).link, claims, shares))) return false;
    prepare_inputs(s, operands, norms, share);
    barrier();

    uint first = tile, count = 0;
    for (; tile < w.tiles; tile += tiles_at_once(s) * stride) {
        vec4 sums[most_depth];
        [[unroll]] for (uint i = 0; i < most_depth; ++i) sums[i] = vec4(0);
        for (uint turn = 0; turn < turns_of_tile(s); ++turn) {
            [[unroll]] for (uint i = 0; i < most_depth; ++i) {
                if (i >= s.depth) break;
                Cell now = ring[i];
                if (s.share * turns_of_tile(s) > tiles_at_once(s)) {
                    ring[i] = load_cell(s, w, ahead);
                    advance(s, ahead, team);
                }
                // By selection: an index that no compiler sees through would put sums into memory.
                uint of = i / rounds_at_once(s);
                vec4 sum = sums[0];
                [[unroll]] for (uint j = 1; j < most_depth; ++j) sum = j == of ? sums[j] : sum;
                uint cell = team + (turn * rounds_at_once(s) + i % rounds_at_once(s)) * teams;
                if (cells % teams == 0 || cell < cells) sum = add_cell(sum, now, cell);
                [[unroll]] for (uint j = 0; j < most_depth; ++j) sums[j] = j == of ? sum : sums[j];
            }
        }
        // Not in a loop that is left early: lanes that exchange there are first looked for.
        put_sums(sums[0], count);
        if (tiles_at_once(s) > 1) put_sums(sums[1], count + 1);
        if (tiles_at_once(s) > 2) put_sums(sums[2], count + 2);
        count += tiles_at_once(s);
        uint next = tile + tiles_at_once(s) * stride;
        if (count + tiles_at_once(s) > pending || next >= w.tiles) {
            barrier();
            finish(s, operands, first, stride, count, first == share);
            count = 0;
            first = next;
            if (next < w.tiles) barrier();
        }
    }
    if (waits) raise_link(P(s).link);
    return true;
}

#ifdef LINKED
// Of this workgroup: its own share, then those that it has taken over.
shared uint own_shares[shares];
shared uint claimed_share;

Stage stage_at(uint n) {
    if (n == 0) return STAGE_OF(0);
    if (n == 1) return STAGE_OF(1);
    return n == 2 ? STAGE_OF(2) : STAGE_OF(3);
}

// All stages where not all workgroups have started: slowly, by code that is made for no stage.
void run_with_shares_of_others() {
    uint count = 1, stage = 0, i = 0;
    if (gl_LocalInvocationIndex == 0) own_shares[0] = gl_WorkGroupID.x;
    barrier();
    while (stage < stages) {
        run_stage(stage_at(stage), own_shares[i], false);
        i += 1;
        // Once one's own are begun, what is still nobody's.
        if (stage == 0 && i == count) {
            if (gl_LocalInvocationIndex == 0) {
                claimed_share = claim_any_share(CLAIMS, shares);
                if (claimed_share != NO_SHARE) own_shares[count] = claimed_share;
            }
            barrier();
            if (claimed_share != NO_SHARE) count += 1;
            barrier();
        }
        if (i == count) {
            stage += 1;
            i = 0;
        }
    }
}
#endif

void main() {
    uint share = gl_WorkGroupID.x;
#ifdef LINKED
    uint index = gl_LocalInvocationIndex;
    if (index < stages) of_stage[index] = StageList(list.stages).at[index];
    if (stages > 1 && index == 0) claimed_share = claim_share(CLAIMS, share) ? share : NO_SHARE;
    barrier();
    if (subgroupAll(stages > 1 && claimed_share == NO_SHARE)) return;
    if (!subgroupAll(run_stage(STAGE_OF(0), share, stages > 1))) {
        run_with_shares_of_others();
        return;
    }
    if (stages > 1) run_stage(STAGE_OF(1), share, false);
    if (stages > 2) run_stage(STAGE_OF(2), share, false);
    if (stages > 3) run_stage(STAGE_OF(3), share, false);
#else
    run_stage(STAGE_OF(0), share, false);
#endif
}
