//! The next token from the logits: the likeliest one. The step moves on to it.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "include/types.glsl"
#include "include/logit.glsl"
#include "include/step.glsl"
#include "parameters/sample.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 2) const uint STAGE = THIMBLE_SAMPLE_GREEDY;
layout(constant_id = 3) const uint WAITS = 0;
layout(push_constant, scalar) uniform Parameters { thimble_sample p; };

layout(buffer_reference, scalar, buffer_reference_align = 8) buffer Options { thimble_sampling options; };
// What the dispatch before wrote, where it is waited for.
layout(buffer_reference, scalar, buffer_reference_align = 4) coherent buffer SharedFloats { float at[]; };
// What workgroups of one dispatch tell each other.
layout(buffer_reference, scalar, buffer_reference_align = 4) coherent buffer SharedWords { uint at[]; };

// Where things lie in the scratch, in words.
const uint ARRIVED = 0;
const uint BEST_OF_GROUPS = 64; // two words each: order, token

struct Best {
    uint order;
    uint token;
};

Best likelier(Best a, Best b) {
    return b.order > a.order || (b.order == a.order && b.token < a.token) ? b : a;
}

shared Best bests[gl_WorkGroupSize.x];
shared bool is_last;

// The likeliest of every thread's, in every thread.
Best workgroup_best(Best mine) {
    bests[gl_LocalInvocationIndex] = mine;
    for (uint half_ = gl_WorkGroupSize.x / 2; half_ > 0; half_ /= 2) {
        barrier();
        if (gl_LocalInvocationIndex < half_) {
            bests[gl_LocalInvocationIndex] =
                likelier(bests[gl_LocalInvocationIndex], bests[gl_LocalInvocationIndex + half_]);
        }
    }
    barrier();
    return bests[0];
}

// Whether all other workgroups of the dispatch have written what they had to: true in the last one alone.
bool arrive_last() {
    memoryBarrierBuffer();
    barrier();
    if (gl_LocalInvocationIndex == 0) {
        SharedWords scratch = SharedWords(p.scratch);
        is_last = atomicAdd(scratch.at[ARRIVED], 1) + 1 == gl_NumWorkGroups.x;
        if (is_last) scratch.at[ARRIVED] = 0;
    }
    barrier();
    memoryBarrierBuffer();
    return is_last;
}

// Called by one invocation. `token` is negative where none could be drawn.
void move_on(int token) {
    Step state = Step(p.step);
    uint drawn = state.step.drawn;
    Integers(state.step.ring).at[drawn % state.step.ring_size] = token;
    state.step.drawn = drawn + 1;
    state.step.token = token;
    state.step.position += 1;
    state.step.rotary += 1;
    if (token >= 0 && Options(p.options).options.penalised != 0) {
        Words counts = Words(p.counts);
        counts.at[token] = (counts.at[token] | 1) + 2;
    }
}

float logit(uint token, thimble_sampling options) {
    float value = WAITS != 0 ? SharedFloats(p.logits).at[token] : Floats(p.logits).at[token];
    if (is_nan(value)) value = -uintBitsToFloat(INFINITE);
    if (options.penalised != 0) value = penalised(value, Words(p.counts).at[token], options);
    return value;
}

void choose_likeliest() {
    thimble_sampling options = Options(p.options).options;
    Best best = Best(ORDER_OF_NOTHING, 0xffffffffu);
    uint stride = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    for (uint i = gl_GlobalInvocationID.x; i < p.vocabulary; i += stride) {
        best = likelier(best, Best(order_of(logit(i, options)), i));
    }
    best = workgroup_best(best);
    SharedWords scratch = SharedWords(p.scratch);
    if (gl_LocalInvocationIndex == 0) {
        scratch.at[BEST_OF_GROUPS + 2 * gl_WorkGroupID.x] = best.order;
        scratch.at[BEST_OF_GROUPS + 2 * gl_WorkGroupID.x + 1] = best.token;
    }
    if (!arrive_last()) return;
    best = Best(ORDER_OF_NOTHING, 0xffffffffu);
    for (uint i = gl_LocalInvocationIndex; i < gl_NumWorkGroups.x; i += gl_WorkGroupSize.x) {
        best = likelier(
            best, Best(scratch.at[BEST_OF_GROUPS + 2 * i], scratch.at[BEST_OF_GROUPS + 2 * i + 1]));
    }
    best = workgroup_best(best);
    if (gl_LocalInvocationIndex == 0) move_on(best.order > ORDER_OF_NOTHING ? int(best.token) : -1);
}

void main() {
    if (WAITS != 0) wait_for_link(p.link);
    choose_likeliest();
}
