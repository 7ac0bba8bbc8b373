//! Single elements of a matrix in the tiled layout. Shader constants 2 and 3 are read here.
#ifndef THIMBLE_TABLE_GLSL
#define THIMBLE_TABLE_GLSL
#include "weights.glsl"

layout(constant_id = 2) const uint WEIGHT_TYPE = 4;
layout(constant_id = 3) const uint GROUP = 32;

float table_value(uint64_t codes, uint64_t scales, uint padded_columns, uint row, uint column) {
    const uint per_word = 32 / WEIGHT_TYPE;
    uint tile = row / TILE_ROWS, lane = row % TILE_ROWS;
    Words words = tile_words(codes, tile, words_of_row(WEIGHT_TYPE, padded_columns));
    uint word = words.at[column / per_word * TILE_ROWS + lane];
    if (WEIGHT_TYPE == TYPE_F32) return uintBitsToFloat(word);
    if (WEIGHT_TYPE == TYPE_F16) return unpackHalf2x16(word)[column % 2];
    int code = WEIGHT_TYPE == TYPE_Q8
        ? bitfieldExtract(int(word), int(column % 4 * 8), 8)
        : bitfieldExtract(int(word), int(column % 4 * 8 + column % 8 / 4 * 4), 4) & 15;
    if (WEIGHT_TYPE == TYPE_Q4) code -= 8;
    Halves group_scales = tile_scales(scales, tile, padded_columns / GROUP);
    return float(group_scales.at[column / GROUP * TILE_ROWS + lane]) * float(code);
}

#endif
