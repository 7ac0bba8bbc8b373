//! What `spread.comp` is told: numbers of a grid's rows and columns, side by side for each patch.
#ifndef THIMBLE_PARAMETERS_SPREAD_H
#define THIMBLE_PARAMETERS_SPREAD_H
#ifdef __STDC_VERSION__
#include <stdint.h>
#endif

// Any grid of workgroups is right; [patches] is meant. Addresses are of the device.
struct thimble_spread {
    // float32 [grid_height + grid_width, columns]: of the rows of the grid, then of its columns.
    uint64_t sides;
    // float32 [patches, 2 * columns], in the order of Tensors.PatchCut: of a patch's row, then of its column.
    uint64_t y;
    // Patches from top to bottom, and from left to right: whole tokens of merge_size patches a side.
    uint32_t grid_height;
    uint32_t grid_width;
    uint32_t merge_size;
    uint32_t columns;
};

#endif
