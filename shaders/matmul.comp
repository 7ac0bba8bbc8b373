//! Prepared rows times a weight matrix, with what follows: any device's form, of tiles in shared memory.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_integer_dot_product : require
#include "include/weights.glsl"
#include "parameters/matmul.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 2) const uint WEIGHT_TYPE = 4;
layout(constant_id = 3) const uint GROUP = 32;
layout(constant_id = 4) const uint EPILOGUE = THIMBLE_EPILOGUE_STORE;
layout(push_constant, scalar) uniform Parameters { thimble_matmul p; };

// A thread computes four rows of the matrix for four tokens.
const uint THREADS = THIMBLE_MATMUL_THREADS;
const uint ROW_QUADS = THIMBLE_MATMUL_TILE_ROWS / 4;
const uint TOKEN_QUADS = THIMBLE_MATMUL_TILE_TOKENS / 4;
const bool IS_INTEGER = WEIGHT_TYPE == TYPE_Q4 || WEIGHT_TYPE == TYPE_Q8;
// Inputs are taken in steps of 32 words a row: four 8-bit codes or one float each.
const uint STEP = 32;
const uint STEP_INPUTS = IS_INTEGER ? 4 * STEP : STEP;
// Blocks of quantised inputs in a step, and words in a block.
const uint STEP_BLOCKS = 4;
const uint BLOCK_WORDS = 8;
// Of the words of q4 and f16, each becomes two of a step.
const uint SPREAD = WEIGHT_TYPE == TYPE_Q4 || WEIGHT_TYPE == TYPE_F16 ? 2 : 1;

layout(buffer_reference, scalar, buffer_reference_align = 16) readonly buffer Quads { uvec4 at[]; };

// One word of each row of a quad, and of each token; a token's column more, so that writes spread over banks.
shared uvec4 weight_words[STEP][ROW_QUADS];
shared uvec4 input_words[STEP][TOKEN_QUADS + 1];
shared vec4 weight_scales[STEP_BLOCKS][ROW_QUADS];
shared vec4 input_scales[STEP_BLOCKS][TOKEN_QUADS];
shared ivec4 input_sums[STEP_BLOCKS][TOKEN_QUADS];

uint tile_count() { return (p.rows + TILE_ROWS - 1) / TILE_ROWS; }

// A unit of the weights' layout is four row quads of one word.
void load_weights(uint step_) {
    uint row_words = words_of_row(WEIGHT_TYPE, p.padded_columns);
    for (uint i = gl_LocalInvocationID.x; i < STEP / SPREAD * ROW_QUADS; i += THREADS) {
        uint word = i / ROW_QUADS, quad = i % ROW_QUADS;
        uint tile = gl_WorkGroupID.x * (THIMBLE_MATMUL_TILE_ROWS / TILE_ROWS) + quad / 4;
        uint from = step_ * (STEP / SPREAD) + word;
        uvec4 words = uvec4(0);
        if (tile < tile_count() && from < row_words) {
            words = Quads(p.codes + uint64_t(tile) * row_words * (4 * TILE_ROWS)).at[from * 4 + quad % 4];
        }
        if (WEIGHT_TYPE == TYPE_Q4) {
            weight_words[2 * word][quad] = words & 0x0f0f0f0fu;
            weight_words[2 * word + 1][quad] = words >> 4 & 0x0f0f0f0fu;
        } else if (WEIGHT_TYPE == TYPE_F16) {
            vec2 rows[4];
            [[unroll]] for (uint r = 0; r < 4; r++) rows[r] = unpackHalf2x16(words[r]);
            weight_words[2 * word][quad] =
                floatBitsToUint(vec4(rows[0].x, rows[1].x, rows[2].x, rows[3].x));
            weight_words[2 * word + 1][quad] =
                floatBitsToUint(vec4(rows[0].y, rows[1].y, rows[2].y, rows[3].y));
        } else {
            weight_words[word][quad] = words;
        }
    }
}

void load_inputs(uint step_) {
    uint row_words = IS_INTEGER ? p.padded_columns / 4 : p.padded_columns;
    for (uint i = gl_LocalInvocationID.x; i < STEP / 4 * THIMBLE_MATMUL_TILE_TOKENS; i += THREADS) {
        uint quad = i % (STEP / 4), column = i / (STEP / 4);
        uint token = gl_WorkGroupID.y * THIMBLE_MATMUL_TILE_TOKENS + column;
        uint from = step_ * (STEP / 4) + quad;
        uvec4 words = uvec4(0);
        if (token < p.tokens && from < row_words / 4) {
            words = Quads(p.x + uint64_t(token) * row_words * 4).at[from];
        }
        [[unroll]] for (uint j = 0; j < 4; j++) {
            input_words[4 * quad + j][column / 4][column % 4] = words[j];
        }
    }
}

// Scales of blocks that the matrix does not have are zero.
void load_scales(uint step_) {
    uint blocks = p.padded_columns / BLOCK, groups = p.padded_columns / GROUP;
    for (uint i = gl_LocalInvocationID.x; i < STEP_BLOCKS * THIMBLE_MATMUL_TILE_ROWS; i += THREADS) {
        uint block = i / THIMBLE_MATMUL_TILE_ROWS, row = i % THIMBLE_MATMUL_TILE_ROWS;
        uint tile = gl_WorkGroupID.x * (THIMBLE_MATMUL_TILE_ROWS / TILE_ROWS) + row / TILE_ROWS;
        uint from = step_ * STEP_BLOCKS + block;
        float scale = 0;
        if (tile < tile_count() && from < blocks) {
            uint group = from * BLOCK / GROUP;
            scale = float(tile_scales(p.scales, tile, groups).at[group * TILE_ROWS + row % TILE_ROWS]);
        }
        weight_scales[block][row / 4][row % 4] = scale;
    }
    for (uint i = gl_LocalInvocationID.x; i < STEP_BLOCKS * THIMBLE_MATMUL_TILE_TOKENS; i += THREADS) {
        uint block = i % STEP_BLOCKS, column = i / STEP_BLOCKS;
        uint token = gl_WorkGroupID.y * THIMBLE_MATMUL_TILE_TOKENS + column;
        uint from = step_ * STEP_BLOCKS + block;
        bool inside = token < p.tokens && from < blocks;
        float scale = 0;
        int sum = 0;
        if (inside) {
            scale = row_of(p.x_scales, token, blocks).at[from];
            if (WEIGHT_TYPE == TYPE_Q4) sum = Integers(p.x_sums + uint64_t(token) * blocks * 4).at[from];
        }
        input_scales[block][column / 4][column % 4] = scale;
        input_sums[block][column / 4][column % 4] = sum;
    }
}

// Products of four rows' words with a token's.
ivec4 dots(ivec4 rows, int token) {
    return ivec4(dotPacked4x8EXT(rows.x, token), dotPacked4x8EXT(rows.y, token),
                 dotPacked4x8EXT(rows.z, token), dotPacked4x8EXT(rows.w, token));
}

// What a step adds: a column a token, a row a row of the matrix.
mat4 multiply_integers(uint row_quad, uint token_quad) {
    mat4 sums = mat4(0);
    for (uint block = 0; block < STEP_BLOCKS; block++) {
        // A q4 code is 8 more than what it stands for.
        ivec4 offsets = WEIGHT_TYPE == TYPE_Q4 ? -8 * input_sums[block][token_quad] : ivec4(0);
        ivec4 dots0 = offsets.xxxx, dots1 = offsets.yyyy, dots2 = offsets.zzzz, dots3 = offsets.wwww;
        [[unroll]] for (uint i = 0; i < BLOCK_WORDS; i++) {
            ivec4 w = ivec4(weight_words[block * BLOCK_WORDS + i][row_quad]);
            ivec4 x = ivec4(input_words[block * BLOCK_WORDS + i][token_quad]);
            dots0 += dots(w, x.x);
            dots1 += dots(w, x.y);
            dots2 += dots(w, x.z);
            dots3 += dots(w, x.w);
        }
        mat4 scales = outerProduct(weight_scales[block][row_quad], input_scales[block][token_quad]);
        sums += matrixCompMult(scales, mat4(dots0, dots1, dots2, dots3));
    }
    return sums;
}

mat4 multiply_floats(uint row_quad, uint token_quad) {
    mat4 sums = mat4(0);
    [[unroll]] for (uint i = 0; i < STEP; i++) {
        vec4 w = uintBitsToFloat(weight_words[i][row_quad]), x = uintBitsToFloat(input_words[i][token_quad]);
        sums += outerProduct(w, x);
    }
    return sums;
}

float swiglu(float gate, float up) { return gate / (1 + exp(-gate)) * up; }

void store(uint first_row, uint token, vec4 values) {
    if (EPILOGUE == THIMBLE_EPILOGUE_SWIGLU) {
        Floats y = row_of(p.y, token, p.rows / 2);
        for (uint r = 0; r < 4 && first_row + r + 1 < p.rows; r += 2) {
            y.at[(first_row + r) / 2] = swiglu(values[r], values[r + 1]);
        }
        return;
    }
    Floats y = row_of(p.y, token, p.rows);
    for (uint r = 0; r < 4 && first_row + r < p.rows; r++) {
        float value = values[r];
        if (EPILOGUE == THIMBLE_EPILOGUE_ADD) value += y.at[first_row + r];
        else if (p.bias != 0) value += Floats(p.bias).at[first_row + r];
        y.at[first_row + r] = value;
    }
}

void main() {
    uint row_quad = gl_LocalInvocationID.x % ROW_QUADS, token_quad = gl_LocalInvocationID.x / ROW_QUADS;
    uint first_token = gl_WorkGroupID.y * THIMBLE_MATMUL_TILE_TOKENS + token_quad * 4;
    mat4 sums = mat4(0);
    uint steps = (p.padded_columns + STEP_INPUTS - 1) / STEP_INPUTS;
    for (uint step_ = 0; step_ < steps; step_++) {
        load_weights(step_);
        load_inputs(step_);
        if (IS_INTEGER) load_scales(step_);
        barrier();
        // With few tokens, most threads only help to load.
        if (first_token < p.tokens) {
            sums += IS_INTEGER
                ? multiply_integers(row_quad, token_quad) : multiply_floats(row_quad, token_quad);
        }
        barrier();
    }
    uint first_row = gl_WorkGroupID.x * THIMBLE_MATMUL_TILE_ROWS + row_quad * 4;
    [[unroll]] for (uint t = 0; t < 4; t++) {
        if (first_token + t < p.tokens) store(first_row, first_token + t, sums[t]);
    }
}
