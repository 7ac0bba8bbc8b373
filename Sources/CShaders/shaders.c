//! The compiled shaders, embedded. Written by Scripts/build-shaders.
#include "CShaders.h"
#include <string.h>

// The language of the package is older; clang embeds in every one.
#pragma clang diagnostic ignored "-Wc23-extensions"

static const _Alignas(4) unsigned char embed[] = {
#embed "spirv/embed.spv"
};

static const struct thimble_shader shaders[] = {
    {"embed", (const uint32_t *)embed, sizeof embed},
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
