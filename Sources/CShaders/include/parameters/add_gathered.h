//! What `add_gathered.comp` is told: weighted rows of a table, added to patches.
#ifndef THIMBLE_PARAMETERS_ADD_GATHERED_H
#define THIMBLE_PARAMETERS_ADD_GATHERED_H
#ifdef __STDC_VERSION__
#include <stdint.h>
#endif

// Constants: 2 = taps of a row, and of a column.
// A patch in row r and column c of its grid gets, with d = grid_height + c, the sum over i and j of
// weights[r][i] * weights[d][j] * table[indices[r][i] + indices[d][j]]. Any grid of workgroups is right;
// [patches] is meant. Addresses are of the device.
struct thimble_add_gathered {
    // int32 [grid_height + grid_width, taps]
    uint64_t indices;
    // float32 [grid_height + grid_width, taps]
    uint64_t weights;
    // float32 [any, columns]
    uint64_t table;
    // float32 [patches, columns], in the order of Tensors.PatchCut.
    uint64_t y;
    // Patches from top to bottom, and from left to right: whole tokens of merge_size patches a side.
    uint32_t grid_height;
    uint32_t grid_width;
    uint32_t merge_size;
    uint32_t columns;
};

#endif
