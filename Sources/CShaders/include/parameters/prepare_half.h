//! What `prepare_half.comp` is told: rows through a projection's prologue into scaled float16.
#ifndef THIMBLE_PARAMETERS_PREPARE_HALF_H
#define THIMBLE_PARAMETERS_PREPARE_HALF_H
#ifdef __STDC_VERSION__
#include <stdint.h>
#endif

// Constants: 2 = the prologue: 0 rows as they are, 1 rmsNorm(row) * weight, 2 the residual with the
// normalised delta, kept, then as 1; 3 = vectors of four that a thread keeps: padded_columns / 4 / workgroup
// size, rounded up; 4 = the order of y: 0 row by row, 1 by `order`.
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
    // float16 [rows / 16, rounded up][padded_columns / 16] blocks of [16 rows][16 columns], 512 bytes each
    // and ordered within as constant 4 says: the prologue's result over the row's scale, zero beyond the
    // columns. Rows beyond the last are not written.
    uint64_t y;
    // float32 [rows]: powers of two; not a number where a row's result is not finite.
    uint64_t scales;
    // uint32 [16 rows][16 columns]: where an element lies in a block of y, of 256 places. For order 1 only.
    // A subgroup of 32 whose lanes hold a 16x16 cooperative matrix A as 8 elements each, as coopmat_order
    // finds, reads a block fastest where element e of lane l lies at 8 * l + e.
    uint64_t order;
    uint32_t columns;
    // A multiple of 32: the padded columns of the matrix that follows.
    uint32_t padded_columns;
    float epsilon;
};

// What `coopmat_order.comp` is told: one workgroup of one subgroup finds how its lanes hold a matrix A.
// Constants 2 and 3 are the matrix's rows and columns, both 16.
struct thimble_coopmat_order {
    // uint32 [32 lanes][8 elements]: 16 * row + column of each element that a lane holds.
    uint64_t y;
};

#endif
