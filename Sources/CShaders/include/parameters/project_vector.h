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
//   13 shares   that the tiles of each are cut in: share n has every tile whose number is n modulo `shares`
//   14 + 7 n...20 + 7 n, of stage n:
//      prologue  THIMBLE_PROLOGUE_*
//      epilogue  THIMBLE_EPILOGUE_*
//      rows
//      columns
//      depth     cells of weights, 64 bytes each and lane, that are on their way at once: 1 to 3. A tile's
//                cells take some rounds of a workgroup's lanes; no more than those, or a multiple: then that
//                many tiles are under way together, `pending` at most
//      biased    whether there is a bias: store and attention inputs
//      share     tiles of a share, at most
// Workgroups: as many as there are shares, (n, 1, 1), from 1 to the number of tiles. Of several stages each
// waits for all shares of the one before. A device may let some workgroups of a dispatch wait until others
// have ended, as those do that other programs use too: so shares are claimed, and those of workgroups that
// have not started when they are needed are taken over by those that have.
// One pipeline a weight type: project_vector_q4, _q8, _f16, _f32. Those that end in _linked, of q4 and q8,
// wait for their stage's `link` before they read what others write, and then raise the next; the others do
// one stage and want barriers between dispatches.
//
// Measured best on an H200 (132 multiprocessors): 132 workgroups of 512, depth 2 for long rows, else as many
// as a share has tiles if those are at most 3, and 1 for more; pending 4.

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
    // thimble_link [1 + ceil(shares / 32)], of several stages: the first `arrived` counts shares that are
    // claimed, the others have a bit a share.
    uint64_t claims;
};

#endif
