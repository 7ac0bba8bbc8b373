//! What `embed.comp` is told: rows of a matrix, dequantised.
#ifndef THIMBLE_PARAMETERS_EMBED_H
#define THIMBLE_PARAMETERS_EMBED_H
#ifdef __STDC_VERSION__
#include <stdint.h>
#endif

// y[i] = table[tokens[i]]. Any grid is right; [rows] is meant. Addresses are of the device.
// Constants: 2 = bits of a weight (4, 8, 16 or 32), 3 = its group.
struct thimble_embed {
    // int32 [rows], each a row of the table.
    uint64_t tokens;
    // The codes plane of a tiled matrix (its values, for float16 and float32).
    uint64_t codes;
    // The scales plane; of no meaning for float16 and float32.
    uint64_t scales;
    // float32 [rows, columns]
    uint64_t y;
    uint32_t rows;
    // Of the table, without padding.
    uint32_t columns;
    // A multiple of 32 and of the group.
    uint32_t padded_columns;
};

#endif
