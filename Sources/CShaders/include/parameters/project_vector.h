//! Parameters of project_vector: epilogue(W * prologue(x)) for one row, of a matrix or a few in turn.
#ifndef THIMBLE_PARAMETERS_PROJECT_VECTOR_H
#define THIMBLE_PARAMETERS_PROJECT_VECTOR_H
#ifdef __STDC_VERSION__
#include <stdint.h>
#endif
#include "kinds.h"

// Projections that one dispatch does in turn, at most.
#define THIMBLE_VECTOR_STAGES 4

// Specialisation constants:
//   0 workgroup size: a multiple of the subgroup size, at least 32, at most 1024
//   1 subgroup size (required of the pipeline): 4...128, a power of two
//   2 group     inputs a scale: 32, 64 or 128 (q4, q8)
//   3 capacity  columns that shared memory is sized for: a multiple of 32, at least the padded columns of
//               any stage
//   4 pending   tiles that a workgroup sums up before it stores them: each takes 64 bytes of shared memory a
//               subgroup, and 64
//   attention inputs only:
//   attention inputs only, of heads that turn THIMBLE_PAIRING_INTERLEAVED:
//   5 query heads   6 kv heads   7 head size, even   8 page tokens   9 rotary pairs
//   THIMBLE_PROLOGUE_PARTS only, with 5 and 7, of heads of a multiple of 8:
//   10 splits, 11 positions of a range at least: attention_vector's
//   12 stages   how many projections follow each other
//   13 + 6 n...18 + 6 n, of stage n:
//      prologue  THIMBLE_PROLOGUE_*
//      epilogue  THIMBLE_EPILOGUE_*
//      rows
//      columns
//      depth     cells of weights, 64 bytes each and lane, that are on their way at once: 1 or 2
//      biased    whether there is a bias: store and attention inputs
// Workgroups: any number from 1 to the number of tiles, (n, 1, 1): each takes every n-th tile. Of several
// stages all workgroups must run at once, for each stage waits for all of them.
// One pipeline a weight type: project_vector_q4, _q8, _f16, _f32. Those that end in _linked wait for their
// stage's `link` before they read what others write, and then raise the next; the others do one stage and
// want barriers between dispatches.
//
// Measured best on an H200 (132 multiprocessors): 132 workgroups of 512, depth 1 but 2 for long rows,
// pending 4.

// What one stage works on. Addresses are of device memory, aligned to 16 bytes.
struct thimble_project_vector {
    uint64_t codes;        // codes plane of W in the tiled layout
    uint64_t scales;       // scales plane; of no meaning for f16 and f32
    uint64_t x;            // float32 [columns]: the input; the residual for the residual prologue; or parts
    uint64_t weight;       // float32 [columns]: of the norm
    uint64_t delta;        // float32 [columns]: residual prologue, what joins the residual
    uint64_t delta_weight; // float32 [columns]
    uint64_t residual_out; // float32 [columns]: residual prologue, the new residual; never `x` itself
    uint64_t y;            // float32 [rows], [rows / 2] for SwiGLU, [query heads * head size] for queries
    uint64_t bias;         // float32 [rows]: store and attention inputs
    uint64_t pages;        // attention inputs: page 0 of this layer
    uint64_t step;         // attention inputs, and parts: thimble_step
    uint64_t link;         // thimble_link of the stage before; its own follows
    float epsilon;
    uint32_t reserved;
};

// What the linked forms are told.
struct thimble_vector_stages {
    uint64_t stages; // thimble_project_vector [stages]
};

#endif
