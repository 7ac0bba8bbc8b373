//! project_vector with weights of 16 bits.
#version 460
#extension GL_GOOGLE_include_directive : require
#define TYPE 16
#include "include/project_vector.glsl"
