//! The compiled shaders, embedded. Written by Scripts/build-shaders.
#include "CShaders.h"
#include <string.h>

// The language of the package is older; clang embeds in every one.
#pragma clang diagnostic ignored "-Wc23-extensions"

static const _Alignas(4) unsigned char add_gathered[] = {
#embed "spirv/add_gathered.spv"
};

static const _Alignas(4) unsigned char attention[] = {
#embed "spirv/attention.spv"
};

static const _Alignas(4) unsigned char attention_coopmat2[] = {
#embed "spirv/attention_coopmat2.spv"
};

static const _Alignas(4) unsigned char attention_inputs[] = {
#embed "spirv/attention_inputs.spv"
};

static const _Alignas(4) unsigned char attention_vector[] = {
#embed "spirv/attention_vector.spv"
};

static const _Alignas(4) unsigned char attention_vector_coopmat[] = {
#embed "spirv/attention_vector_coopmat.spv"
};

static const _Alignas(4) unsigned char attention_vector_coopmat_linked[] = {
#embed "spirv/attention_vector_coopmat_linked.spv"
};

static const _Alignas(4) unsigned char attention_vector_linked[] = {
#embed "spirv/attention_vector_linked.spv"
};

static const _Alignas(4) unsigned char begin_step[] = {
#embed "spirv/begin_step.spv"
};

static const _Alignas(4) unsigned char coopmat_order[] = {
#embed "spirv/coopmat_order.spv"
};

static const _Alignas(4) unsigned char copy[] = {
#embed "spirv/copy.spv"
};

static const _Alignas(4) unsigned char cut_patches[] = {
#embed "spirv/cut_patches.spv"
};

static const _Alignas(4) unsigned char embed[] = {
#embed "spirv/embed.spv"
};

static const _Alignas(4) unsigned char layer_norm_gelu[] = {
#embed "spirv/layer_norm_gelu.spv"
};

static const _Alignas(4) unsigned char matmul[] = {
#embed "spirv/matmul.spv"
};

static const _Alignas(4) unsigned char matmul_coopmat[] = {
#embed "spirv/matmul_coopmat.spv"
};

static const _Alignas(4) unsigned char prepare[] = {
#embed "spirv/prepare.spv"
};

static const _Alignas(4) unsigned char prepare_half[] = {
#embed "spirv/prepare_half.spv"
};

static const _Alignas(4) unsigned char project_vector_f16[] = {
#embed "spirv/project_vector_f16.spv"
};

static const _Alignas(4) unsigned char project_vector_f16_linked[] = {
#embed "spirv/project_vector_f16_linked.spv"
};

static const _Alignas(4) unsigned char project_vector_f32[] = {
#embed "spirv/project_vector_f32.spv"
};

static const _Alignas(4) unsigned char project_vector_f32_linked[] = {
#embed "spirv/project_vector_f32_linked.spv"
};

static const _Alignas(4) unsigned char project_vector_q4[] = {
#embed "spirv/project_vector_q4.spv"
};

static const _Alignas(4) unsigned char project_vector_q4_linked[] = {
#embed "spirv/project_vector_q4_linked.spv"
};

static const _Alignas(4) unsigned char project_vector_q8[] = {
#embed "spirv/project_vector_q8.spv"
};

static const _Alignas(4) unsigned char project_vector_q8_linked[] = {
#embed "spirv/project_vector_q8_linked.spv"
};

static const _Alignas(4) unsigned char read_memory[] = {
#embed "spirv/read_memory.spv"
};

static const _Alignas(4) unsigned char resample[] = {
#embed "spirv/resample.spv"
};

static const _Alignas(4) unsigned char rms_norm[] = {
#embed "spirv/rms_norm.spv"
};

static const _Alignas(4) unsigned char sample[] = {
#embed "spirv/sample.spv"
};

static const _Alignas(4) unsigned char spread[] = {
#embed "spirv/spread.spv"
};

static const struct thimble_shader shaders[] = {
    {"add_gathered",
     (const uint32_t *)add_gathered, sizeof add_gathered},
    {"attention",
     (const uint32_t *)attention, sizeof attention},
    {"attention_coopmat2",
     (const uint32_t *)attention_coopmat2, sizeof attention_coopmat2},
    {"attention_inputs",
     (const uint32_t *)attention_inputs, sizeof attention_inputs},
    {"attention_vector",
     (const uint32_t *)attention_vector, sizeof attention_vector},
    {"attention_vector_coopmat",
     (const uint32_t *)attention_vector_coopmat, sizeof attention_vector_coopmat},
    {"attention_vector_coopmat_linked",
     (const uint32_t *)attention_vector_coopmat_linked, sizeof attention_vector_coopmat_linked},
    {"attention_vector_linked",
     (const uint32_t *)attention_vector_linked, sizeof attention_vector_linked},
    {"begin_step",
     (const uint32_t *)begin_step, sizeof begin_step},
    {"coopmat_order",
     (const uint32_t *)coopmat_order, sizeof coopmat_order},
    {"copy",
     (const uint32_t *)copy, sizeof copy},
    {"cut_patches",
     (const uint32_t *)cut_patches, sizeof cut_patches},
    {"embed",
     (const uint32_t *)embed, sizeof embed},
    {"layer_norm_gelu",
     (const uint32_t *)layer_norm_gelu, sizeof layer_norm_gelu},
    {"matmul",
     (const uint32_t *)matmul, sizeof matmul},
    {"matmul_coopmat",
     (const uint32_t *)matmul_coopmat, sizeof matmul_coopmat},
    {"prepare",
     (const uint32_t *)prepare, sizeof prepare},
    {"prepare_half",
     (const uint32_t *)prepare_half, sizeof prepare_half},
    {"project_vector_f16",
     (const uint32_t *)project_vector_f16, sizeof project_vector_f16},
    {"project_vector_f16_linked",
     (const uint32_t *)project_vector_f16_linked, sizeof project_vector_f16_linked},
    {"project_vector_f32",
     (const uint32_t *)project_vector_f32, sizeof project_vector_f32},
    {"project_vector_f32_linked",
     (const uint32_t *)project_vector_f32_linked, sizeof project_vector_f32_linked},
    {"project_vector_q4",
     (const uint32_t *)project_vector_q4, sizeof project_vector_q4},
    {"project_vector_q4_linked",
     (const uint32_t *)project_vector_q4_linked, sizeof project_vector_q4_linked},
    {"project_vector_q8",
     (const uint32_t *)project_vector_q8, sizeof project_vector_q8},
    {"project_vector_q8_linked",
     (const uint32_t *)project_vector_q8_linked, sizeof project_vector_q8_linked},
    {"read_memory",
     (const uint32_t *)read_memory, sizeof read_memory},
    {"resample",
     (const uint32_t *)resample, sizeof resample},
    {"rms_norm",
     (const uint32_t *)rms_norm, sizeof rms_norm},
    {"sample",
     (const uint32_t *)sample, sizeof sample},
    {"spread",
     (const uint32_t *)spread, sizeof spread},
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
