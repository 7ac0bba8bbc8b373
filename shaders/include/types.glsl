//! What every shader needs: the extensions that all devices have, and references to arrays of each type.
#ifndef THIMBLE_TYPES_GLSL
#define THIMBLE_TYPES_GLSL
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_control_flow_attributes : enable
#extension GL_EXT_scalar_block_layout : require
#extension GL_EXT_shader_16bit_storage : require
#extension GL_EXT_shader_8bit_storage : require
#extension GL_EXT_shader_explicit_arithmetic_types : require

layout(buffer_reference, scalar, buffer_reference_align = 4) buffer Floats { float at[]; };
layout(buffer_reference, scalar, buffer_reference_align = 4) buffer Words { uint at[]; };
layout(buffer_reference, scalar, buffer_reference_align = 4) buffer Integers { int at[]; };
layout(buffer_reference, scalar, buffer_reference_align = 2) buffer Halves { float16_t at[]; };
layout(buffer_reference, scalar, buffer_reference_align = 2) buffer Shorts { int16_t at[]; };
layout(buffer_reference, scalar, buffer_reference_align = 1) buffer Bytes { uint8_t at[]; };

// The row of a float32 matrix whose rows are `columns` wide.
Floats row_of(uint64_t matrix, uint row, uint columns) {
    return Floats(matrix + uint64_t(row) * columns * 4);
}

#endif
