//! Rows through a projection's prologue, then into blocks of 8-bit codes or into padded rows.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "include/types.glsl"
#include "parameters/prepare.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 2) const uint PROLOGUE = THIMBLE_PROLOGUE_PLAIN;
layout(constant_id = 3) const uint PREPARED = THIMBLE_PREPARED_CODES;
layout(push_constant, scalar) uniform Parameters { thimble_prepare p; };

#include "include/norm.glsl"
#include "include/quantise.glsl"

// What one thread of a workgroup writes and another reads.
layout(buffer_reference, scalar, buffer_reference_align = 4) coherent buffer CoherentFloats { float at[]; };

// Adds the normalised delta to the residual, and leaves the sum in residual_out.
void join_residual(uint row) {
    Floats x = row_of(p.x, row, p.columns), delta = row_of(p.delta, row, p.columns);
    Floats weight = Floats(p.delta_weight);
    CoherentFloats y = CoherentFloats(uint64_t(row_of(p.residual_out, row, p.columns)));
    Normaliser n = row_normaliser(delta, p.columns, 0, p.epsilon);
    for (uint i = gl_LocalInvocationID.x; i < p.columns; i += gl_WorkGroupSize.x) {
        y.at[i] = x.at[i] + normalised(n, delta.at[i]) * weight.at[i];
    }
    memoryBarrierBuffer();
    barrier();
}

float prologue(Floats x, uint column, Normaliser n) {
    if (column >= p.columns) return 0;
    if (PROLOGUE == THIMBLE_PROLOGUE_RESIDUAL) {
        float joined = CoherentFloats(uint64_t(x)).at[column];
        return normalised(n, joined) * Floats(p.weight).at[column];
    }
    if (PROLOGUE == THIMBLE_PROLOGUE_PLAIN) return x.at[column];
    return normalised(n, x.at[column]) * Floats(p.weight).at[column];
}

// A block of 32 inputs a thread.
void store_codes(uint row, Floats x, Normaliser n) {
    uint blocks = p.padded_columns / BLOCK;
    Words codes = Words(p.y + uint64_t(row) * p.padded_columns);
    Floats scales = row_of(p.scales, row, blocks);
    Integers sums = Integers(p.sums + uint64_t(row) * blocks * 4);
    for (uint block = gl_LocalInvocationID.x; block < blocks; block += gl_WorkGroupSize.x) {
        float values[BLOCK];
        [[unroll]] for (uint i = 0; i < BLOCK; i++) values[i] = prologue(x, block * BLOCK + i, n);
        QuantisedBlock q = quantise(values);
        [[unroll]] for (uint i = 0; i < BLOCK / 4; i++) codes.at[block * (BLOCK / 4) + i] = q.words[i];
        scales.at[block] = q.scale;
        sums.at[block] = q.sum;
    }
}

void store_floats(uint row, Floats x, Normaliser n) {
    Floats y = row_of(p.y, row, p.padded_columns);
    for (uint i = gl_LocalInvocationID.x; i < p.padded_columns; i += gl_WorkGroupSize.x) {
        y.at[i] = prologue(x, i, n);
    }
}

void main() {
    for (uint row = gl_WorkGroupID.x; row < p.rows; row += gl_NumWorkGroups.x) {
        if (PROLOGUE == THIMBLE_PROLOGUE_RESIDUAL) join_residual(row);
        uint64_t input_ = PROLOGUE == THIMBLE_PROLOGUE_RESIDUAL ? p.residual_out : p.x;
        Floats x = row_of(input_, row, p.columns);
        Normaliser n = Normaliser(1, 1);
        if (PROLOGUE != THIMBLE_PROLOGUE_PLAIN) n = row_normaliser(x, p.columns, 0, p.epsilon);
        if (PREPARED == THIMBLE_PREPARED_CODES) store_codes(row, x, n); else store_floats(row, x, n);
    }
}
