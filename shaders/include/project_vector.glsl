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
#include "step.glsl"
#include "half.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const uint group_size = 256;
layout(constant_id = 1) const uint subgroup_size = 32;
layout(constant_id = 2) const uint prologue = THIMBLE_PROLOGUE_PLAIN;
layout(constant_id = 3) const uint epilogue = THIMBLE_EPILOGUE_STORE;
layout(constant_id = 4) const uint group = 32;
layout(constant_id = 5) const uint capacity = 4096;
layout(constant_id = 6) const uint waits = 0;
layout(constant_id = 7) const uint query_heads = 1;
layout(constant_id = 8) const uint kv_heads = 1;
layout(constant_id = 9) const uint head_size = 64;
layout(constant_id = 10) const uint page_tokens = 16;
layout(constant_id = 11) const uint pairs = 0;
layout(constant_id = 12) const uint pairing = THIMBLE_PAIRING_INTERLEAVED;

// Tiles whose sums gather in shared memory before they become outputs.
layout(constant_id = 13) const uint pending = 4;
// Whether the norms' weights come to shared memory, and before the wait for another dispatch.
layout(constant_id = 14) const uint holds_norms = 0;
// Cells that a lane has on their way.
layout(constant_id = 15) const uint depth = 1;

layout(push_constant, scalar) uniform Parameters { thimble_project_vector p; };

layout(buffer_reference, std430, buffer_reference_align = 16) readonly buffer Units { uvec4 at[]; };
layout(buffer_reference, std430, buffer_reference_align = 8) readonly buffer Scales { uvec2 at[]; };
layout(buffer_reference, scalar, buffer_reference_align = 4) readonly buffer Vector { float at[]; };
layout(buffer_reference, std430, buffer_reference_align = 16) readonly buffer Vector4 { vec4 at[]; };
// Activations: other dispatches write them while this one may already run.
layout(buffer_reference, scalar, buffer_reference_align = 4) coherent buffer Activation { float at[]; };
layout(buffer_reference, std430, buffer_reference_align = 16) coherent buffer Activation4 { vec4 at[]; };
layout(buffer_reference, scalar, buffer_reference_align = 2) coherent buffer Pages { uint16_t at[]; };
layout(buffer_reference, scalar, buffer_reference_align = 4) readonly buffer Table { int at[]; };

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
shared vec4 norm_weights[holds_norms * prologue * capacity / 4 + 1];
shared float reduced[4 * subgroups];

// ---- prologue

// Inputs that an invocation holds in registers during a prologue: eight at a time.
const uint rounds = capacity == 0 ? 1 : (capacity + 8 * group_size - 1) / (8 * group_size);

// What an invocation holds of an input: eight numbers a round.
struct Vectors { vec4 at[2 * rounds]; };

// The sum of x over the workgroup. Each call of a dispatch has a slot of its own: no barrier guards it.
float workgroup_sum(float x, uint slot) {
    x = subgroupAdd(x);
    if (subgroupElect()) reduced[slot * subgroups + gl_SubgroupID] = x;
    barrier();
    float sum = 0;
    for (uint i = 0; i < subgroups; ++i) sum += reduced[slot * subgroups + i];
    return sum;
}

// 1 / sqrt(mean of the squares of all invocations' x + epsilon). `slot` is even.
float inverse_root_mean_square(Vectors x, uint slot) {
    float sum = 0;
    [[unroll]] for (uint i = 0; i < 2 * rounds; ++i) sum += dot(x.at[i], x.at[i]);
    sum = workgroup_sum(sum, slot);
    float count = float(p.columns);
    float unit = 1, mean = sum / count + p.epsilon;
    if (!(sum < 1e37)) {
        // Squares of large numbers count in units of 2^160, and epsilon no more.
        unit = TWO_M80;
        sum = 0;
        [[unroll]] for (uint i = 0; i < 2 * rounds; ++i) {
            precise vec4 scaled = x.at[i] * unit;
            sum += dot(scaled, scaled);
        }
        mean = workgroup_sum(sum, slot + 1) / count;
    }
    float inverse = inversesqrt(mean);
    float refined = inverse * fma(-0.5 * mean * inverse, inverse, 1.5);
    return (refined > 0 ? refined : inverse) * unit;
}

// Four inputs from column k on; zero beyond the columns.
vec4 load_vector(uint64_t address, uint k) {
    if ((p.columns & 3) == 0) return k < p.columns ? Vector4(address).at[k / 4] : vec4(0);
    vec4 v = vec4(0);
    for (uint i = 0; i < 4; ++i) if (k + i < p.columns) v[i] = Vector(address).at[k + i];
    return v;
}

vec4 load_activation(uint64_t address, uint k) {
    if ((p.columns & 3) == 0) return k < p.columns ? Activation4(address).at[k / 4] : vec4(0);
    vec4 v = vec4(0);
    for (uint i = 0; i < 4; ++i) if (k + i < p.columns) v[i] = Activation(address).at[k + i];
    return v;
}

void store_residual(uint k, vec4 v) {
    if ((p.columns & 3) == 0) {
        if (k < p.columns) Activation4(p.residual_out).at[k / 4] = v;
    } else {
        for (uint i = 0; i < 4; ++i) if (k + i < p.columns) Activation(p.residual_out).at[k + i] = v[i];
    }
}

vec4 scaled(vec4 x, float inverse, vec4 weight) {
    precise vec4 y = x * inverse;
    y *= weight;
    return y;
}

vec4 joined(vec4 x, vec4 delta) {
    precise vec4 y = x + delta;
    return y;
}

// a / b to the nearest float32.
float quotient(float a, float b) {
    precise float q = a / b;
    precise float rest = fma(-q, b, a);
    precise float refined = fma(rest, 1 / b, q);
    return isinf(refined) || isnan(refined) ? q : refined;
}

#if TYPE > 8
// Four inputs from column k on: those of a narrow enough input lie in shared memory.
vec4 input_at(uint k) { return capacity != 0 ? inputs[k / 4] : load_activation(p.x, k); }
#endif

#if TYPE <= 8
// Four inputs' codes in a word: numbers of magnitude up to 127 over `inverse`, to the nearest.
uint packed(vec4 x, float inverse) {
    // Adding 1.5 * 2^23 leaves the nearest integer in the lowest bits.
    precise vec4 magnified = x * inverse;
    precise vec4 shifted = magnified + 12582912.0;
    uvec4 bits = floatBitsToUint(shifted);
    uint low = bitfieldInsert(bits.x, bits.y, 8, 8);
    uint high = bitfieldInsert(bits.z, bits.w, 8, 8);
    return bitfieldInsert(low, high, 16, 16);
}

// Eight inputs from column k on, by an invocation; four neighbours hold a block. All invocations call it.
void put_inputs(uint k, bool holds, vec4 a, vec4 b) {
    // Magnitudes in order of their bits, what is not a number above all others.
    uvec4 magnitudes = max(floatBitsToUint(abs(a)), floatBitsToUint(abs(b)));
    uint largest = max(max(magnitudes.x, magnitudes.y), max(magnitudes.z, magnitudes.w));
    largest = max(largest, subgroupShuffleXor(largest, 1));
    largest = max(largest, subgroupShuffleXor(largest, 2));
    bool finite = largest < 0x7f800000u;
    bool zero = !finite || largest < 0x03800000u; // 2^-120
    float limit = uintBitsToFloat(largest);
    uvec2 codes = uvec2(0);
    if (!zero) {
        float inverse = quotient(127, limit);
        codes = uvec2(packed(a, inverse), packed(b, inverse));
    }
    float scale = !finite ? uintBitsToFloat(0x7fc00000u) : zero ? 0 : quotient(limit, 127);
    int sum = dotPacked4x8EXT(int(codes.x), 0x01010101) + dotPacked4x8EXT(int(codes.y), 0x01010101);
    sum += subgroupShuffleXor(sum, 1);
    sum += subgroupShuffleXor(sum, 2);
    if (!holds) return;
    uint index = k / block;
    uint part = k / 8 & 3;
#if TYPE == 4
    if (part < 2) {
        codes_low[index][2 * part] = codes.x;
        codes_low[index][2 * part + 1] = codes.y;
    } else {
        codes_high[index][2 * part - 4] = codes.x;
        codes_high[index][2 * part - 3] = codes.y;
    }
    if (part == 0) block_scales[index] = vec2(scale, intBitsToFloat(-8 * sum));
#else
    codes_low[k / 16][2 * (part & 1)] = codes.x;
    codes_low[k / 16][2 * (part & 1) + 1] = codes.y;
    if (part == 0) block_scales[index] = scale;
#endif
}
#else
void put_inputs(uint k, bool holds, vec4 a, vec4 b) {
    if (!holds) return;
    inputs[k / 4] = a;
    inputs[k / 4 + 1] = b;
}
#endif

// Weights of a norm, brought to shared memory long before they are needed, or asked for now.
void hold_norms() {
    if (holds_norms == 0 || prologue == THIMBLE_PROLOGUE_PLAIN) return;
    for (uint i = gl_LocalInvocationIndex; i < capacity / 4; i += group_size) {
        norm_weights[i] = load_vector(p.weight, 4 * i);
        if (prologue == THIMBLE_PROLOGUE_RESIDUAL)
            norm_weights[capacity / 4 + i] = load_vector(p.delta_weight, 4 * i);
    }
}

vec4 norm_weight(uint64_t address, uint which, uint k) {
    if (holds_norms == 0) return load_vector(address, k);
    return k < capacity ? norm_weights[(which * capacity + k) / 4] : vec4(0);
}

// `padded`: columns of the matrix with padding.
void prepare_inputs(uint padded) {
    Vectors x;
    [[unroll]] for (uint i = 0; i < rounds; ++i) {
        uint k = 8 * (gl_LocalInvocationIndex + i * group_size);
        x.at[2 * i] = load_activation(p.x, k);
        x.at[2 * i + 1] = load_activation(p.x, k + 4);
    }
    if (prologue != THIMBLE_PROLOGUE_PLAIN) {
        Vectors weight;
        [[unroll]] for (uint i = 0; i < rounds; ++i) {
            uint k = 8 * (gl_LocalInvocationIndex + i * group_size);
            weight.at[2 * i] = norm_weight(p.weight, 0, k);
            weight.at[2 * i + 1] = norm_weight(p.weight, 0, k + 4);
        }
        if (prologue == THIMBLE_PROLOGUE_RESIDUAL) {
            Vectors delta, delta_weight;
            [[unroll]] for (uint i = 0; i < 2 * rounds; ++i) {
                uint k = 8 * (gl_LocalInvocationIndex + i / 2 * group_size) + i % 2 * 4;
                delta.at[i] = load_activation(p.delta, k);
                delta_weight.at[i] = norm_weight(p.delta_weight, 1, k);
            }
            float inverse = inverse_root_mean_square(delta, 0);
            [[unroll]] for (uint i = 0; i < 2 * rounds; ++i) {
                x.at[i] = joined(x.at[i], scaled(delta.at[i], inverse, delta_weight.at[i]));
                uint k = 8 * (gl_LocalInvocationIndex + i / 2 * group_size) + i % 2 * 4;
                if (gl_WorkGroupID.x == 0) store_residual(k, x.at[i]);
            }
        }
        float inverse = inverse_root_mean_square(x, 2);
        [[unroll]] for (uint i = 0; i < 2 * rounds; ++i) x.at[i] = scaled(x.at[i], inverse, weight.at[i]);
    }
    [[unroll]] for (uint i = 0; i < rounds; ++i) {
        uint k = 8 * (gl_LocalInvocationIndex + i * group_size);
        put_inputs(k, k < padded, x.at[2 * i], x.at[2 * i + 1]);
    }
}

// ---- epilogue

void store_attention_input(uint row, float value) {
    uint head = row / head_size, index = row % head_size;
    float partner = subgroupShuffleXor(value, 1);
    if (head < query_heads + kv_heads && index < 2 * pairs) {
        precise float along = value * turns[index / 2];
        precise float across = partner * turns[pairs + index / 2];
        precise float turned = (index & 1) == 0 ? along - across : along + across;
        value = turned;
    }
    if (row >= p.rows) return;
    if (head < query_heads) {
        Activation(p.y).at[row] = value;
        return;
    }
    // Key heads, then value heads, as a page holds them.
    uint64_t page_elements = 2 * kv_heads * page_tokens * head_size;
    uint64_t element = page * page_elements
        + ((head - query_heads) * page_tokens + position % page_tokens) * head_size + index;
    Pages(p.pages + 2 * element).at[0] = uint16_t(half_from_float(value));
}

// Brings to shared memory what the epilogue needs besides sums, for the tiles that are stored first.
void look_ahead(uint tile, uint stride) {
    if (p.bias != 0 && epilogue != THIMBLE_EPILOGUE_SWIGLU && epilogue != THIMBLE_EPILOGUE_ADD) {
        for (uint item = gl_LocalInvocationIndex; item < 16 * pending; item += group_size) {
            uint row = (tile + item / 16 * stride) * 16 + item % 16;
            biases[item] = row < p.rows ? Vector(p.bias).at[row] : 0;
        }
    }
    if (epilogue != THIMBLE_EPILOGUE_ATTENTION_INPUTS) return;
    for (uint i = gl_LocalInvocationIndex; i < pairs; i += group_size) {
        turns[i] = Vector(Step(p.step).step.cosines).at[i];
        turns[pairs + i] = Vector(Step(p.step).step.sines).at[i];
    }
    if (gl_LocalInvocationIndex == 0) {
        position = Step(p.step).step.position;
        page = uint(Table(Step(p.step).step.block_table).at[position / page_tokens]);
    }
}

// Turns the sums of `count` tiles, the first of which is `tile`, into outputs.
void finish(uint tile, uint stride, uint count, bool is_first) {
    for (uint item = gl_LocalInvocationIndex; item < 16 * count; item += group_size) {
        uint slot = item / 16;
        uint row = (tile + slot * stride) * 16 + item % 16;
        float value = 0;
        for (uint i = 0; i < subgroups; ++i) value += partial[(slot * subgroups + i) * 16 + item % 16];
        bool real = row < p.rows;
        if (epilogue == THIMBLE_EPILOGUE_SWIGLU) {
            float up = subgroupShuffleXor(value, 1);
            if (real && (row & 1) == 0) Activation(p.y).at[row / 2] = value / (1 + exp(-value)) * up;
            continue;
        }
        if (p.bias != 0 && real && epilogue != THIMBLE_EPILOGUE_ADD)
            value += is_first ? biases[item] : Vector(p.bias).at[row];
        if (epilogue == THIMBLE_EPILOGUE_ATTENTION_INPUTS) {
            store_attention_input(real ? row : p.rows, value);
        } else if (real) {
            if (epilogue == THIMBLE_EPILOGUE_ADD) value += Activation(p.y).at[row];
            Activation(p.y).at[row] = value;
        }
    }
}

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
    if (waits != 0) look_ahead(tile, stride);
    hold_norms();
    if (waits != 0) wait_for_link(p.link);
    else if (holds_norms != 0) barrier();
    if (capacity != 0) prepare_inputs(cells * CELL);
    if (waits == 0) look_ahead(tile, stride);
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
    if (waits != 0) raise_link(p.link);
}
