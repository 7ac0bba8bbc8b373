//! A projection's outputs into queries, and into keys and values in their pages; queries and keys rotated.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "include/half.glsl"
#include "include/pages.glsl"
#include "parameters/attention_inputs.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 2) const uint PAIRING = THIMBLE_PAIRING_INTERLEAVED;
layout(push_constant, scalar) uniform Parameters { thimble_attention_inputs p; };

layout(buffer_reference, std430, buffer_reference_align = 16) buffer Floats4 { vec4 at; };
layout(buffer_reference, std430, buffer_reference_align = 8) buffer Floats2 { vec2 at; };
layout(buffer_reference, std430, buffer_reference_align = 8) buffer Words2 { uvec2 at; };

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

// Four dimensions of a head from d on after their rotation, all of them turned or none.
vec4 rotated4(uint64_t head, uint d, uint token) {
    vec4 x = Floats4(head + 4 * d).at;
    if (d >= 2 * p.pairs) return x;
    uint64_t angles = 4 * uint64_t(token) * p.pairs;
    if (PAIRING == THIMBLE_PAIRING_INTERLEAVED) {
        vec2 cosines = Floats2(p.cosines + angles + 2 * d).at, sines = Floats2(p.sines + angles + 2 * d).at;
        return x * cosines.xxyy + vec4(-x.y, x.x, -x.w, x.z) * sines.xxyy;
    }
    bool is_first = d < p.pairs;
    uint pair = is_first ? d : d - p.pairs;
    vec4 other = Floats4(head + 4 * (is_first ? d + p.pairs : pair)).at;
    vec4 cosines = Floats4(p.cosines + angles + 4 * pair).at, sines = Floats4(p.sines + angles + 4 * pair).at;
    return x * cosines + (is_first ? -other : other) * sines;
}

// A token's key or value that lies in a page, from dimension d of a key head on.
uint64_t cached(uint token, uint kv_head, uint part, uint d) {
    uint64_t row = cached_row(
        p.pages, p.block_table, part, kv_head, p.start + token, p.kv_heads, p.page_tokens, p.head_size);
    return row + 2 * d;
}

void store(uint token, uint head, uint d) {
    uint columns = (p.query_heads + 2 * p.kv_heads) * p.head_size;
    Floats values = Floats(p.product + (uint64_t(token) * columns + head * p.head_size) * 4);
    bool is_value = head >= p.query_heads + p.kv_heads;
    float x = is_value ? values.at[d] : rotated(values, d, token);
    if (head < p.query_heads) {
        row_of(p.queries, token, p.query_heads * p.head_size).at[head * p.head_size + d] = x;
    } else {
        uint kv_head = (head - p.query_heads) % p.kv_heads;
        Shorts(cached(token, kv_head, is_value ? 1 : 0, d)).at[0] = int16_t(half_from_float(x));
    }
}

void store4(uint token, uint head, uint d) {
    uint columns = (p.query_heads + 2 * p.kv_heads) * p.head_size;
    uint64_t values = p.product + (uint64_t(token) * columns + head * p.head_size) * 4;
    bool is_value = head >= p.query_heads + p.kv_heads;
    vec4 x = is_value ? Floats4(values + 4 * d).at : rotated4(values, d, token);
    if (head < p.query_heads) {
        Floats4(p.queries + 4 * ((uint64_t(token) * p.query_heads + head) * p.head_size + d)).at = x;
    } else {
        uint kv_head = (head - p.query_heads) % p.kv_heads;
        uint low = half_from_float(x.x) | half_from_float(x.y) << 16;
        uint high = half_from_float(x.z) | half_from_float(x.w) << 16;
        Words2(cached(token, kv_head, is_value ? 1 : 0, d)).at = uvec2(low, high);
    }
}

void main() {
    uint columns = (p.query_heads + 2 * p.kv_heads) * p.head_size;
    // Four at a time where heads and pairs are such that they stay together, and all is aligned.
    uint64_t places = p.product | p.cosines | p.sines | p.queries | p.pages;
    bool by_four = ((p.head_size | p.pairs) & 3) == 0 && (uint(places) & 15) == 0;
    uint width = by_four ? 4 : 1;
    for (uint token = gl_WorkGroupID.x; token < p.tokens; token += gl_NumWorkGroups.x) {
        for (uint i = width * gl_LocalInvocationID.x; i < columns; i += width * gl_WorkGroupSize.x) {
            uint head = i / p.head_size, d = i % p.head_size;
            if (by_four) store4(token, head, d); else store(token, head, d);
        }
    }
}
