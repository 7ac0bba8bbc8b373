//! What `matmul_coopmat.comp` is told: prepared rows times a weight matrix.
#ifndef THIMBLE_PARAMETERS_MATMUL_COOPMAT_H
#define THIMBLE_PARAMETERS_MATMUL_COOPMAT_H
#ifdef __STDC_VERSION__
#include <stdint.h>
#endif

// Constants:
// 1 = the subgroup's size; 2 = the weights' type: 4, 8 or 16 bits; 3 = group;
// 4 = epilogue: 0 store (and bias), 1 add, 2 SwiGLU;
// 5, 6, 7 = tokens and rows that a workgroup computes, and columns that it takes at a time, which divide
// padded_columns; 8, 9 = tokens and rows of them that a subgroup computes;
// 10, 11, 12 = M, N, K of the cooperative matrices, M and K 8 or 16;
// 13 = 2 to fill one half of shared memory while the other is read, else 1;
// 14 = the order of x: 0 row by row, 1 by the lanes of a subgroup of 32 that hold 16x16 matrices, see
// prepare_half.h. Constant 0, the workgroup's size, is (5) / (8) * (6) / (9) * the subgroup's.
// Shared memory: (13) * (6) * ((7) * 2 + 16) bytes, but at least M * ((9) * 4 + 16) bytes a subgroup.
// A grid of [tiles of tokens, tiles of rows, splits]. Addresses are of the device.
struct thimble_matmul_coopmat {
    // float16, as prepare_half leaves it.
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
