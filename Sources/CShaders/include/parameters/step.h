//! The state of a decoding step, which lives on the device: C and GLSL share it.
#ifndef THIMBLE_PARAMETERS_STEP_H
#define THIMBLE_PARAMETERS_STEP_H
#ifdef __STDC_VERSION__
#include <stdint.h>
#endif

// One sequence's next token. `sample` moves it on, so that a recorded step can be replayed unchanged.
struct thimble_step {
    uint64_t block_table; // int32 [ceil(context / page tokens)]: page of each run of positions
    uint64_t ring;        // int32 [ring_size]: token n that was drawn lies at n % ring_size
    uint32_t ring_size;
    uint32_t drawn;       // tokens drawn so far; counts on after the ring has wrapped
    int32_t token;        // the token that this step reads; negative: none could be drawn
    uint32_t position;    // where its key and value go: the number of positions before it
    uint32_t rotary;      // the position that its angles follow, which images make differ from `position`
    uint32_t page;        // where its key and value go: the page that `position` lies in, set by begin_step
};
// So many bytes behind a step's first lie its cosines and then its sines, float32 [2][pairs], set by
// begin_step: who knows the step's address asks for them at once.
#define THIMBLE_STEP_ANGLES 64

// Dispatches may follow each other without a barrier where a device starts workgroups in the order asked:
// each then waits for the one before by itself, with its first weights already on their way.
// Link n of an array is raised by every workgroup of dispatch n when all it wrote can be seen; dispatch
// n + 1 waits until `arrived` is `expected`. begin_step sets all `arrived` to zero.
struct thimble_link {
    uint32_t arrived;
    uint32_t expected; // workgroups of dispatch n
};
// Who has waited in vain sets this in the `arrived` of its own dispatch, and so do all that follow.
#define THIMBLE_LINK_FAILED 0x80000000u
// What is drawn of a step that has failed.
#define THIMBLE_TOKEN_OF_FAILURE -2147483647

#endif
