//! What the shaders `matmul_coopmat*` are told: prepared rows times a weight matrix.
#ifndef THIMBLE_PARAMETERS_MATMUL_COOPMAT_H
#define THIMBLE_PARAMETERS_MATMUL_COOPMAT_H
#ifdef __STDC_VERSION__
#include <stdint.h>
#endif

// A grid of [tiles of tokens, tiles of rows, splits], tiles as the pipeline was specialised. Addresses are
// of the device.
struct thimble_matmul_coopmat {
    // float16 [tokens, padded_columns], as prepare_half leaves it.
    uint64_t x;
    // float32 [tokens]: the scale of each row of x.
    uint64_t x_scales;
    // The codes plane of a tiled matrix (its values, for float16).
    uint64_t codes;
    // The scales plane; of no meaning for float16.
    uint64_t weight_scales;
    // float32 [rows], or 0 for none. For the store only.
    uint64_t bias;
    // float32 [tokens, rows], or [tokens, rows / 2] for SwiGLU.
    uint64_t y;
    // float32 [splits, tiles, tile tokens * tile rows]: room for sums to be joined, where splits > 1.
    uint64_t parts;
    // uint32 [tiles]: zero before, and left zero, where splits > 1.
    uint64_t counters;
    uint32_t tokens;
    // Outputs of the matrix, without padding.
    uint32_t rows;
    uint32_t padded_columns;
    // Parts that the columns are cut in, each summed by workgroups of its own; the last to come joins.
    uint32_t splits;
};

#endif
