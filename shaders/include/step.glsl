//! What all decoding shaders share: the step's state.
#include "parameters/step.h"

layout(buffer_reference, scalar, buffer_reference_align = 8) buffer Step { thimble_step step; };
