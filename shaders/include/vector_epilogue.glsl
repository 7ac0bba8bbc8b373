//! project_vector's outputs: what else they need, and what becomes of the product's sums.

// `partner` is the output of the row that this one turns with, its neighbour.
void store_attention_input(Stage s, uint64_t y, uint row, float value, float partner) {
    uint head = row / head_size, index = row % head_size;
    if (head < query_heads + kv_heads && index < 2 * pairs) {
        precise float along = value * turns[index / 2];
        precise float across = partner * turns[pairs + index / 2];
        precise float turned = (index & 1) == 0 ? along - across : along + across;
        value = turned;
    }
    if (head < query_heads) {
        Activation(y).at[row] = value;
        return;
    }
    // Key heads, then value heads, as a page holds them.
    uint64_t page_elements = 2 * kv_heads * page_tokens * head_size;
    uint64_t element = page * page_elements
        + ((head - query_heads) * page_tokens + position % page_tokens) * head_size + index;
    Pages(P(s).pages + 2 * element).at[0] = uint16_t(half_from_float(value));
}

// Brings to shared memory what the epilogue needs besides sums, for the tiles that are stored first. All
// loads are on their way before the first is waited for.
void look_ahead(Stage s, uint tile, uint stride) {
    bool takes_bias = s.biased != 0;
    bool turns_pairs = s.epilogue == THIMBLE_EPILOGUE_ATTENTION_INPUTS;
    uint index = gl_LocalInvocationIndex;
    uint row = (tile + index / 16 * stride) * 16 + index % 16;
    float bias = 0, turn = 0;
    uvec2 place = uvec2(0);
    if (takes_bias) bias = Vector(P(s).bias).at[min(row, s.rows - 1)];
    if (turns_pairs && pairs > 0)
        turn = Vector(P(s).step + THIMBLE_STEP_ANGLES).at[min(index, 2 * pairs - 1)];
    if (turns_pairs) place = uvec2(Step(P(s).step).step.position, Step(P(s).step).step.page);
    if (index < 16 * pending) biases[index] = bias;
    if (turns_pairs && index < 2 * pairs) turns[index] = turn;
    if (index == 0) {
        position = place.x;
        page = place.y;
    }
    // What a workgroup has too few invocations for.
    for (uint i = index + group_size; i < 16 * pending; i += group_size) {
        uint later = (tile + i / 16 * stride) * 16 + i % 16;
        biases[i] = takes_bias ? Vector(P(s).bias).at[min(later, s.rows - 1)] : 0;
    }
    for (uint i = index + group_size; turns_pairs && i < 2 * pairs; i += group_size)
        turns[i] = Vector(P(s).step + THIMBLE_STEP_ANGLES).at[i];
}

// What the subgroups have put of a row in a tile's slot, added up.
float sum_of(uint slot, uint row) {
    float sum = 0;
    for (uint i = 0; i < subgroups; ++i) sum += partial[(slot * subgroups + i) * 16 + row];
    return sum;
}

// The bias of a row of the tile in `slot`, which look_ahead has brought for the first tiles.
float bias_of(Stage s, uint slot, uint row, bool is_first) {
    return is_first ? biases[16 * slot + row % 16] : Vector(P(s).bias).at[row];
}

// Turns the sums of `count` tiles, the first of which is `tile`, into outputs. Who needs its neighbour's sum
// adds it up too: lanes behind a branch that exchange are first looked for.
void finish(Stage s, Operands o, uint tile, uint stride, uint count, bool is_first) {
    // The rounds are known, so that code is made for no more.
    [[unroll]] for (uint round = 0; round * group_size < 16 * pending; ++round) {
        uint item = round * group_size + gl_LocalInvocationIndex;
        uint slot = item / 16;
        uint row = (tile + slot * stride) * 16 + item % 16;
        // Of tiles that are under way together the last may be none.
        bool real = s.rows % 16 == 0 && tiles_at_once(s) == 1 || row < s.rows;
        if (item >= 16 * count || !real) continue;
        float value = sum_of(slot, item % 16);
        if (s.epilogue == THIMBLE_EPILOGUE_SWIGLU) {
            if ((row & 1) == 0)
                Activation(o.y).at[row / 2] = value / (1 + exp(-value)) * sum_of(slot, item % 16 + 1);
            continue;
        }
        if (s.biased != 0) value += bias_of(s, slot, row, is_first);
        if (s.epilogue == THIMBLE_EPILOGUE_ATTENTION_INPUTS) {
            float partner = sum_of(slot, item % 16 ^ 1);
            if (s.biased != 0) partner += bias_of(s, slot, row ^ 1, is_first);
            store_attention_input(s, o.y, row, value, partner);
        } else {
            if (s.epilogue == THIMBLE_EPILOGUE_ADD) value += Activation(o.y).at[row];
            Activation(o.y).at[row] = value;
        }
    }
}
