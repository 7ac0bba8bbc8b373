//! What `prepare_half.comp` is told: rows through a projection's prologue into scaled float16.
#ifndef THIMBLE_PARAMETERS_PREPARE_HALF_H
#define THIMBLE_PARAMETERS_PREPARE_HALF_H
#ifdef __STDC_VERSION__
#include <stdint.h>
#endif

// One workgroup a row: a grid of [rows]. Addresses are of the device.
struct thimble_prepare_half {
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
    // float16 [rows, padded_columns]: the prologue's result over the row's scale, zero beyond the columns.
    uint64_t y;
    // float32 [rows]: powers of two; not a number where a row's result is not finite.
    uint64_t scales;
    uint32_t columns;
    // A multiple of 8: the padded columns of the matrix that follows.
    uint32_t padded_columns;
    float epsilon;
};

#endif
