//! Sums over a workgroup, of any number of threads in subgroups of any size.
#ifndef THIMBLE_REDUCE_GLSL
#define THIMBLE_REDUCE_GLSL
#extension GL_KHR_shader_subgroup_arithmetic : require

shared float reduce_parts[gl_WorkGroupSize.x];

// The sum of every thread's x, in every thread. All threads of the workgroup call it.
float workgroup_sum(float x) {
    x = subgroupAdd(x);
    if (subgroupElect()) reduce_parts[gl_SubgroupID] = x;
    barrier();
    float sum = 0;
    for (uint i = 0; i < gl_NumSubgroups; i++) sum += reduce_parts[i];
    // The parts may be written again only when all have read them.
    barrier();
    return sum;
}

#endif
