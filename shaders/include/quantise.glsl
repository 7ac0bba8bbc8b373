//! Blocks of 32 activations as 8-bit codes, as the CPU's kernels define them.
#ifndef THIMBLE_QUANTISE_GLSL
#define THIMBLE_QUANTISE_GLSL

#include "weights.glsl"

struct QuantisedBlock {
    // Four codes each, -127...127.
    uint words[BLOCK / 4];
    // What codes are multiplied by; not a number where a value is not finite.
    float scale;
    int sum;
};

// By the bits: what a comparison with infinity gives is not sure on every device.
bool is_finite(float x) { return (floatBitsToUint(x) & 0x7f800000u) != 0x7f800000u; }

QuantisedBlock quantise(float values[BLOCK]) {
    float largest = 0;
    bool finite = true;
    [[unroll]] for (uint i = 0; i < BLOCK; i++) {
        finite = finite && is_finite(values[i]);
        largest = max(largest, abs(values[i]));
    }
    // Below 2^-120 all is zero.
    bool zero = !finite || largest < 1.0 / 1329227995784915872903807060280344576.0;
    // A device need not divide by more than 2^126.
    float shrink = largest > 1e30 ? 1.0 / 1024 : 1;
    float inverse = zero ? 0 : 127 / (largest * shrink);
    QuantisedBlock block;
    block.sum = 0;
    [[unroll]] for (uint word = 0; word < BLOCK / 4; word++) {
        block.words[word] = 0;
        [[unroll]] for (uint i = 0; i < 4; i++) {
            int code = zero ? 0 : int(roundEven(values[4 * word + i] * shrink * inverse));
            block.words[word] |= (uint(code) & 255u) << (8 * i);
            block.sum += code;
        }
    }
    block.scale = !finite ? uintBitsToFloat(0x7fc00000u) : zero ? 0 : largest / 127;
    return block;
}

#endif
