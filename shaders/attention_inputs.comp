//! A projection's outputs into queries, and into keys and values in their pages; queries and keys rotated.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "include/half.glsl"
#include "include/pages.glsl"
#include "include/quotient.glsl"
#include "include/step.glsl"
#include "parameters/attention_inputs.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 2) const uint PAIRING = THIMBLE_PAIRING_INTERLEAVED;
layout(constant_id = 3) const uint TYPE = THIMBLE_PAGES_F16;
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

// A token's key or value.
CachedRow row_of_token(uint token, uint kv_head, uint part) {
    // Without a step something else is read, that is as long: no load by address 0 may stand behind a branch.
    uint of_step = Step(p.step != 0 ? p.step : p.product).step.position;
    uint position = (p.step != 0 ? of_step : p.start) + token;
    return cached_row(
        TYPE, p.pages, p.block_table, part, kv_head, position, p.kv_heads, p.page_tokens, p.head_size);
}

// Where float16 of it lie from dimension d on.
uint64_t cached(uint token, uint kv_head, uint part, uint d) {
    return row_of_token(token, kv_head, part).codes + 2 * d;
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

// A head in fours, rotated, and the ends of each four; then their codes, a byte each.
const uint MOST_QUADS = 64;
shared vec4 elements[MOST_QUADS];
shared vec2 ends[MOST_QUADS];
shared uint packed[MOST_QUADS];

// Rotates `elements` as the CPU's kernels do. All invocations call it, each having put its own four there.
void rotate_elements(uint quads) {
    uint width = rotation_width(p.head_size), i = gl_LocalInvocationID.x;
    float scale = 1 / sqrt(float(width));
    if (i < quads) elements[i] = rotated_within(elements[i] * scale, width);
    for (uint apart = 1; 4 * apart < width; apart *= 2) {
        barrier();
        if (i < quads / 2) {
            uint first = i / apart * 2 * apart + i % apart;
            vec4 a = elements[first], b = elements[first + apart];
            elements[first] = a + b;
            elements[first + apart] = a - b;
        }
    }
    barrier();
}

// The bfloat16 nearest to x, ties to even, as the upper half of its float32.
uint bfloat16_bits(float x) {
    uint bits = floatBitsToUint(x);
    return (bits + 0x7fffu + (bits >> 16 & 1)) & 0xffff0000u;
}

// What int5 is worth between two ends: see kv_word in the CPU's kernels.
uint word_between(float least, float most) {
    uint bits = bfloat16_bits(least == 0 ? 0 : least);
    uint step_ = bfloat16_bits(quotient(most - uintBitsToFloat(bits), 31));
    return step_ < SMALLEST_BITS ? bits : bits | step_ >> 16;
}

uint in_bytes(uvec4 codes) {
    codes &= 255;
    return codes.x | codes.y << 8 | codes.z << 16 | codes.w << 24;
}

// The nearest codes of int8, a byte each.
uint int8_codes(vec4 x, float inverse) {
    precise vec4 scaled = x * inverse;
    return in_bytes(uvec4(clamp(ivec4(roundEven(scaled)), -127, 127)));
}

// The codes of the nearest levels of int5: see kv_code in the CPU's kernels.
uint nearest_codes(vec4 levels) {
    precise vec4 t = levels * 2048;
    uvec4 codes = uvec4(0);
    for (uint bit = 16; bit > 0; bit /= 2) {
        vec4 c = vec4(codes + bit);
        precise vec4 bound = c * (3105 + c * (2 * c - 96)) - 1552;
        codes += uvec4(greaterThanEqual(t, bound)) * bit;
    }
    return in_bytes(codes);
}

// Word w of a head's int5, from `packed`.
uint int5_word(uint w, uint quads) {
    uint first = w / 5 * (INT5_BLOCK / 4);
    if (w % 5 > 0) {
        uint at = first + 2 * (w % 5 - 1);
        uint next = at + 1 < quads ? packed[at + 1] : 0;
        return (packed[at] & 0x0f0f0f0fu) | (next & 0x0f0f0f0fu) << 4;
    }
    uint fifth = 0;
    for (uint i = 0; i < INT5_BLOCK / 4 && first + i < quads; i++) {
        uvec4 bits = uvec4(packed[first + i]) >> uvec4(4, 12, 20, 28) & 1;
        fifth |= (bits.x | bits.y << 1 | bits.z << 2 | bits.w << 3) << (4 * i);
    }
    return fifth;
}

// Stores a token's key or value of a head as codes: heads of keys come first, then those of values. All
// invocations call it, four elements each.
void store_codes(uint token, uint head) {
    uint columns = (p.query_heads + 2 * p.kv_heads) * p.head_size;
    uint64_t first = uint64_t(token) * columns + (p.query_heads + head) * p.head_size;
    Floats values = Floats(p.product + first * 4);
    uint quads = (p.head_size + 3) / 4, i = gl_LocalInvocationID.x;
    bool is_key = head < p.kv_heads, is_nan = false;
    vec4 x = vec4(0);
    for (uint j = 0; i < quads && j < 4 && 4 * i + j < p.head_size; j++) {
        uint d = 4 * i + j;
        float element = is_key ? rotated(values, d, token) : values.at[d];
        is_nan = is_nan || is_no_number(element);
        x[j] = bounded(element, KV_LIMIT);
    }
    // What the last call has left is read by now.
    barrier();
    if (i < quads) elements[i] = x;
    if (TYPE == THIMBLE_PAGES_INT5) rotate_elements(quads);
    if (i < quads) {
        x = elements[i];
        vec2 own = vec2(x.x, x.x);
        for (uint j = 1; j < 4 && 4 * i + j < p.head_size; j++) {
            own = vec2(min(own.x, x[j]), max(own.y, x[j]));
        }
        // An end that is not a number says that one of the four is none.
        ends[i] = is_nan ? vec2(uintBitsToFloat(0x7fc00000u)) : own;
    }
    barrier();
    vec2 all = ends[0];
    bool any_nan = false;
    for (uint q = 0; q < quads; q++) {
        any_nan = any_nan || is_no_number(ends[q].x);
        all = vec2(min(all.x, ends[q].x), max(all.y, ends[q].y));
    }
    CachedRow row = row_of_token(token, head % p.kv_heads, is_key ? 0 : 1);
    uint word;
    if (TYPE == THIMBLE_PAGES_INT8) {
        float largest = max(abs(all.x), abs(all.y));
        bool zero = any_nan || floatBitsToUint(largest) < SMALLEST_BITS;
        word = any_nan ? 0x7fc00000u : zero ? 0 : floatBitsToUint(quotient(largest, 127));
        if (i < quads) Words(row.codes).at[i] = zero ? 0 : int8_codes(x, quotient(127, largest));
    } else {
        word = any_nan ? 0x7fc07fc0u : word_between(all.x, all.y);
        float step_ = uintBitsToFloat(word << 16), least = uintBitsToFloat(word & 0xffff0000u);
        bool zero = any_nan || (word & 0xffff) == 0;
        if (i < quads) {
            precise vec4 levels = x - least;
            levels *= quotient(1, step_);
            uint codes = zero ? 0 : nearest_codes(levels);
            // What lies beyond the head has no codes.
            packed[i] = codes & 0xffffffffu >> 8 * (4 - min(p.head_size - 4 * i, 4));
        }
        barrier();
        for (uint w = i; w < code_bytes(TYPE, p.head_size) / 4; w += gl_WorkGroupSize.x) {
            Words(row.codes).at[w] = int5_word(w, quads);
        }
    }
    if (i == 0) Words(row.word).at[0] = word;
}

void main() {
    // Codes go a head at a time; the rest an element or four.
    bool has_codes = TYPE != THIMBLE_PAGES_F16;
    uint columns = (p.query_heads + (has_codes ? 0 : 2 * p.kv_heads)) * p.head_size;
    // Four at a time where heads and pairs are such that they stay together, and all is aligned.
    uint64_t places = p.product | p.cosines | p.sines | p.queries | p.pages;
    bool by_four = ((p.head_size | p.pairs) & 3) == 0 && (uint(places) & 15) == 0;
    uint width = by_four ? 4 : 1;
    for (uint token = gl_WorkGroupID.x; token < p.tokens; token += gl_NumWorkGroups.x) {
        uint first = gl_WorkGroupID.y * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
        for (uint i = width * first; i < columns; i += width * gl_WorkGroupSize.x * gl_NumWorkGroups.y) {
            uint head = i / p.head_size, d = i % p.head_size;
            if (by_four) store4(token, head, d); else store(token, head, d);
        }
        for (uint head = gl_WorkGroupID.y; has_codes && head < 2 * p.kv_heads; head += gl_NumWorkGroups.y) {
            store_codes(token, head);
        }
    }
}
