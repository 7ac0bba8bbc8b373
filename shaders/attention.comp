//! Attention of many queries over pages, by the online softmax (Milakov and Gimelshein, 2018), on any device.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "include/pages.glsl"
#include "parameters/attention.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 2) const uint HEAD_SIZE = 128;
layout(constant_id = 3) const uint TYPE = THIMBLE_PAGES_F16;
layout(push_constant, scalar) uniform Parameters { thimble_attention p; };

// A row is a token with one of the heads that share a key head, heads first. A workgroup takes a tile of rows
// over a tile of keys at a time; larger heads leave room for fewer of both.
const uint THREADS = THIMBLE_ATTENTION_THREADS;
const uint ROWS = HEAD_SIZE <= 128 ? 32 : 16;
const uint KEYS = ROWS;
// Groups of four dimensions; the last is filled up with zeros.
const uint QUADS = (HEAD_SIZE + 3) / 4;
// Scores and sums of values: 8 x 16 threads, each ROWS / 8 rows by every 16th key or quad of dimensions.
const uint LANES = 16;
const uint LANE_ROWS = ROWS / 8;
const uint LANE_KEYS = KEYS / LANES;
const uint LANE_QUADS = (QUADS + LANES - 1) / LANES;
// The softmax: so many threads a row.
const uint ROW_THREADS = THREADS / ROWS;

// Scores are held within this, so that the difference of two is never infinity - infinity.
const float SCORE_LIMIT = 3e38;

// A quad more a row, so that rows begin in different banks.
shared vec4 queries[ROWS][QUADS + 1];
// Of keys, then of values: four float16 each, or four codes in the first word.
shared uvec2 cached[KEYS][QUADS + 1];
// What codes are worth, a row.
shared uint words[KEYS];
// Scores, then weights.
shared float scores[ROWS][KEYS + 1];
shared float parts[ROWS][ROW_THREADS];
// What a row's earlier sums shrink by, and at last the inverse of its weights' sum.
shared float factors[ROWS];

layout(buffer_reference, scalar, buffer_reference_align = 8) readonly buffer Quads { uvec2 at[]; };

const bool IS_ROTATED = TYPE == THIMBLE_PAGES_INT5;

uint group() { return p.heads / p.kv_heads; }

void load_queries(uint tile, uint first_token, uint row_count) {
    for (uint i = gl_LocalInvocationID.x; i < ROWS * QUADS; i += THREADS) {
        uint row = i / QUADS, quad = i % QUADS;
        vec4 q = vec4(0);
        uint index = tile * ROWS + row;
        if (index < row_count) {
            uint token = first_token + index / group();
            uint head = gl_WorkGroupID.y * group() + index % group();
            Floats x = Floats(p.queries + (uint64_t(token) * p.heads + head) * (4 * HEAD_SIZE));
            [[unroll]] for (uint j = 0; j < 4; j++) {
                if (quad * 4 + j >= HEAD_SIZE) continue;
                float element = x.at[quad * 4 + j];
                q[j] = (IS_ROTATED ? bounded(element, ROTATED_LIMIT) : element) * p.scale;
            }
        }
        queries[row][quad] = q;
    }
}

// Rotates all rows of `queries`, as int5 is. All invocations call it, each having put the same elements there
// as load_queries does.
void rotate_rows() {
    const uint width = rotation_width(HEAD_SIZE);
    const float scale = 1 / sqrt(float(width));
    for (uint i = gl_LocalInvocationID.x; i < ROWS * QUADS; i += THREADS) {
        queries[i / QUADS][i % QUADS] = rotated_within(queries[i / QUADS][i % QUADS] * scale, width);
    }
    // Quads that are `apart` from each other.
    for (uint apart = 1; 4 * apart < width; apart *= 2) {
        barrier();
        for (uint i = gl_LocalInvocationID.x; i < ROWS * QUADS / 2; i += THREADS) {
            uint row = i / (QUADS / 2), pair = i % (QUADS / 2);
            uint first = pair / apart * 2 * apart + pair % apart;
            vec4 a = queries[row][first], b = queries[row][first + apart];
            queries[row][first] = a + b;
            queries[row][first + apart] = a - b;
        }
    }
    barrier();
}

// Keys (part 0) or values (part 1) of positions from `first` on, zeros from `end` on.
void load_cached(uint part, uint first, uint end) {
    for (uint i = gl_LocalInvocationID.x; i < KEYS * QUADS; i += THREADS) {
        uint key = i / QUADS, quad = i % QUADS;
        uvec2 held = uvec2(0);
        uint word = 0;
        if (first + key < end) {
            CachedRow row = cached_row(
                TYPE, p.pages, p.block_table, part, gl_WorkGroupID.y, first + key, p.kv_heads, p.page_tokens,
                HEAD_SIZE);
            if (TYPE != THIMBLE_PAGES_F16) {
                held.x = codes_at(TYPE, row, 4 * quad);
                if (quad == 0) word = Words(row.word).at[0];
            } else if (HEAD_SIZE % 4 == 0) {
                held = Quads(row.codes).at[quad];
            } else {
                [[unroll]] for (uint j = 0; j < 4; j++) {
                    if (quad * 4 + j >= HEAD_SIZE) continue;
                    held[j / 2] |= (uint(Shorts(row.codes).at[quad * 4 + j]) & 0xffffu) << (16 * (j % 2));
                }
            }
        }
        cached[key][quad] = held;
        if (TYPE != THIMBLE_PAGES_F16 && quad == 0) words[key] = word;
    }
}

vec4 cached_quad(uint key, uint quad) {
    uvec2 halves = cached[key][quad];
    if (TYPE != THIMBLE_PAGES_F16) return values_of(TYPE, halves.x, words[key]);
    return vec4(unpackHalf2x16(halves.x), unpackHalf2x16(halves.y));
}

// What is not a number stays so, by its bits: a device's clamp() may make it a limit.
float limited(float score) {
    bool is_number = (floatBitsToUint(score) & 0x7fffffffu) <= 0x7f800000u;
    return is_number ? clamp(score, -SCORE_LIMIT, SCORE_LIMIT) : score;
}

void score_keys(uint first_row, uint lane) {
    float sums[LANE_ROWS][LANE_KEYS];
    [[unroll]] for (uint r = 0; r < LANE_ROWS; r++) {
        [[unroll]] for (uint k = 0; k < LANE_KEYS; k++) sums[r][k] = 0;
    }
    for (uint quad = 0; quad < QUADS; quad++) {
        vec4 keys[LANE_KEYS];
        [[unroll]] for (uint k = 0; k < LANE_KEYS; k++) keys[k] = cached_quad(lane + LANES * k, quad);
        [[unroll]] for (uint r = 0; r < LANE_ROWS; r++) {
            vec4 q = queries[first_row + r][quad];
            [[unroll]] for (uint k = 0; k < LANE_KEYS; k++) sums[r][k] += dot(q, keys[k]);
        }
    }
    [[unroll]] for (uint r = 0; r < LANE_ROWS; r++) {
        [[unroll]] for (uint k = 0; k < LANE_KEYS; k++) {
            scores[first_row + r][lane + LANES * k] = limited(sums[r][k]);
        }
    }
}

void main() {
    uint thread = gl_LocalInvocationID.x;
    uint first_row = thread / LANES * LANE_ROWS, lane = thread % LANES;
    uint softmax_row = thread / ROW_THREADS, softmax_part = thread % ROW_THREADS;

    uint first_token = 0, end_token = p.tokens, first_key = 0, end_key = p.key_count;
    if (p.ranges != 0) {
        first_token = Words(p.ranges).at[gl_WorkGroupID.z];
        end_token = Words(p.ranges).at[gl_WorkGroupID.z + 1];
        first_key = first_token;
        end_key = end_token;
    }
    uint row_count = (end_token - first_token) * group();
    for (uint tile = gl_WorkGroupID.x; tile * ROWS < row_count; tile += gl_NumWorkGroups.x) {
        uint tile_end_key = end_key;
        if (p.is_causal != 0) {
            uint last_row = min(tile * ROWS + ROWS, row_count) - 1;
            tile_end_key = min(end_key, p.start + last_row / group() + 1);
        }
        // The position behind the last that this thread's row of the softmax sees.
        uint row_end_key = end_key;
        if (p.is_causal != 0) row_end_key = min(end_key, p.start + (tile * ROWS + softmax_row) / group() + 1);
        // The positions behind the last that rows see whose values this thread sums, and that all rows see.
        uint row_ends[LANE_ROWS], common_end = end_key;
        if (p.is_causal != 0) common_end = min(end_key, p.start + tile * ROWS / group() + 1);
        vec4 sums[LANE_ROWS][LANE_QUADS];
        [[unroll]] for (uint r = 0; r < LANE_ROWS; r++) {
            row_ends[r] = end_key;
            if (p.is_causal != 0) {
                row_ends[r] = min(end_key, p.start + (tile * ROWS + first_row + r) / group() + 1);
            }
            [[unroll]] for (uint j = 0; j < LANE_QUADS; j++) sums[r][j] = vec4(0);
        }
        float largest = -SCORE_LIMIT, total = 0;
        load_queries(tile, first_token, row_count);
        if (IS_ROTATED) rotate_rows();

        for (uint first = first_key; first < tile_end_key; first += KEYS) {
            load_cached(0, first, tile_end_key);
            barrier();
            score_keys(first_row, lane);
            barrier();
            load_cached(1, first, tile_end_key);
            float own_largest = -SCORE_LIMIT;
            for (uint key = softmax_part; key < KEYS; key += ROW_THREADS) {
                if (first + key < row_end_key) own_largest = max(own_largest, scores[softmax_row][key]);
            }
            parts[softmax_row][softmax_part] = own_largest;
            barrier();
            float before = largest;
            for (uint i = 0; i < ROW_THREADS; i++) largest = max(largest, parts[softmax_row][i]);
            float own_total = 0;
            for (uint key = softmax_part; key < KEYS; key += ROW_THREADS) {
                float weight = 0;
                if (first + key < row_end_key) weight = exp(scores[softmax_row][key] - largest);
                scores[softmax_row][key] = weight;
                own_total += weight;
            }
            float factor = exp(before - largest);
            if (softmax_part == 0) factors[softmax_row] = factor;
            barrier();
            parts[softmax_row][softmax_part] = own_total;
            [[unroll]] for (uint r = 0; r < LANE_ROWS; r++) {
                float shrink = factors[first_row + r];
                [[unroll]] for (uint j = 0; j < LANE_QUADS; j++) sums[r][j] *= shrink;
            }
            // What a row does not see may be no number, which a weight of 0 would not take away.
            bool is_edge = first + KEYS > common_end;
            for (uint key = 0; key < KEYS; key++) {
                float weights[LANE_ROWS];
                [[unroll]] for (uint r = 0; r < LANE_ROWS; r++) weights[r] = scores[first_row + r][key];
                [[unroll]] for (uint j = 0; j < LANE_QUADS; j++) {
                    // The last quads may be none of the head's: then what is read is not used.
                    vec4 value = cached_quad(key, min(lane + LANES * j, QUADS - 1));
                    [[unroll]] for (uint r = 0; r < LANE_ROWS; r++) {
                        if (!is_edge || first + key < row_ends[r]) sums[r][j] += weights[r] * value;
                    }
                }
            }
            barrier();
            total *= factor;
            for (uint i = 0; i < ROW_THREADS; i++) total += parts[softmax_row][i];
        }

        // A query that sees no key gets zeros.
        if (softmax_part == 0) factors[softmax_row] = total == 0 ? 0 : 1 / total;
        barrier();
        if (IS_ROTATED) {
            // Means go to the place of the queries, which no one needs any more, and are rotated back there.
            [[unroll]] for (uint r = 0; r < LANE_ROWS; r++) {
                [[unroll]] for (uint j = 0; j < LANE_QUADS; j++) {
                    uint quad = lane + LANES * j;
                    if (quad < QUADS) queries[first_row + r][quad] = sums[r][j] * factors[first_row + r];
                }
            }
            barrier();
            rotate_rows();
        }
        [[unroll]] for (uint r = 0; r < LANE_ROWS; r++) {
            uint index = tile * ROWS + first_row + r;
            if (index >= row_count) continue;
            uint token = first_token + index / group();
            uint head = gl_WorkGroupID.y * group() + index % group();
            Floats y = Floats(p.y + (uint64_t(token) * p.heads + head) * (4 * HEAD_SIZE));
            float inverse = factors[first_row + r];
            [[unroll]] for (uint j = 0; j < LANE_QUADS; j++) {
                uint quad = lane + LANES * j;
                vec4 mean = sums[r][j] * inverse;
                if (IS_ROTATED) mean = queries[first_row + r][min(quad, QUADS - 1)];
                [[unroll]] for (uint d = 0; d < 4; d++) {
                    if (4 * quad + d < HEAD_SIZE) y.at[4 * quad + d] = mean[d];
                }
            }
        }
        // What is shared may be written again only when all have read it.
        barrier();
    }
}
