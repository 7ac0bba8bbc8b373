//! How workgroups of a step tell each other what they have written, and wait for each other.
//
// LINKED is defined where dispatches follow each other without barriers. What others write is then memory
// that is not private, in the terms of Vulkan's memory model: made available by who wrote it, visible to who
// reads it. References that are coherent throughout would do, but on an NVIDIA GPU each load of them waits
// for the one before.
#include "parameters/step.h"
#ifdef LINKED
#extension GL_KHR_memory_scope_semantics : require
// Of memory that other dispatches write, and of what workgroups of the same one do.
#define WRITTEN nonprivate
#define SHARED nonprivate
const bool waits = true;
#else
#define WRITTEN
#define SHARED coherent
const bool waits = false;
#endif

layout(buffer_reference, scalar, buffer_reference_align = 4) coherent buffer Links { uint at[]; };

// Between what an invocation has written and a sign to others.
void show_others() {
#ifdef LINKED
    memoryBarrier(gl_ScopeDevice, gl_StorageSemanticsBuffer, gl_SemanticsRelease | gl_SemanticsMakeAvailable);
#else
    memoryBarrierBuffer();
#endif
}

// Between a sign of others and what an invocation reads of theirs.
void see_others() {
#ifdef LINKED
    memoryBarrier(gl_ScopeDevice, gl_StorageSemanticsBuffer, gl_SemanticsAcquire | gl_SemanticsMakeVisible);
#else
    memoryBarrierBuffer();
#endif
}

// Where the invocations of a workgroup meet. barrier() orders shared memory only: behind this, what any of
// them has written to a buffer, or has seen of others, all have.
void meet() {
#ifdef LINKED
    controlBarrier(
        gl_ScopeWorkgroup, gl_ScopeWorkgroup, gl_StorageSemanticsBuffer | gl_StorageSemanticsShared,
        gl_SemanticsAcquireRelease | gl_SemanticsMakeAvailable | gl_SemanticsMakeVisible);
#else
    memoryBarrierBuffer();
    barrier();
#endif
}

#ifdef LINKED
// Whether all shares of a dispatch were claimed when its first stage began.
shared uint is_shared_out;

// Turns of waiting: until a link is given up, some seconds, for it ends in any case; and for workgroups that
// should have started, some 50 us.
const uint most_turns = 1u << 22;
const uint start_turns = 64;
#endif

// Holds the workgroup until every workgroup of the stage before has raised its link, and makes what those
// wrote visible to it. Who sees the link sees the rest: no fence is needed behind the loop. `claims`, if not
// 0, are waited for a little too: false where some are left.
bool wait_for_link(uint64_t link, uint64_t claims, uint shares) {
#ifdef LINKED
    if (gl_LocalInvocationIndex == 0) {
        Links links = Links(link);
        uint expected = links.at[1], arrived = 0, late = 0;
        bool is_whole = claims == 0;
        for (uint turn = 0; turn < most_turns; ++turn) {
            // Callers know whether there are claims: where there are none, no load by address 0 is compiled.
            if (claims != 0 && !is_whole)
                is_whole = atomicLoad(Links(claims).at[0], gl_ScopeDevice, 0, 0) >= shares;
            arrived = atomicLoad(
                links.at[0], gl_ScopeDevice, gl_StorageSemanticsBuffer,
                gl_SemanticsAcquire | gl_SemanticsMakeVisible);
            if (arrived >= expected && (is_whole || ++late >= start_turns)) break;
        }
        // The host is told by what is drawn in the end.
        if (arrived < expected || arrived >= THIMBLE_LINK_FAILED)
            atomicOr(Links(link + 8).at[0], THIMBLE_LINK_FAILED);
        if (claims != 0) is_shared_out = is_whole ? 1 : 0;
    }
    meet();
    return claims == 0 || is_shared_out != 0;
#else
    return true;
#endif
}

void wait_for_link(uint64_t link) { wait_for_link(link, 0, 0); }

// Says that this workgroup has written everything. All its invocations call it.
void raise_link(uint64_t link) {
    meet();
    if (gl_LocalInvocationIndex == 0) {
        show_others();
        atomicAdd(Links(link + 8).at[0], 1);
    }
}
