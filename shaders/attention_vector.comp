//! Attention of one query token over paged keys and values, split over ranges of positions.
//
// A workgroup takes the query heads of one key head as rows, over one range of positions: each key and value
// is read once. What is left of the ranges the projection after it joins.
#version 460
#ifdef LINKED
#pragma use_vulkan_memory_model
#endif
#extension GL_GOOGLE_include_directive : require
#include "include/attention_vector.glsl"

// Keys and values: the newest were written by the dispatch before.
layout(buffer_reference, scalar, buffer_reference_align = 2) buffer Halves { WRITTEN float16_t at[]; };
layout(buffer_reference, std430, buffer_reference_align = 16) buffer Halves8 { WRITTEN uvec4 at; };
layout(buffer_reference, std430, buffer_reference_align = 8) buffer Halves4 { WRITTEN uvec2 at; };
layout(buffer_reference, scalar, buffer_reference_align = 4) buffer Codes { WRITTEN uint at[]; };

// Keys that are scored at once, by four lanes each.
const uint keys = group_size / 4;
const uint padded_size = (head_size + 31) / 32 * 32;
// Values: a lane takes four dimensions of a run of keys.
const uint columns = (head_size + 3) / 4;
const uint key_parts = group_size / columns < 1 ? 1 : group_size / columns;

shared vec4 queries[rows * padded_size / 4];
shared float scores[keys * rows];
shared float largest[rows], total[rows], shrink[rows];
shared float outputs[rows * columns * 4];
shared uint page_of[keys];

const bool is_rotated = type == THIMBLE_PAGES_INT5;

// The key or value of a position; `word` is of no meaning where pages hold float16.
struct CachedRow {
    uint64_t codes;
    uint64_t word;
};

// Where the key (part 0) or value (part 1) of a position lies.
CachedRow cached_row(uint page, uint kv_head, uint position, uint part) {
    uint row_bytes = code_bytes(type, head_size), slot = position % page_tokens;
    uint64_t head = (uint64_t(page) * 2 + part) * kv_heads + kv_head;
    uint64_t start = p.pages + head * (page_tokens * (row_bytes + scale_bytes(type)));
    return CachedRow(start + slot * row_bytes, start + page_tokens * row_bytes + 4 * slot);
}

// What four codes from d on stand for, d being a multiple of 4 within the head. What lies beyond the head
// meets queries that are zero, or is not stored.
vec4 load_codes(CachedRow row, uint d) {
    uint word = Codes(row.word).at[0];
    if (type == THIMBLE_PAGES_INT8) return values_of(type, Codes(row.codes + d).at[0], word);
    uint fifth = Codes(row.codes + d / INT5_BLOCK * INT5_BLOCK_BYTES).at[0];
    return values_of(type, int5_codes(Codes(row.codes + low_bits_at(d)).at[0], fifth, d), word);
}

// Eight dimensions of a key from `d` on; zero beyond the head.
void load_key(CachedRow row, uint d, out vec4 a, out vec4 b) {
    a = vec4(0);
    b = vec4(0);
    if (d >= head_size) return;
    if (type != THIMBLE_PAGES_F16) {
        a = load_codes(row, d);
        if (d + 4 < head_size) b = load_codes(row, d + 4);
    } else if (head_size % 8 == 0) {
        uvec4 bits = Halves8(row.codes + 2 * d).at;
        a = vec4(unpackHalf2x16(bits.x), unpackHalf2x16(bits.y));
        b = vec4(unpackHalf2x16(bits.z), unpackHalf2x16(bits.w));
    } else {
        for (uint i = 0; i < 8 && d + i < head_size; ++i) {
            float value = float(Halves(row.codes).at[d + i]);
            if (i < 4) a[i] = value; else b[i - 4] = value;
        }
    }
}

vec4 load_value(CachedRow row, uint d) {
    if (type != THIMBLE_PAGES_F16) return load_codes(row, d);
    if (head_size % 4 == 0) {
        uvec2 bits = Halves4(row.codes + 2 * d).at;
        return vec4(unpackHalf2x16(bits.x), unpackHalf2x16(bits.y));
    }
    vec4 v = vec4(0);
    for (uint i = 0; i < 4 && d + i < head_size; ++i) v[i] = float(Halves(row.codes).at[d + i]);
    return v;
}

// Rotates what `queries` holds, as int5 is. All invocations call it.
void rotate_rows() {
    const uint quads = padded_size / 4, pairs = head_size / 8, width = rotation_width(head_size);
    const float scale = 1 / sqrt(float(width));
    barrier();
    for (uint i = gl_LocalInvocationIndex; i < rows * quads; i += group_size)
        queries[i] = rotated_within(queries[i] * scale, width);
    // Quads that are `apart` from each other.
    for (uint apart = 1; 4 * apart < width; apart *= 2) {
        barrier();
        for (uint i = gl_LocalInvocationIndex; i < rows * pairs; i += group_size) {
            uint pair = i % pairs;
            uint first = i / pairs * quads + pair / apart * 2 * apart + pair % apart;
            vec4 a = queries[first], b = queries[first + apart];
            queries[first] = a + b;
            queries[first + apart] = a - b;
        }
    }
    barrier();
}

float limited(float score) {
    if (score > SCORE_LIMIT) score = SCORE_LIMIT;
    if (score < -SCORE_LIMIT) score = -SCORE_LIMIT;
    return score;
}

// Scores of this lane's key with all rows: scores[key][row].
void score_keys(uint kv_head, uint first, uint end) {
    uint team = gl_LocalInvocationIndex / 4, quarter = gl_LocalInvocationIndex & 3;
    uint position = first + team;
    float sums[rows];
    [[unroll]] for (uint r = 0; r < rows; ++r) sums[r] = 0;
    if (position < end) {
        CachedRow row = cached_row(page_of[team], kv_head, position, 0);
        [[unroll]] for (uint j = 0; j < padded_size / 32; ++j) {
            uint d = (4 * j + quarter) * 8;
            vec4 a, b;
            load_key(row, d, a, b);
            [[unroll]] for (uint r = 0; r < rows; ++r) {
                uint q = (r * padded_size + d) / 4;
                sums[r] += dot(a, queries[q]) + dot(b, queries[q + 1]);
            }
        }
    }
    [[unroll]] for (uint r = 0; r < rows; ++r) {
        float sum = sums[r] + subgroupShuffleXor(sums[r], 1);
        sum += subgroupShuffleXor(sum, 2);
        if ((r & 3) == quarter) scores[team * rows + r] = limited(sum);
    }
}

// Scores become weights, relative to the largest score so far.
void weigh(uint count) {
    for (uint r = gl_SubgroupID; r < rows; r += subgroups) {
        float top = -SCORE_LIMIT;
        for (uint k = gl_SubgroupInvocationID; k < count; k += subgroup_size)
            top = max(top, scores[k * rows + r]);
        float old = largest[r];
        top = max(old, subgroupMax(top));
        float sum = 0;
        for (uint k = gl_SubgroupInvocationID; k < count; k += subgroup_size) {
            float weight = exp(scores[k * rows + r] - top);
            scores[k * rows + r] = weight;
            sum += weight;
        }
        sum = subgroupAdd(sum);
        if (subgroupElect()) {
            float factor = exp(old - top);
            shrink[r] = factor;
            total[r] = total[r] * factor + sum;
            largest[r] = top;
        }
    }
}

// Rows row_begin..<row_begin + rows of the group over positions begin..<end: into `outputs`, `largest` and
// `total`.
void attend(uint kv_head, uint row_begin, uint begin, uint end, Table table) {
    uint index = gl_LocalInvocationIndex;
    for (uint i = index; i < rows * padded_size / 4; i += group_size) {
        uint r = row_begin + 4 * i / padded_size, d = 4 * i % padded_size;
        uint at = (kv_head * ratio + r) * head_size + d;
        vec4 q = vec4(0);
        [[unroll]] for (uint j = 0; j < 4; ++j) {
            if (r >= ratio || d + j >= head_size) continue;
            float element = Floats(p.queries).at[at + j];
            q[j] = (is_rotated ? bounded(element, ROTATED_LIMIT) : element) * p.scale;
        }
        queries[i] = q;
    }
    if (is_rotated) rotate_rows();
    if (index < rows) {
        largest[index] = -SCORE_LIMIT;
        total[index] = 0;
    }
    uint column = index % columns, part = index / columns;
    bool works = part < key_parts;
    vec4 sums[rows];
    [[unroll]] for (uint r = 0; r < rows; ++r) sums[r] = vec4(0);
    for (uint first = begin; first < end; first += keys) {
        uint count = min(keys, end - first);
        if (index < count) page_of[index] = uint(table.at[(first + index) / page_tokens]);
        barrier();
        score_keys(kv_head, first, end);
        barrier();
        weigh(count);
        barrier();
        if (works) {
            [[unroll]] for (uint r = 0; r < rows; ++r) sums[r] *= shrink[r];
            for (uint k = part; k < count; k += key_parts) {
                vec4 v = load_value(cached_row(page_of[k], kv_head, first + k, 1), 4 * column);
                [[unroll]] for (uint r = 0; r < rows; ++r) sums[r] += scores[k * rows + r] * v;
            }
        }
        barrier();
    }
    for (uint turn = 0; turn < key_parts; ++turn) {
        if (works && part == turn) {
            [[unroll]] for (uint r = 0; r < rows; ++r) {
                [[unroll]] for (uint j = 0; j < 4; ++j) {
                    uint at = (r * columns + column) * 4 + j;
                    outputs[at] = turn == 0 ? sums[r][j] : outputs[at] + sums[r][j];
                }
            }
        }
        barrier();
    }
    if (!is_rotated) return;
    // Sums are rotated back in the place of the queries.
    for (uint i = index; i < rows * columns; i += group_size) {
        queries[i / columns * (padded_size / 4) + i % columns] =
            vec4(outputs[4 * i], outputs[4 * i + 1], outputs[4 * i + 2], outputs[4 * i + 3]);
    }
    rotate_rows();
    for (uint i = index; i < rows * columns * 4; i += group_size) {
        uint d = i % (4 * columns);
        outputs[i] = queries[i / (4 * columns) * (padded_size / 4) + d / 4][d % 4];
    }
    barrier();
}

void attend_range(uint length, uint share, uint ranges) {
    uint kv_head = gl_WorkGroupID.x;
    Table table = Table(Step(p.step).step.block_table);
    uint begin = gl_WorkGroupID.y * share, end = min(begin + share, length);
    for (uint row_begin = 0; row_begin < ratio; row_begin += rows) {
        attend(kv_head, row_begin, begin, end, table);
        for (uint i = gl_LocalInvocationIndex; i < rows * head_size; i += group_size) {
            uint r = i / head_size, d = i % head_size;
            if (row_begin + r >= ratio) continue;
            uint head = kv_head * ratio + row_begin + r;
            Floats(part_sums(gl_WorkGroupID.y, head)).at[d] = outputs[r * columns * 4 + d];
            if (d == 0) {
                Floats share = Floats(part_share(gl_WorkGroupID.y, head));
                share.at[0] = largest[r];
                share.at[1] = total[r];
            }
        }
        barrier();
    }
    join_ranges(kv_head, ranges);
}

void main() {
    // The position is the step's, which no dispatch before changes.
    uint splits = gl_NumWorkGroups.y;
    uint length = Step(p.step).step.position + 1;
    uint share = positions_of_range(length, splits, least_positions);
    uint ranges = (length + share - 1) / share;
    if (gl_WorkGroupID.y >= ranges) {
        if (waits) raise_link(p.link);
        return;
    }
    if (waits) wait_for_link(p.link);
    attend_range(length, share, ranges);
    if (waits) raise_link(p.link);
}
