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
#define TWO_40 uintBitsToFloat(0x53800000u)
#define TWO_M80 uintBitsToFloat(0x17800000u)
#define TWO_M120 uintBitsToFloat(0x03800000u)
#define INFINITY uintBitsToFloat(0x7f800000u)
const uint block = 32;                  // inputs that share an activation scale
// Tiles whose sums gather in shared memory before they become outputs.
const uint pending = 4;

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
shared float partial[2 * pending * subgroups * 16];
shared vec2 reduced[subgroups];

// ---- prologue

// A sum of squares in two floats, so that the square of any float32 counts: those of numbers beyond 2^40 are
// in units of 2^160.
vec2 add_square(vec2 sum, float x) {
    if (abs(x) > TWO_40) {
        float scaled = x * TWO_M80;
        sum.y = fma(scaled, scaled, sum.y);
    } else {
        sum.x = fma(x, x, sum.x);
    }
    return sum;
}

// 1 / sqrt(mean square + epsilon), of the sums of all invocations.
float inverse_root_mean_square(vec2 sum) {
    sum = subgroupAdd(sum);
    if (subgroupElect()) reduced[gl_SubgroupID] = sum;
    barrier();
    sum = vec2(0);
    for (uint i = 0; i < subgroups; ++i) sum += reduced[i];
    barrier();
    float count = float(p.columns);
    float unit = 1;
    float mean = sum.x / count + p.epsilon;
    if (sum.y > 0) {
        unit = TWO_M80;
        mean = (sum.y + sum.x * TWO_M80 * TWO_M80) / count;
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
// The codes of eight inputs whose block has that largest magnitude.
uvec2 quantized(vec4 a, vec4 b, float inverse) {
    i8vec4 low = i8vec4(ivec4(roundEven(a * inverse)));
    i8vec4 high = i8vec4(ivec4(roundEven(b * inverse)));
    return uvec2(pack32(low), pack32(high));
}

// Eight inputs from column k on, by an invocation; four neighbours hold a block. All invocations call it.
void put_inputs(uint k, bool holds, vec4 a, vec4 b) {
    vec4 magnitudes = max(abs(a), abs(b));
    float largest = max(max(magnitudes.x, magnitudes.y), max(magnitudes.z, magnitudes.w));
    // Comparing leaves out what is not a number.
    bool finite = all(lessThan(abs(a), vec4(INFINITY))) && all(lessThan(abs(b), vec4(INFINITY)));
    if (!finite) largest = INFINITY;
    largest = max(largest, subgroupShuffleXor(largest, 1));
    largest = max(largest, subgroupShuffleXor(largest, 2));
    finite = largest < INFINITY;
    bool zero = !finite || largest < TWO_M120;
    uvec2 codes = uvec2(0);
    if (!zero) codes = quantized(a, b, quotient(127, largest));
    float scale = !finite ? uintBitsToFloat(0x7fc00000u) : zero ? 0 : quotient(largest, 127);
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

// Inputs that an invocation holds in registers during a prologue: eight at a time.
const uint rounds = capacity == 0 ? 1 : (capacity + 8 * group_size - 1) / (8 * group_size);

// `padded`: columns of the matrix with padding.
void prepare_inputs(uint padded) {
    vec4 x[2 * rounds];
    [[unroll]] for (uint i = 0; i < rounds; ++i) {
        uint k = 8 * (gl_LocalInvocationIndex + i * group_size);
        x[2 * i] = load_activation(p.x, k);
        x[2 * i + 1] = load_activation(p.x, k + 4);
    }
    if (prologue != THIMBLE_PROLOGUE_PLAIN) {
        vec4 weight[2 * rounds];
        [[unroll]] for (uint i = 0; i < rounds; ++i) {
            uint k = 8 * (gl_LocalInvocationIndex + i * group_size);
            weight[2 * i] = load_vector(p.weight, k);
            weight[2 * i + 1] = load_vector(p.weight, k + 4);
        }
        if (prologue == THIMBLE_PROLOGUE_RESIDUAL) {
            vec4 delta[2 * rounds], delta_weight[2 * rounds];
            vec2 sum = vec2(0);
            [[unroll]] for (uint i = 0; i < 2 * rounds; ++i) {
                uint k = 8 * (gl_LocalInvocationIndex + i / 2 * group_size) + i % 2 * 4;
                delta[i] = load_activation(p.delta, k);
                delta_weight[i] = load_vector(p.delta_weight, k);
            }
            [[unroll]] for (uint i = 0; i < 2 * rounds; ++i)
                [[unroll]] for (uint j = 0; j < 4; ++j) sum = add_square(sum, delta[i][j]);
            float inverse = inverse_root_mean_square(sum);
            [[unroll]] for (uint i = 0; i < 2 * rounds; ++i) {
                x[i] = joined(x[i], scaled(delta[i], inverse, delta_weight[i]));
                uint k = 8 * (gl_LocalInvocationIndex + i / 2 * group_size) + i % 2 * 4;
                if (gl_WorkGroupID.x == 0) store_residual(k, x[i]);
            }
        }
        vec2 sum = vec2(0);
        [[unroll]] for (uint i = 0; i < 2 * rounds; ++i)
            [[unroll]] for (uint j = 0; j < 4; ++j) sum = add_square(sum, x[i][j]);
        float inverse = inverse_root_mean_square(sum);
        [[unroll]] for (uint i = 0; i < 2 * rounds; ++i) x[i] = scaled(x[i], inverse, weight[i]);
    }
    [[unroll]] for (uint i = 0; i < rounds; ++i) {
        uint k = 8 * (gl_LocalInvocationIndex + i * group_size);
        put_inputs(k, k < padded, x[2 * i], x[2 * i + 1]);
    }
}

// ---- epilogue

void store_attention_input(uint row, float value, uint position) {
    uint head = row / head_size, index = row % head_size;
    float partner = subgroupShuffleXor(value, 1);
    if (head < query_heads + kv_heads && index < 2 * pairs) {
        float cosine = Activation(Step(p.step).step.cosines).at[index / 2];
        float sine = Activation(Step(p.step).step.sines).at[index / 2];
        precise float along = value * cosine;
        precise float across = partner * sine;
        precise float turned = (index & 1) == 0 ? along - across : along + across;
        value = turned;
    }
    if (row >= p.rows) return;
    if (head < query_heads) {
        Activation(p.y).at[row] = value;
        return;
    }
    // Key heads, then value heads, as a page holds them.
    uint page = uint(Table(Step(p.step).step.block_table).at[position / page_tokens]);
    uint64_t page_elements = 2 * kv_heads * page_tokens * head_size;
    uint64_t element = page * page_elements
        + ((head - query_heads) * page_tokens + position % page_tokens) * head_size + index;
    Pages(p.pages + 2 * element).at[0] = uint16_t(half_from_float(value));
}

// Turns the sums of `count` tiles, the first of which is `tile`, into outputs.
void finish(uint tile, uint stride, uint count, uint parity) {
    for (uint item = gl_LocalInvocationIndex; item < 16 * pending; item += group_size) {
        uint slot = item / 16;
        uint row = (tile + slot * stride) * 16 + item % 16;
        float value = 0;
        for (uint i = 0; i < subgroups; ++i)
            value += partial[((parity * pending + slot) * subgroups + i) * 16 + item % 16];
        bool real = slot < count && row < p.rows;
        if (epilogue == THIMBLE_EPILOGUE_SWIGLU) {
            float up = subgroupShuffleXor(value, 1);
            if (real && (row & 1) == 0) Activation(p.y).at[row / 2] = value / (1 + exp(-value)) * up;
        } else {
            if (p.bias != 0 && real && epilogue != THIMBLE_EPILOGUE_ADD) value += Vector(p.bias).at[row];
            if (epilogue == THIMBLE_EPILOGUE_ATTENTION_INPUTS) {
                store_attention_input(real ? row : p.rows, value, Step(p.step).step.position);
            } else if (real) {
                if (epilogue == THIMBLE_EPILOGUE_ADD) value += Activation(p.y).at[row];
                Activation(p.y).at[row] = value;
            }
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

void main() {
    uint quantum = integers ? group : 32;
    uint cells = (p.columns + quantum - 1) / quantum * quantum / CELL;
    uint tiles = (p.rows + 15) / 16;
    uint stride = gl_NumWorkGroups.x;
    uint team = gl_LocalInvocationIndex / 4, column = gl_LocalInvocationIndex & 3;

    uint tile = gl_WorkGroupID.x;
    uint cell = team;
    // The first weights are on their way before anything that another dispatch writes is asked for.
    Cell next;
    if (tile < tiles && cell < cells) next = load_cell(tile, cell, cells, column);
    if (waits != 0) wait_for_link(p.link);
    if (capacity != 0) prepare_inputs(cells * CELL);
    barrier();

    uint first = tile, count = 0, parity = 0;
    vec4 sum = vec4(0);
    while (tile < tiles) {
        Cell current = next;
        uint this_cell = cell;
        bool last = cell - team + teams >= cells;
        cell += teams;
        uint next_tile = tile;
        if (last) {
            cell = team;
            next_tile = tile + stride;
        }
        if (next_tile < tiles && cell < cells) next = load_cell(next_tile, cell, cells, column);
        if (this_cell < cells) sum = add_cell(sum, current, this_cell);
        if (last) {
            put_sums(sum, parity * pending + count);
            sum = vec4(0);
            count += 1;
            if (count == pending || next_tile >= tiles) {
                barrier();
                finish(first, stride, count, parity);
                parity ^= 1;
                count = 0;
                first = next_tile;
            }
        }
        tile = next_tile;
    }
    if (waits != 0) raise_link(p.link);
}
