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
// Workgroups: (kv heads, splits, 1). Any number of splits serves any length: a workgroup finds its range of
// positions from the length, and those without one only count.
struct thimble_attention_vector {
    uint64_t queries; // float32 [query heads][head size], rotated
    uint64_t y;       // float32 [query heads][head size]
    uint64_t pages;   // page 0 of this layer
    uint64_t step;    // thimble_step: positions 0...position are seen
    uint64_t parts;   // scratch, float32 [splits][query heads][head size + 2]
    uint64_t arrived; // uint32 [kv heads], zero before and after
    uint64_t link;
    float scale;      // multiplies q . k
    uint32_t reserved;
};

#endif
