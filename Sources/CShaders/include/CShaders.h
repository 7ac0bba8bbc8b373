//! The compute shaders: what each is told, and its SPIR-V. shaders/README.md says how they are written.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "parameters/add_gathered.h"
#include "parameters/attention.h"
#include "parameters/attention_inputs.h"
#include "parameters/attention_vector.h"
#include "parameters/begin_step.h"
#include "parameters/copy.h"
#include "parameters/cut_patches.h"
#include "parameters/embed.h"
#include "parameters/kinds.h"
#include "parameters/layer_norm_gelu.h"
#include "parameters/matmul.h"
#include "parameters/matmul_coopmat.h"
#include "parameters/prepare.h"
#include "parameters/prepare_half.h"
#include "parameters/project_vector.h"
#include "parameters/read_memory.h"
#include "parameters/resample.h"
#include "parameters/rms_norm.h"
#include "parameters/sample.h"
#include "parameters/spread.h"
#include "parameters/step.h"

// A compiled shader, compressed by zstd. All of it lives as long as the program.
struct thimble_shader {
    const char *name;   // as in shaders/variants
    size_t byte_count;  // of its SPIR-V, a multiple of 4
    const void *packed;
    size_t packed_byte_count;
};

// All shaders, sorted by name.
const struct thimble_shader *thimble_shaders(size_t *count);
// NULL where there is none of that name.
const struct thimble_shader *thimble_shader_named(const char *name);

// Writes a shader's SPIR-V, as vkCreateShaderModule takes it, to words[byte_count / 4]. False where there is
// no memory to do it in.
bool thimble_shader_unpack(const struct thimble_shader *shader, uint32_t *words);
