//! What `rms_norm.comp` is told: rows, normalised by their root mean square.
#ifndef THIMBLE_PARAMETERS_RMS_NORM_H
#define THIMBLE_PARAMETERS_RMS_NORM_H
#ifdef __STDC_VERSION__
#include <stdint.h>
#endif

// Any grid is right; [rows] is meant. Addresses are of the device.
struct thimble_rms_norm {
    // float32 [rows, columns]
    uint64_t x;
    // float32 [columns]
    uint64_t weight;
    // float32 [rows, columns]; may be x itself.
    uint64_t y;
    uint32_t rows;
    uint32_t columns;
    float epsilon;
};

#endif
