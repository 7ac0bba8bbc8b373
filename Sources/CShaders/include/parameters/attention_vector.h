//! Parameters of attention_vector: one query token over paged keys and values.
#ifndef THIMBLE_PARAMETERS_ATTENTION_VECTOR_H
#define THIMBLE_PARAMETERS_ATTENTION_VECTOR_H
#ifdef __STDC_VERSION__
#include <stdint.h>
#endif

// Specialisation constants:
//   0 workgroup size: a multiple of the subgroup size, at least 64
//   1 subgroup size (required of the pipeline): 4...128
//   2 query heads   3 kv heads   4 head size (at most 256)   5 page tokens
//   6 positions that a range has at least, but for the last   7 THIMBLE_PAGES_*
// Workgroups: (kv heads, splits, 1). Any number of splits serves any length: a workgroup finds its range of
// positions from the length, and some may have none.
//
// What comes out are parts (see attention_parts.glsl): the projection that follows joins this many of them by
// itself, which costs less than waiting for them to be joined.
#define THIMBLE_ATTENTION_JOINED 8
// Ranges that become one part, at most: splits are no more than the product of both.
#define THIMBLE_ATTENTION_PARTS 16

// attention_vector runs on any device. attention_vector_coopmat is faster where there are cooperative
// matrices of 16 x 16 x 16 float16 that sum up in float32, for a subgroup of 32. It wants a head size that is
// a power of two from 16 on, page tokens that are a multiple of 16, at most 16 query heads a kv head, and
// workgroups of 256 (128 for heads of 256, so that they fit 48 KiB of shared memory). Those that end in
// _linked wait as project_vector's do.
struct thimble_attention_vector {
    uint64_t queries; // float32 [query heads][head size], rotated
    uint64_t pages;   // page 0 of this layer
    uint64_t step;    // thimble_step: positions 0...position are seen
    uint64_t parts;   // float32 [splits][query heads][head size + 2]: what comes out
    uint64_t arrived; // uint32 [kv heads][THIMBLE_ATTENTION_JOINED], zero before and after
    uint64_t link;
    float scale;      // multiplies q . k
    uint32_t reserved;
};

#endif
