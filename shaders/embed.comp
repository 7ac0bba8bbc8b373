//! Rows of a weight matrix, dequantised: `y[i] = table[tokens[i]]`.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "include/weights.glsl"
#include "parameters/embed.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 2) const uint WEIGHT_TYPE = 4;
layout(constant_id = 3) const uint GROUP = 32;
layout(push_constant, scalar) uniform Parameters { thimble_embed p; };

float value(uint row, uint column) {
    const uint per_word = 32 / WEIGHT_TYPE;
    uint tile = row / TILE_ROWS, lane = row % TILE_ROWS;
    Words words = tile_words(p.codes, tile, words_of_row(WEIGHT_TYPE, p.padded_columns));
    uint word = words.at[column / per_word * TILE_ROWS + lane];
    if (WEIGHT_TYPE == TYPE_F32) return uintBitsToFloat(word);
    if (WEIGHT_TYPE == TYPE_F16) return unpackHalf2x16(word)[column % 2];
    int code = WEIGHT_TYPE == TYPE_Q8
        ? bitfieldExtract(int(word), int(column % 4 * 8), 8)
        : bitfieldExtract(int(word), int(column % 4 * 8 + column % 8 / 4 * 4), 4) & 15;
    if (WEIGHT_TYPE == TYPE_Q4) code -= 8;
    Halves scales = tile_scales(p.scales, tile, p.padded_columns / GROUP);
    return float(scales.at[column / GROUP * TILE_ROWS + lane]) * float(code);
}

void main() {
    for (uint i = gl_WorkGroupID.x; i < p.rows; i += gl_NumWorkGroups.x) {
        uint row = uint(Integers(p.tokens).at[i]);
        Floats y = row_of(p.y, i, p.columns);
        for (uint column = gl_LocalInvocationID.x; column < p.columns; column += gl_WorkGroupSize.x) {
            y.at[column] = value(row, column);
        }
    }
}
