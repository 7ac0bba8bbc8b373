//! What the constants of several shaders stand for: C and GLSL share it.
#ifndef THIMBLE_PARAMETERS_KINDS_H
#define THIMBLE_PARAMETERS_KINDS_H

// What becomes of a projection's input: Tensors.Prologue.
#define THIMBLE_PROLOGUE_PLAIN 0
#define THIMBLE_PROLOGUE_RMS_NORM 1
#define THIMBLE_PROLOGUE_RESIDUAL 2
// project_vector: the input is what attention of a step left.
#define THIMBLE_PROLOGUE_PARTS 3
// What becomes of its output: Tensors.Epilogue.
#define THIMBLE_EPILOGUE_STORE 0
#define THIMBLE_EPILOGUE_SWIGLU 1
#define THIMBLE_EPILOGUE_ADD 2
#define THIMBLE_EPILOGUE_ATTENTION_INPUTS 3
// Which dimensions turn together: Tensors.Rotary.Pairing.
#define THIMBLE_PAIRING_INTERLEAVED 0
#define THIMBLE_PAIRING_HALVES 1
// How pages hold keys and values: Tensors.KVType.
#define THIMBLE_PAGES_F16 0
#define THIMBLE_PAGES_INT8 1
#define THIMBLE_PAGES_INT5 2

#endif
