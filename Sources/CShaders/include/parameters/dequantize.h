//! What `dequantize.comp` is told: a quantised matrix into row-major float16.
#ifndef THIMBLE_PARAMETERS_DEQUANTIZE_H
#define THIMBLE_PARAMETERS_DEQUANTIZE_H
#ifdef __STDC_VERSION__
#include <stdint.h>
#endif

// Addresses are of the device.
struct thimble_dequantize {
    // The codes plane of a tiled matrix.
    uint64_t codes;
    // The scales plane.
    uint64_t scales;
    // float16 [16 * tiles, padded_columns]
    uint64_t y;
    // Tiles of 16 rows.
    uint32_t tiles;
    uint32_t padded_columns;
};

#endif
