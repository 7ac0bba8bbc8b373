//! The tiled weight layout of Sources/Tensors/WeightLayout.swift: where words and scales lie.
#ifndef THIMBLE_WEIGHTS_GLSL
#define THIMBLE_WEIGHTS_GLSL
#include "types.glsl"

// How elements are stored: values of the constant WEIGHT_TYPE, bits of an element.
const uint TYPE_Q4 = 4;
const uint TYPE_Q8 = 8;
const uint TYPE_F16 = 16;
const uint TYPE_F32 = 32;

const uint TILE_ROWS = 16;
// Inputs of a block of quantised activations.
const uint BLOCK = 32;

// Words along a row.
uint words_of_row(uint type, uint padded_columns) { return padded_columns * type / 32; }

// A tile's words: [word of a row][row of the tile]. 64 bits, for a plane may pass 4 GiB.
Words tile_words(uint64_t codes, uint tile, uint row_words) {
    return Words(codes + uint64_t(tile) * row_words * (4 * TILE_ROWS));
}

// A tile's scales: [group][row of the tile].
Halves tile_scales(uint64_t scales, uint tile, uint groups) {
    return Halves(scales + uint64_t(tile) * groups * (2 * TILE_ROWS));
}

// The four codes of a q4 word's inputs 0...3 (half 0) or 4...7 (half 1), 0...15 each, as bytes.
uint q4_codes(uint word, uint half_) { return (word >> (4 * half_)) & 0x0f0f0f0fu; }

#endif
