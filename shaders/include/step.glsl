//! What all decoding shaders share: the step's state and waiting for the dispatch before.
#include "parameters/step.h"

layout(buffer_reference, scalar, buffer_reference_align = 8) buffer Step { thimble_step step; };
layout(buffer_reference, scalar, buffer_reference_align = 4) coherent buffer Links { uint at[]; };

// Holds the workgroup until every workgroup of the dispatch before has raised its link. What those wrote must
// be read through coherent references.
void wait_for_link(uint64_t link) {
    if (gl_LocalInvocationIndex == 0) {
        Links links = Links(link);
        uint expected = links.at[1];
        // An atomic, since the optimiser drops a loop that only loads, volatile or not. It ends in any case:
        // a device that starts dispatches out of order gives wrong numbers, not a hang.
        for (uint turn = 0; turn < 1u << 22; ++turn)
            if (atomicAdd(links.at[0], 0) >= expected) break;
    }
    memoryBarrierBuffer();
    barrier();
}

// Says that this workgroup has written everything. All its invocations call it.
void raise_link(uint64_t link) {
    memoryBarrierBuffer();
    barrier();
    if (gl_LocalInvocationIndex == 0) atomicAdd(Links(link + 8).at[0], 1);
}
