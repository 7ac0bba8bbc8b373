//! project_vector with weights of 4 bits.
#version 460
#extension GL_GOOGLE_include_directive : require
#define TYPE 4
#include "include/project_vector.glsl"
