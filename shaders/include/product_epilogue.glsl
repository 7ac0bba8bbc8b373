//! What becomes of a many-row product's sums, and how the parts of a split product are joined.
//! Needs the block `p` (thimble_matmul_coopmat), EPILOGUE, BLOCK_TOKENS and BLOCK_ROWS.
#ifndef THIMBLE_PRODUCT_EPILOGUE_GLSL
#define THIMBLE_PRODUCT_EPILOGUE_GLSL

const uint EPILOGUE_STORE = 0;
const uint EPILOGUE_ADD = 1;
const uint EPILOGUE_SWIGLU = 2;

layout(buffer_reference, scalar, buffer_reference_align = 16) buffer Vectors { vec4 at[]; };
layout(buffer_reference, scalar, buffer_reference_align = 16) coherent buffer Parts { vec4 at[]; };
layout(buffer_reference, scalar, buffer_reference_align = 4) coherent buffer Counters { uint at[]; };

float swiglu(float gate, float up) { return gate / (1 + exp(-gate)) * up; }

// Whether four rows of a token are one load or store.
bool is_whole() { return p.rows % 4 == 0 && p.y % 16 == 0; }

// A compiler cannot know that no store is to where a later load is from: what sums are scaled by and added to
// is loaded before the first of them is stored.
float token_scale(uint token) { return token < p.tokens ? Floats(p.x_scales).at[token] : 0; }

// What the sums of a token and the rows row ... row + 3 are added to, where they leave by one store: what is
// there, or a bias.
vec4 addends(uint token, uint row) {
    if (!is_whole() || token >= p.tokens || row >= p.rows) return vec4(0);
    if (EPILOGUE == EPILOGUE_ADD) return Vectors(p.y + (uint64_t(token) * p.rows + row) * 4).at[0];
    if (EPILOGUE != EPILOGUE_STORE || p.bias == 0) return vec4(0);
    Floats bias = Floats(p.bias + row * 4);
    return vec4(bias.at[0], bias.at[1], bias.at[2], bias.at[3]);
}

// The sums of a token and the rows row ... row + 3, row being a multiple of 4, go where they belong.
void finish(uint token, uint row, vec4 sums, float scale, vec4 addends) {
    if (token >= p.tokens || row >= p.rows) return;
    vec4 v = sums * scale;
    if (EPILOGUE == EPILOGUE_SWIGLU) {
        Floats y = Floats(p.y + uint64_t(token) * (p.rows / 2) * 4);
        y.at[row / 2] = swiglu(v.x, v.y);
        if (row + 3 < p.rows) y.at[row / 2 + 1] = swiglu(v.z, v.w);
        return;
    }
    uint64_t address = p.y + (uint64_t(token) * p.rows + row) * 4;
    if (is_whole()) {
        Vectors(address).at[0] = v + addends;
        return;
    }
    Floats y = Floats(address);
    [[unroll]] for (uint i = 0; i < 4; ++i) {
        if (row + i >= p.rows) return;
        if (EPILOGUE == EPILOGUE_ADD) v[i] += y.at[i];
        else if (p.bias != 0) v[i] += Floats(p.bias).at[row + i];
        y.at[i] = v[i];
    }
}

uint tile_index() { return gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x; }

// Where a split keeps this tile's sums, [token][row].
Parts parts_of(uint split) {
    uint64_t tiles = gl_NumWorkGroups.x * gl_NumWorkGroups.y;
    return Parts(p.parts + (split * tiles + tile_index()) * (BLOCK_TOKENS * BLOCK_ROWS * 4));
}

shared bool is_last;

// Once all of the workgroup have kept their sums: the last of a tile's workgroups to come joins them, in the
// order of the splits whoever is last.
void join_parts() {
    memoryBarrierBuffer();
    barrier();
    if (gl_LocalInvocationIndex == 0) {
        Counters counters = Counters(p.counters);
        is_last = atomicAdd(counters.at[tile_index()], 1u) == p.splits - 1;
        if (is_last) counters.at[tile_index()] = 0;
    }
    barrier();
    if (!is_last) return;
    memoryBarrierBuffer();
    for (uint i = gl_LocalInvocationIndex; i < BLOCK_TOKENS * BLOCK_ROWS / 4; i += gl_WorkGroupSize.x) {
        vec4 sums = vec4(0);
        for (uint split = 0; split < p.splits; ++split) sums += parts_of(split).at[i];
        uint token = i / (BLOCK_ROWS / 4), row = i % (BLOCK_ROWS / 4) * 4;
        token += gl_WorkGroupID.x * BLOCK_TOKENS;
        row += gl_WorkGroupID.y * BLOCK_ROWS;
        finish(token, row, sums, token_scale(token), addends(token, row));
    }
}

#endif
