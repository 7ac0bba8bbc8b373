//! What `layer_norm_gelu.comp` is told: rows, normalised, through the exact GELU.
#ifndef THIMBLE_PARAMETERS_LAYER_NORM_GELU_H
#define THIMBLE_PARAMETERS_LAYER_NORM_GELU_H
#ifdef __STDC_VERSION__
#include <stdint.h>
#endif

// Any grid is right; [rows] is meant. Addresses are of the device.
struct thimble_layer_norm_gelu {
    // float32 [rows, columns]
    uint64_t x;
    // float32 [columns]
    uint64_t weight;
    // float32 [columns]
    uint64_t bias;
    // float32 [rows, columns]; may be x itself.
    uint64_t y;
    uint32_t rows;
    uint32_t columns;
    float epsilon;
};

#endif
