//! What a decoding step starts from: its token's row of the embedding, and the angles of its position.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "include/angle.glsl"
#include "include/step.glsl"
#include "include/table.glsl"
#include "parameters/begin_step.h"

layout(local_size_x_id = 0) in;
layout(push_constant, scalar) uniform Parameters { thimble_begin_step p; };

void main() {
    Step state = Step(p.step);
    uint first = gl_GlobalInvocationID.x, stride = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    int token = state.step.token;
    uint padded_columns = (p.columns + GROUP - 1) / GROUP * GROUP;
    Floats residual = Floats(p.residual);
    for (uint column = first; column < p.columns; column += stride) {
        residual.at[column] =
            token < 0 ? 0 : table_value(p.codes, p.scales, padded_columns, uint(token), column);
    }
    Floats frequencies = Floats(p.frequencies);
    float position = float(state.step.rotary);
    for (uint pair = first; pair < p.pairs; pair += stride) {
        // One rounded product, as on the host: the angle of a far position is no better than this.
        precise float angle = position * frequencies.at[pair];
        vec2 turned = cosine_and_sine(angle);
        Floats(p.step + THIMBLE_STEP_ANGLES).at[pair] = turned.x;
        Floats(p.step + THIMBLE_STEP_ANGLES).at[p.pairs + pair] = turned.y;
    }
    if (first == 0) state.step.page = Words(state.step.block_table).at[state.step.position / p.page_tokens];
    // thimble_link is two words, the first of them `arrived`.
    for (uint link = first; link < p.link_count; link += stride) Words(p.links).at[2 * link] = 0;
}
