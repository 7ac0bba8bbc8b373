//! What a norm multiplies by, for values of any size.
#ifndef THIMBLE_NORM_GLSL
#define THIMBLE_NORM_GLSL
#include "reduce.glsl"

// x * first * second is x / sqrt(mean of squares + epsilon).
struct Normaliser {
    float first;
    float second;
};

// Squares of values near 1e19 pass float32's range, and these values are real: then they are taken 2^80 times
// smaller, where epsilon counts for nothing. All threads of the workgroup take one way, for sums are the same
// in all.
const float SHRINK = 1.0 / 1208925819614629174706176.0;

bool passes_range(float sum_of_squares) { return !(sum_of_squares < 1e38); }

Normaliser normaliser(float sum_of_squares, float count, float epsilon) {
    return Normaliser(1, 1 / sqrt(sum_of_squares / count + epsilon));
}

Normaliser shrinking_normaliser(float sum_of_squares_shrunk, float count) {
    return Normaliser(SHRINK, 1 / sqrt(sum_of_squares_shrunk / count));
}

// Of the distances of a row x[count] from a centre; all threads of the workgroup call it.
Normaliser row_normaliser(Floats x, uint count, float centre, float epsilon) {
    float sum = 0;
    for (uint i = gl_LocalInvocationID.x; i < count; i += gl_WorkGroupSize.x) {
        float distance_ = x.at[i] - centre;
        sum += distance_ * distance_;
    }
    sum = workgroup_sum(sum);
    if (!passes_range(sum)) return normaliser(sum, float(count), epsilon);
    sum = 0;
    for (uint i = gl_LocalInvocationID.x; i < count; i += gl_WorkGroupSize.x) {
        float shrunk = (x.at[i] - centre) * SHRINK;
        sum += shrunk * shrunk;
    }
    return shrinking_normaliser(workgroup_sum(sum), float(count));
}

float normalised(Normaliser n, float x) { return x * n.first * n.second; }

#endif
