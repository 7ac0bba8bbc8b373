//! Parameters of project_vector: epilogue(W * prologue(x)) for one row of input.
#ifndef THIMBLE_PARAMETERS_PROJECT_VECTOR_H
#define THIMBLE_PARAMETERS_PROJECT_VECTOR_H
#ifdef __STDC_VERSION__
#include <stdint.h>
#endif
#include "kinds.h"

// Specialisation constants:
//   0 workgroup size: a multiple of the subgroup size, at least 32, at most 1024
//   1 subgroup size (required of the pipeline): 4...128, a power of two
//   2 prologue  THIMBLE_PROLOGUE_*
//   3 epilogue  THIMBLE_EPILOGUE_*
//   4 group     inputs a scale: 32, 64 or 128 (q4, q8)
//   5 capacity  columns that shared memory is sized for: a multiple of 32, at least the padded columns. 0 for
//               f16 and f32 without a norm: the input is read in place
//   attention inputs only:
//   6 query heads   7 kv heads   8 head size, even   9 page tokens   10 rotary pairs
//   11 THIMBLE_PAIRING_INTERLEAVED: halves are not done here
//   12 pending  tiles that a workgroup sums up before it stores them, 4 unless told: each takes 64 bytes of
//               shared memory a subgroup, and 64
//   13 1: norms' weights come to shared memory early, 4 bytes a column of capacity each; 0: when needed
//   14 depth    cells of weights, 64 bytes each and lane, that are on their way at once
//   THIMBLE_PROLOGUE_PARTS only, with 6 and 8, of heads of a multiple of 4:
//   15 splits, 16 positions of a range at least: attention_vector's
// Workgroups: any number from 1 to the number of tiles, (n, 1, 1): each takes every n-th tile.
// One pipeline a weight type: project_vector_q4, _q8, _f16, _f32. Those that end in _linked wait for `link`
// before they read what other dispatches write, and then raise the next; the others want barriers between
// dispatches.
//
// Measured best on an H200 (132 multiprocessors): 132 workgroups of 512, depth 1 but 2 for long rows,
// pending 4, norms' weights held where links are waited for.

// Addresses are of device memory, aligned to 16 bytes.
struct thimble_project_vector {
    uint64_t codes;        // codes plane of W in the tiled layout
    uint64_t scales;       // scales plane; of no meaning for f16 and f32
    uint64_t x;            // float32 [columns]: the input; the residual for the residual prologue; or parts
    uint64_t weight;       // float32 [columns]: of the norm
    uint64_t delta;        // float32 [columns]: residual prologue, what joins the residual
    uint64_t delta_weight; // float32 [columns]
    uint64_t residual_out; // float32 [columns]: residual prologue, the new residual; never `x` itself
    uint64_t y;            // float32 [rows], [rows / 2] for SwiGLU, [query heads * head size] for queries
    uint64_t bias;         // 0, or float32 [rows]: store and attention inputs
    uint64_t pages;        // attention inputs: page 0 of this layer
    uint64_t step;         // attention inputs, and parts: thimble_step
    uint64_t link;         // thimble_link of the dispatch before; its own follows
    uint32_t rows;
    uint32_t columns;
    float epsilon;
    uint32_t reserved;
};

#endif
