//! Weights as a matrix product takes them: chunks of 4 rows by 8 inputs, fetched, then made float16.
#ifndef THIMBLE_WEIGHT_CHUNKS_GLSL
#define THIMBLE_WEIGHT_CHUNKS_GLSL
#include "weights.glsl"

layout(buffer_reference, scalar, buffer_reference_align = 16) buffer Quads { uvec4 at[]; };
layout(buffer_reference, scalar, buffer_reference_align = 8) buffer Pairs { uvec2 at[]; };

const uint CHUNK_QUADS = WEIGHT_TYPE == TYPE_Q4 ? 1 : WEIGHT_TYPE == TYPE_Q8 ? 2 : 4;
const bool IS_QUANTIZED = WEIGHT_TYPE == TYPE_Q4 || WEIGHT_TYPE == TYPE_Q8;

// A chunk as it lies: as many words of 4 rows as 8 inputs fill, and the scales of 4 rows.
struct Chunk {
    uvec4 quads[4];
    uvec2 scales;
};

// The chunk of rows 4 * row_quad... and inputs 8 * octet..., of a matrix that has both.
Chunk fetch_chunk(uint64_t codes, uint64_t scales, uint padded_columns, uint row_quad, uint octet) {
    Chunk c;
    uint tile = row_quad / 4, quad = row_quad % 4;
    uint64_t words = codes + uint64_t(tile) * (words_of_row(WEIGHT_TYPE, padded_columns) * 64);
    Quads quads = Quads(words + octet * (CHUNK_QUADS * 64) + quad * 16);
    [[unroll]] for (uint i = 0; i < CHUNK_QUADS; ++i) c.quads[i] = quads.at[4 * i];
    if (IS_QUANTIZED) {
        uint64_t plane = scales + uint64_t(tile) * (padded_columns / GROUP * 32);
        c.scales = Pairs(plane + octet * 8 / GROUP * 32 + quad * 8).at[0];
    }
    return c;
}

uint packed(f16vec2 v) { return packFloat2x16(v); }

// The 8 inputs of one row of a chunk, each pair in a word.
//
// A code becomes float16 by its bits: in 0x6400 + n lies 1024 + n, exactly.
uvec4 expand_chunk(Chunk c, uint row) {
    if (WEIGHT_TYPE == TYPE_F16) {
        return uvec4(c.quads[0][row], c.quads[1][row], c.quads[2][row], c.quads[3][row]);
    }
    f16vec2 pair = unpackFloat2x16(c.scales[row / 2]);
    f16vec2 scale = f16vec2(pair[row % 2]);
    if (WEIGHT_TYPE == TYPE_Q4) {
        uint w = c.quads[0][row];
        const f16vec2 offset = f16vec2(1032);
        f16vec2 a = (unpackFloat2x16(w & 0x000f000fu | 0x64006400u) - offset) * scale;
        f16vec2 b = (unpackFloat2x16((w >> 8) & 0x000f000fu | 0x64006400u) - offset) * scale;
        f16vec2 d = (unpackFloat2x16((w >> 4) & 0x000f000fu | 0x64006400u) - offset) * scale;
        f16vec2 e = (unpackFloat2x16((w >> 12) & 0x000f000fu | 0x64006400u) - offset) * scale;
        return uvec4(packed(f16vec2(a.x, b.x)), packed(f16vec2(a.y, b.y)),
            packed(f16vec2(d.x, e.x)), packed(f16vec2(d.y, e.y)));
    }
    const f16vec2 offset = f16vec2(1152);
    uvec4 words;
    [[unroll]] for (uint i = 0; i < 2; ++i) {
        uint w = c.quads[i][row] ^ 0x80808080u;
        f16vec2 a = (unpackFloat2x16(w & 0x00ff00ffu | 0x64006400u) - offset) * scale;
        f16vec2 b = (unpackFloat2x16((w >> 8) & 0x00ff00ffu | 0x64006400u) - offset) * scale;
        words[2 * i] = packed(f16vec2(a.x, b.x));
        words[2 * i + 1] = packed(f16vec2(a.y, b.y));
    }
    return words;
}

#endif
