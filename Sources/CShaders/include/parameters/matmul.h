//! What `matmul.comp` is told: prepared rows times a weight matrix.
#ifndef THIMBLE_PARAMETERS_MATMUL_H
#define THIMBLE_PARAMETERS_MATMUL_H
#ifdef __STDC_VERSION__
#include <stdint.h>
#endif
#include "kinds.h"

// Constant 0, threads of a workgroup, must be this.
#define THIMBLE_MATMUL_THREADS 128
// Rows of the matrix and tokens that a workgroup computes.
#define THIMBLE_MATMUL_TILE_ROWS 64
#define THIMBLE_MATMUL_TILE_TOKENS 32

// Constants: 2 = bits of a weight (4, 8, 16 or 32), 3 = its group, 4 = THIMBLE_EPILOGUE_*; a product for
// attention inputs is stored, and attention_inputs follows.
// A grid of [tiles of rows, tiles of tokens]. Addresses are of the device.
struct thimble_matmul {
    // int8 [tokens, padded_columns] for 4 and 8 bits, float32 for 16 and 32, as prepare leaves them; of
    // float32, rows that need neither a norm nor padding may be the activation itself. Aligned to 16 bytes.
    uint64_t x;
    // float32 [tokens, padded_columns / 32]: the scales of x. For 4 and 8 bits only.
    uint64_t x_scales;
    // int32 [tokens, padded_columns / 32]: the sums of x. For 4 bits only.
    uint64_t x_sums;
    // The codes plane of a tiled matrix (its values, for float16 and float32). Aligned to 16 bytes.
    uint64_t codes;
    // The scales plane; of no meaning for float16 and float32.
    uint64_t scales;
    // float32 [rows], or 0 for none. For the store only.
    uint64_t bias;
    // float32 [tokens, rows], or [tokens, rows / 2] for SwiGLU.
    uint64_t y;
    uint32_t tokens;
    // Outputs of the matrix, without padding.
    uint32_t rows;
    uint32_t padded_columns;
};

#endif
