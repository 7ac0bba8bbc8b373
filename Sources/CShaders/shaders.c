//! The compiled shaders, embedded. Written by Scripts/build-shaders.
#include "CShaders.h"
#include <string.h>
#include <zstd.h>

// The language of the package is older; clang embeds in every one.
#pragma clang diagnostic ignored "-Wc23-extensions"

static const unsigned char add_gathered[] = {
#embed "spirv/add_gathered.spv.zst"
};

static const unsigned char attention[] = {
#embed "spirv/attention.spv.zst"
};

static const unsigned char attention_coopmat2[] = {
#embed "spirv/attention_coopmat2.spv.zst"
};

static const unsigned char attention_inputs[] = {
#embed "spirv/attention_inputs.spv.zst"
};

static const unsigned char attention_vector[] = {
#embed "spirv/attention_vector.spv.zst"
};

static const unsigned char attention_vector_coopmat[] = {
#embed "spirv/attention_vector_coopmat.spv.zst"
};

static const unsigned char attention_vector_coopmat_linked[] = {
#embed "spirv/attention_vector_coopmat_linked.spv.zst"
};

static const unsigned char attention_vector_linked[] = {
#embed "spirv/attention_vector_linked.spv.zst"
};

static const unsigned char begin_step[] = {
#embed "spirv/begin_step.spv.zst"
};

static const unsigned char coopmat_order[] = {
#embed "spirv/coopmat_order.spv.zst"
};

static const unsigned char copy[] = {
#embed "spirv/copy.spv.zst"
};

static const unsigned char cut_patches[] = {
#embed "spirv/cut_patches.spv.zst"
};

static const unsigned char embed[] = {
#embed "spirv/embed.spv.zst"
};

static const unsigned char layer_norm_gelu[] = {
#embed "spirv/layer_norm_gelu.spv.zst"
};

static const unsigned char matmul[] = {
#embed "spirv/matmul.spv.zst"
};

static const unsigned char matmul_coopmat[] = {
#embed "spirv/matmul_coopmat.spv.zst"
};

static const unsigned char prepare[] = {
#embed "spirv/prepare.spv.zst"
};

static const unsigned char prepare_half[] = {
#embed "spirv/prepare_half.spv.zst"
};

static const unsigned char project_vector_f16[] = {
#embed "spirv/project_vector_f16.spv.zst"
};

static const unsigned char project_vector_f32[] = {
#embed "spirv/project_vector_f32.spv.zst"
};

static const unsigned char project_vector_q4[] = {
#embed "spirv/project_vector_q4.spv.zst"
};

static const unsigned char project_vector_q4_linked[] = {
#embed "spirv/project_vector_q4_linked.spv.zst"
};

static const unsigned char project_vector_q8[] = {
#embed "spirv/project_vector_q8.spv.zst"
};

static const unsigned char project_vector_q8_linked[] = {
#embed "spirv/project_vector_q8_linked.spv.zst"
};

static const unsigned char read_memory[] = {
#embed "spirv/read_memory.spv.zst"
};

static const unsigned char resample[] = {
#embed "spirv/resample.spv.zst"
};

static const unsigned char rms_norm[] = {
#embed "spirv/rms_norm.spv.zst"
};

static const unsigned char sample[] = {
#embed "spirv/sample.spv.zst"
};

static const unsigned char spread[] = {
#embed "spirv/spread.spv.zst"
};

static const struct thimble_shader shaders[] = {
    {"add_gathered", 3964,
     add_gathered, sizeof add_gathered},
    {"attention", 28180,
     attention, sizeof attention},
    {"attention_coopmat2", 77232,
     attention_coopmat2, sizeof attention_coopmat2},
    {"attention_inputs", 32888,
     attention_inputs, sizeof attention_inputs},
    {"attention_vector", 44660,
     attention_vector, sizeof attention_vector},
    {"attention_vector_coopmat", 60144,
     attention_vector_coopmat, sizeof attention_vector_coopmat},
    {"attention_vector_coopmat_linked", 66368,
     attention_vector_coopmat_linked, sizeof attention_vector_coopmat_linked},
    {"attention_vector_linked", 46984,
     attention_vector_linked, sizeof attention_vector_linked},
    {"begin_step", 7220,
     begin_step, sizeof begin_step},
    {"coopmat_order", 3972,
     coopmat_order, sizeof coopmat_order},
    {"copy", 1456,
     copy, sizeof copy},
    {"cut_patches", 3076,
     cut_patches, sizeof cut_patches},
    {"embed", 4056,
     embed, sizeof embed},
    {"layer_norm_gelu", 5944,
     layer_norm_gelu, sizeof layer_norm_gelu},
    {"matmul", 28996,
     matmul, sizeof matmul},
    {"matmul_coopmat", 45300,
     matmul_coopmat, sizeof matmul_coopmat},
    {"prepare", 50928,
     prepare, sizeof prepare},
    {"prepare_half", 20500,
     prepare_half, sizeof prepare_half},
    {"project_vector_f16", 50812,
     project_vector_f16, sizeof project_vector_f16},
    {"project_vector_f32", 48452,
     project_vector_f32, sizeof project_vector_f32},
    {"project_vector_q4", 55732,
     project_vector_q4, sizeof project_vector_q4},
    {"project_vector_q4_linked", 275532,
     project_vector_q4_linked, sizeof project_vector_q4_linked},
    {"project_vector_q8", 53112,
     project_vector_q8, sizeof project_vector_q8},
    {"project_vector_q8_linked", 262808,
     project_vector_q8_linked, sizeof project_vector_q8_linked},
    {"read_memory", 2424,
     read_memory, sizeof read_memory},
    {"resample", 3652,
     resample, sizeof resample},
    {"rms_norm", 4120,
     rms_norm, sizeof rms_norm},
    {"sample", 50004,
     sample, sizeof sample},
    {"spread", 2616,
     spread, sizeof spread},
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

bool thimble_shader_unpack(const struct thimble_shader *shader, uint32_t *words) {
    return ZSTD_decompress(words, shader->byte_count, shader->packed, shader->packed_byte_count) ==
           shader->byte_count;
}
