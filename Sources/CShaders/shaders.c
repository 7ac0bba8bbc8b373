//! The compiled shaders, embedded. Written by Scripts/build-shaders.
#include "CShaders.h"
#include <string.h>

// The language of the package is older; clang embeds in every one.
#pragma clang diagnostic ignored "-Wc23-extensions"

static const _Alignas(4) unsigned char attention[] = {
#embed "spirv/attention.spv"
};

static const _Alignas(4) unsigned char attention_inputs[] = {
#embed "spirv/attention_inputs.spv"
};

static const _Alignas(4) unsigned char embed[] = {
#embed "spirv/embed.spv"
};

static const _Alignas(4) unsigned char matmul[] = {
#embed "spirv/matmul.spv"
};

static const _Alignas(4) unsigned char prepare[] = {
#embed "spirv/prepare.spv"
};

static const _Alignas(4) unsigned char rms_norm[] = {
#embed "spirv/rms_norm.spv"
};

static const struct thimble_shader shaders[] = {
    {"attention", (const uint32_t *)attention, sizeof attention},
    {"attention_inputs", (const uint32_t *)attention_inputs, sizeof attention_inputs},
    {"embed", (const uint32_t *)embed, sizeof embed},
    {"matmul", (const uint32_t *)matmul, sizeof matmul},
    {"prepare", (const uint32_t *)prepare, sizeof prepare},
    {"rms_norm", (const uint32_t *)rms_norm, sizeof rms_norm},
};

const struct thimble_shader *thimble_shaders(size_t *count) {
    *count = sizeof shaders / sizeof shaders[0];
    return shaders;
}

const struct thimble_shader *thimble_shader_named(const char *name) {
    for (size_t i = 0; i < sizeof shaders / sizeof shaders[0]; i++) {
        if (strcmp(shaders[i].name, name) == 0) return &shaders[i];
    }
    return NULL;
}
