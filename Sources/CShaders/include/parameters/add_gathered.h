//! What `add_gathered.comp` is told: weighted rows of a table, added to rows.
#ifndef THIMBLE_PARAMETERS_ADD_GATHERED_H
#define THIMBLE_PARAMETERS_ADD_GATHERED_H
#ifdef __STDC_VERSION__
#include <stdint.h>
#endif

// y[r] += sum over j of weights[r][j] * table[indices[r][j]]. Any grid is right; [rows] is meant.
// Addresses are of the device.
struct thimble_add_gathered {
    // int32 [rows, taps], each a row of the table.
    uint64_t indices;
    // float32 [rows, taps]
    uint64_t weights;
    // float32 [any, columns]
    uint64_t table;
    // float32 [rows, columns]
    uint64_t y;
    uint32_t rows;
    uint32_t columns;
    uint32_t taps;
};

#endif
