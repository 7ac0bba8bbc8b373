//! What `prepare.comp` is told: rows through a projection's prologue, as `matmul` takes them.
#ifndef THIMBLE_PARAMETERS_PREPARE_H
#define THIMBLE_PARAMETERS_PREPARE_H
#ifdef __STDC_VERSION__
#include <stdint.h>
#endif
#include "kinds.h"

// Where the matrix that follows has 4 or 8 bits: quantised in blocks of 32 inputs.
#define THIMBLE_PREPARED_CODES 0
// Where it has 16 or 32.
#define THIMBLE_PREPARED_FLOATS 1

// Constants: 2 = THIMBLE_PROLOGUE_*, 3 = THIMBLE_PREPARED_*.
// Any grid is right; [rows] is meant. Addresses are of the device.
struct thimble_prepare {
    // float32 [rows, columns]; the residual that comes in, for the sandwich norm.
    uint64_t x;
    // float32 [rows, columns]: what is normalised and joins the residual. For the sandwich norm only.
    uint64_t delta;
    // float32 [columns]: the weight of delta's norm. For the sandwich norm only.
    uint64_t delta_weight;
    // float32 [columns]: the norm's weight. Not for plain rows.
    uint64_t weight;
    // float32 [rows, columns]: the residual that goes out; may be x itself. For the sandwich norm only.
    uint64_t residual_out;
    // int8 [rows, padded_columns], zero beyond the columns; or the same of float32. Aligned to 4 bytes.
    uint64_t y;
    // float32 [rows, padded_columns / 32]: what a block's codes are multiplied by; not a number where an
    // input of the block is not finite. For codes only.
    uint64_t scales;
    // int32 [rows, padded_columns / 32]: the sum of a block's codes. For codes only.
    uint64_t sums;
    uint32_t rows;
    uint32_t columns;
    // A multiple of 32: the padded columns of the matrix that follows.
    uint32_t padded_columns;
    float epsilon;
};

#endif
