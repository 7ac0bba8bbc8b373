//! Parameters of begin_step: the embedding and the angles of a step's token.
#ifndef THIMBLE_PARAMETERS_BEGIN_STEP_H
#define THIMBLE_PARAMETERS_BEGIN_STEP_H
#ifdef __STDC_VERSION__
#include <stdint.h>
#endif

// Specialisation constants:
//   0 workgroup size, 1 subgroup size
//   2 bits of the table's weights: 4, 8, 16 or 32
//   3 what the columns are padded to a multiple of: inputs a scale (4 and 8 bits), or 32
// Workgroups: any number. A token below zero gives zeros.
struct thimble_begin_step {
    uint64_t step;        // thimble_step
    uint64_t codes;       // the embedding's codes plane
    uint64_t scales;      // its scales plane
    uint64_t residual;    // float32 [columns]: what comes out
    uint64_t frequencies; // float32 [pairs]: what a pair turns by a position
    uint64_t links;       // 0, or thimble_link [link_count], to be cleared
    uint32_t link_count;
    uint32_t columns;
    uint32_t pairs;
    uint32_t page_tokens;
};

#endif
