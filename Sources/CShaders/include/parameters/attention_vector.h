//! Parameters of attention_vector: one query token over paged keys and values.
#ifndef THIMBLE_PARAMETERS_ATTENTION_VECTOR_H
#define THIMBLE_PARAMETERS_ATTENTION_VECTOR_H
#ifdef __STDC_VERSION__
#include <stdint.h>
#endif

// Specialisation constants:
//   0 workgroup size: a multiple of the subgroup size, at least 64
//   1 subgroup size (required of the pipeline): 4...128
//   2 query heads   3 kv heads   4 head size (at most 256)   5 page tokens   6 waits (see project_vector)
//   7 positions that a range has at least, but for the last
// Workgroups: (kv heads, splits, 1), splits at most THIMBLE_ATTENTION_PARTS squared. Any number of splits
// serves any length: a workgroup finds its range of positions from the length, and some may have none.
#define THIMBLE_ATTENTION_PARTS 16

// attention_vector runs on any device. attention_vector_coopmat is faster where there are cooperative
// matrices of 16 x 16 x 16 float16 that sum up in float32, for a subgroup of 32. It wants a head size and
// page tokens that are multiples of 16, at most 16 query heads a kv head, and workgroups of 128 (64 for heads
// of 256, so that they fit 48 KiB of shared memory).
struct thimble_attention_vector {
    uint64_t queries; // float32 [query heads][head size], rotated
    uint64_t y;       // float32 [query heads][head size]
    uint64_t pages;   // page 0 of this layer
    uint64_t step;    // thimble_step: positions 0...position are seen
    uint64_t parts;   // scratch, float32 [splits][query heads][head size + 2]
    uint64_t arrived; // uint32 [kv heads][THIMBLE_ATTENTION_PARTS + 1], zero before and after
    uint64_t link;
    uint64_t ahead;      // weights that the dispatches after this one read first: workgroups without
    uint32_t ahead_size; // positions bring that many bytes of them into the device's cache; 0: none
    float scale;         // multiplies q . k
};

#endif
