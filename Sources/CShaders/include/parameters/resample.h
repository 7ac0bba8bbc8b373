//! What `resample.comp` is told: one axis of an image of bytes, resampled.
#ifndef THIMBLE_PARAMETERS_RESAMPLE_H
#define THIMBLE_PARAMETERS_RESAMPLE_H
#ifdef __STDC_VERSION__
#include <stdint.h>
#endif

// Along a row: lines = rows of the image, step = 3. Down its columns: lines = 1, step = 3 * width.
// y[line][output][s] = the byte nearest to the sum over taps t of weights[output][t] * x[line][starts[output]
// + t][s], halves up; weights have `fraction_bits`
// fractional bits. Tensors.ResamplingAxis writes the tables.
// A grid of [outputs * step / threads of a workgroup, lines] is meant; any is right. Addresses are of the
// device.
struct thimble_resample {
    // uint8 [lines, inputs, step]
    uint64_t x;
    // int32 [outputs]
    uint64_t starts;
    // int32 [outputs], at most capacity.
    uint64_t counts;
    // int16 [outputs, capacity]
    uint64_t weights;
    // uint8 [lines, outputs, step]
    uint64_t y;
    uint32_t lines;
    uint32_t inputs;
    uint32_t outputs;
    // Bytes between an input and the next.
    uint32_t step;
    uint32_t capacity;
    uint32_t fraction_bits;
};

#endif
