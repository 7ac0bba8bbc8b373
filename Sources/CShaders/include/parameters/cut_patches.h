//! What `cut_patches.comp` is told: a resized image into normalised patches.
#ifndef THIMBLE_PARAMETERS_CUT_PATCHES_H
#define THIMBLE_PARAMETERS_CUT_PATCHES_H
#ifdef __STDC_VERSION__
#include <stdint.h>
#endif

// Any grid is right; [patches] is meant. Addresses are of the device.
struct thimble_cut_patches {
    // uint8 [height, width, 3: red, green, blue]
    uint64_t pixels;
    // float32 [3: red, green, blue][256]: what a byte becomes.
    uint64_t normalised;
    // float32 [patches, 3 * frame_count * patch_size * patch_size], in the order of Tensors.PatchCut.
    uint64_t y;
    // Whole tokens, of patch_size * merge_size pixels.
    uint32_t width;
    // Likewise.
    uint32_t height;
    uint32_t patch_size;
    uint32_t merge_size;
    uint32_t frame_count;
};

#endif
