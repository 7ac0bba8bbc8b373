//! `y = gelu(layerNorm(x) * weight + bias)`, the exact (erf) form, a workgroup a row.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "include/types.glsl"
#include "parameters/layer_norm_gelu.h"

layout(local_size_x_id = 0) in;
layout(push_constant, scalar) uniform Parameters { thimble_layer_norm_gelu p; };

#include "include/norm.glsl"

// 1 - erf(z) for z >= 0, to one part in a million while it is not negligible: e^(-z^2) times a polynomial in
// t = 1 / (1 + 0.4 z), fitted for the least relative error (5e-8, and what float32 adds) on 0...9.2.
float erfc_positive(float z) {
    const float coefficients[] = {
        0.039607059, -0.13220678, 0.06697359, 0.10774624, 0.065845877, 0.19943525, 0.20030862, 0.22666958,
        0.2256206};
    float t = 1 / (1 + 0.4 * z);
    float q = 0;
    [[unroll]] for (uint i = 0; i < 9; i++) q = q * t + coefficients[i];
    return q * t * exp(-z * z);
}

// Where x is far below zero, 1 + erf would cancel; erfc does not.
float gelu(float x) {
    float tail = erfc_positive(abs(x) * 0.70710678);
    return x * 0.5 * (x < 0 ? tail : 2 - tail);
}

void main() {
    Floats weight = Floats(p.weight), bias = Floats(p.bias);
    for (uint row = gl_WorkGroupID.x; row < p.rows; row += gl_NumWorkGroups.x) {
        Floats x = row_of(p.x, row, p.columns), y = row_of(p.y, row, p.columns);
        float sum = 0;
        for (uint i = gl_LocalInvocationID.x; i < p.columns; i += gl_WorkGroupSize.x) sum += x.at[i];
        float mean = workgroup_sum(sum) / float(p.columns);
        Normaliser n = row_normaliser(x, p.columns, mean, p.epsilon);
        for (uint i = gl_LocalInvocationID.x; i < p.columns; i += gl_WorkGroupSize.x) {
            y.at[i] = gelu(normalised(n, x.at[i] - mean) * weight.at[i] + bias.at[i]);
        }
    }
}
