//! project_vector with weights of 8 bits.
#version 460
#ifdef LINKED
#pragma use_vulkan_memory_model
#endif
#extension GL_GOOGLE_include_directive : require
#define TYPE 8
#include "include/project_vector.glsl"
