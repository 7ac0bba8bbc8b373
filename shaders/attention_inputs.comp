//! A projection's outputs into queries, and into keys and values in their pages; queries and keys rotated.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "include/half.glsl"
#include "include/pages.glsl"
#include "parameters/attention_inputs.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 2) const uint PAIRING = THIMBLE_PAIRING_INTERLEAVED;
layout(push_constant, scalar) uniform Parameters { thimble_attention_inputs p; };

// Dimension d of a head after its rotation by the token's angles.
float rotated(Floats head, uint d, uint token) {
    float x = head.at[d];
    if (d >= 2 * p.pairs) return x;
    bool interleaved = PAIRING == THIMBLE_PAIRING_INTERLEAVED;
    uint pair = interleaved ? d / 2 : d % p.pairs;
    bool is_first = interleaved ? d % 2 == 0 : d < p.pairs;
    uint distance_ = interleaved ? 1 : p.pairs;
    float cosine = row_of(p.cosines, token, p.pairs).at[pair];
    float sine = row_of(p.sines, token, p.pairs).at[pair];
    if (is_first) return x * cosine - head.at[d + distance_] * sine;
    return x * cosine + head.at[d - distance_] * sine;
}

void main() {
    uint query_columns = p.query_heads * p.head_size;
    uint columns = query_columns + 2 * p.kv_heads * p.head_size;
    for (uint token = gl_WorkGroupID.x; token < p.tokens; token += gl_NumWorkGroups.x) {
        Floats queries = row_of(p.queries, token, query_columns);
        for (uint i = gl_LocalInvocationID.x; i < columns; i += gl_WorkGroupSize.x) {
            uint head = i / p.head_size, d = i % p.head_size;
            Floats values = Floats(
                p.product + (uint64_t(token) * columns + head * p.head_size) * 4);
            bool is_value = head >= p.query_heads + p.kv_heads;
            float x = is_value ? values.at[d] : rotated(values, d, token);
            if (head < p.query_heads) {
                queries.at[i] = x;
                continue;
            }
            uint kv_head = (head - p.query_heads) % p.kv_heads;
            uint64_t row = cached_row(
                p.pages, p.block_table, is_value ? 1 : 0, kv_head, p.start + token, p.kv_heads, p.page_tokens,
                p.head_size);
            Shorts(row).at[d] = int16_t(half_from_float(x));
        }
    }
}
