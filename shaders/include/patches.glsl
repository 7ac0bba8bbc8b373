//! Where the patches of a grid are, in the order of Tensors.PatchCut.
#ifndef THIMBLE_PATCHES_GLSL
#define THIMBLE_PATCHES_GLSL

// The row and the column of a patch in a grid so many patches wide: patches of one token follow each other,
// and so do tokens.
uvec2 patch_place(uint patch_, uint grid_width, uint merge_size) {
    uint token = patch_ / (merge_size * merge_size), within = patch_ % (merge_size * merge_size);
    uint tokens_across = grid_width / merge_size;
    return uvec2(token / tokens_across * merge_size + within / merge_size,
                 token % tokens_across * merge_size + within % merge_size);
}

#endif
