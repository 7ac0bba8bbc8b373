//! How workgroups of a step tell each other what they have written, and wait for each other.
//
// LINKED is defined where dispatches follow each other without barriers. What others write is then memory
// that is not private, in the terms of Vulkan's memory model: made available by who wrote it, visible to who
// reads it. References that are coherent throughout would do, but on an NVIDIA GPU each load of them waits
// for the one before.
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

// Holds the workgroup until every workgroup of the stage before has raised its link, and makes what those
// wrote visible to it. Who sees the link sees the rest: no fence is needed behind the loop.
void wait_for_link(uint64_t link) {
#ifdef LINKED
    if (gl_LocalInvocationIndex == 0) {
        Links links = Links(link);
        uint expected = links.at[1];
        // It ends in any case: a device that starts dispatches out of order gives wrong numbers, not a hang.
        for (uint turn = 0; turn < 1u << 22; ++turn) {
            uint arrived = atomicLoad(
                links.at[0], gl_ScopeDevice, gl_StorageSemanticsBuffer,
                gl_SemanticsAcquire | gl_SemanticsMakeVisible);
            if (arrived >= expected) break;
        }
    }
    meet();
#endif
}

// Says that this workgroup has written everything. All its invocations call it.
void raise_link(uint64_t link) {
    meet();
    if (gl_LocalInvocationIndex == 0) {
        show_others();
        atomicAdd(Links(link + 8).at[0], 1);
    }
}
