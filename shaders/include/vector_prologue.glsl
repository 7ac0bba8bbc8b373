//! project_vector's inputs: loaded, normalised, and put into shared memory as the product takes them.

// Inputs that an invocation holds in registers during a prologue: eight at a time.
const uint rounds = capacity == 0 ? 1 : (capacity + 8 * group_size - 1) / (8 * group_size);

// What an invocation holds of an input: eight numbers a round.
struct Vectors { vec4 at[2 * rounds]; };

// The sum of x over the workgroup. Each call of a dispatch has a slot of its own: no barrier guards it.
float workgroup_sum(float x, uint slot) {
    x = subgroupAdd(x);
    if (subgroupElect()) reduced[slot * subgroups + gl_SubgroupID] = x;
    barrier();
    float sum = 0;
    for (uint i = 0; i < subgroups; ++i) sum += reduced[slot * subgroups + i];
    return sum;
}

// 1 / sqrt(mean of the squares of all invocations' x + epsilon). `slot` is even.
float inverse_root_mean_square(Vectors x, uint slot) {
    float sum = 0;
    [[unroll]] for (uint i = 0; i < 2 * rounds; ++i) sum += dot(x.at[i], x.at[i]);
    sum = workgroup_sum(sum, slot);
    float count = float(p.columns);
    float unit = 1, mean = sum / count + p.epsilon;
    if (!(sum < 1e37)) {
        // Squares of large numbers count in units of 2^160, and epsilon no more.
        unit = TWO_M80;
        sum = 0;
        [[unroll]] for (uint i = 0; i < 2 * rounds; ++i) {
            precise vec4 scaled = x.at[i] * unit;
            sum += dot(scaled, scaled);
        }
        mean = workgroup_sum(sum, slot + 1) / count;
    }
    float inverse = inversesqrt(mean);
    float refined = inverse * fma(-0.5 * mean * inverse, inverse, 1.5);
    return (refined > 0 ? refined : inverse) * unit;
}

// Four inputs from column k on; zero beyond the columns. Not to load is a branch, behind which the loads
// that follow would wait for their turn: what is not wanted is loaded too.
vec4 load_vector(uint64_t address, uint k) {
    if ((p.columns & 3) == 0) {
        vec4 v = Vector4(address).at[min(k, p.columns - 4) / 4];
        return k < p.columns ? v : vec4(0);
    }
    vec4 v = vec4(0);
    for (uint i = 0; i < 4; ++i) if (k + i < p.columns) v[i] = Vector(address).at[k + i];
    return v;
}

vec4 load_activation(uint64_t address, uint k) {
    if ((p.columns & 3) == 0) {
        vec4 v = Activation4(address).at[min(k, p.columns - 4) / 4];
        return k < p.columns ? v : vec4(0);
    }
    vec4 v = vec4(0);
    for (uint i = 0; i < 4; ++i) if (k + i < p.columns) v[i] = Activation(address).at[k + i];
    return v;
}

void store_residual(uint k, vec4 v) {
    if ((p.columns & 3) == 0) {
        if (k < p.columns) Activation4(p.residual_out).at[k / 4] = v;
    } else {
        for (uint i = 0; i < 4; ++i) if (k + i < p.columns) Activation(p.residual_out).at[k + i] = v[i];
    }
}

vec4 scaled(vec4 x, float inverse, vec4 weight) {
    precise vec4 y = x * inverse;
    y *= weight;
    return y;
}

vec4 joined(vec4 x, vec4 delta) {
    precise vec4 y = x + delta;
    return y;
}

#if TYPE > 8
// Four inputs from column k on: those of a narrow enough input lie in shared memory.
vec4 input_at(uint k) { return capacity != 0 ? inputs[k / 4] : load_activation(p.x, k); }
#endif

#if TYPE <= 8
// Four inputs' codes in a word: numbers of magnitude up to 127 over `inverse`, to the nearest.
uint packed(vec4 x, float inverse) {
    // Adding 1.5 * 2^23 leaves the nearest integer in the lowest bits.
    precise vec4 magnified = x * inverse;
    precise vec4 shifted = magnified + 12582912.0;
    uvec4 bits = floatBitsToUint(shifted);
    uint low = bitfieldInsert(bits.x, bits.y, 8, 8);
    uint high = bitfieldInsert(bits.z, bits.w, 8, 8);
    return bitfieldInsert(low, high, 16, 16);
}

// Eight inputs from column k on, by an invocation; four neighbours hold a block. All invocations call it.
void put_inputs(uint k, bool holds, vec4 a, vec4 b) {
    // Magnitudes in order of their bits, what is not a number above all others.
    uvec4 magnitudes = max(floatBitsToUint(abs(a)), floatBitsToUint(abs(b)));
    uint largest = max(max(magnitudes.x, magnitudes.y), max(magnitudes.z, magnitudes.w));
    largest = max(largest, subgroupShuffleXor(largest, 1));
    largest = max(largest, subgroupShuffleXor(largest, 2));
    bool finite = largest < 0x7f800000u;
    bool zero = !finite || largest < 0x03800000u; // 2^-120
    float limit = uintBitsToFloat(largest);
    uvec2 codes = uvec2(0);
    if (!zero) {
        float inverse = quotient(127, limit);
        codes = uvec2(packed(a, inverse), packed(b, inverse));
    }
    float scale = !finite ? uintBitsToFloat(0x7fc00000u) : zero ? 0 : quotient(limit, 127);
    int sum = dotPacked4x8EXT(int(codes.x), 0x01010101) + dotPacked4x8EXT(int(codes.y), 0x01010101);
    sum += subgroupShuffleXor(sum, 1);
    sum += subgroupShuffleXor(sum, 2);
    if (!holds) return;
    uint index = k / block;
    uint part = k / 8 & 3;
#if TYPE == 4
    if (part < 2) {
        codes_low[index][2 * part] = codes.x;
        codes_low[index][2 * part + 1] = codes.y;
    } else {
        codes_high[index][2 * part - 4] = codes.x;
        codes_high[index][2 * part - 3] = codes.y;
    }
    if (part == 0) block_scales[index] = vec2(scale, intBitsToFloat(-8 * sum));
#else
    codes_low[k / 16][2 * (part & 1)] = codes.x;
    codes_low[k / 16][2 * (part & 1) + 1] = codes.y;
    if (part == 0) block_scales[index] = scale;
#endif
}
#else
void put_inputs(uint k, bool holds, vec4 a, vec4 b) {
    if (!holds) return;
    inputs[k / 4] = a;
    inputs[k / 4 + 1] = b;
}
#endif

// Weights of a norm, brought to shared memory long before they are needed, or asked for now.
void hold_norms() {
    if (holds_norms == 0 || norms == 0) return;
    const uint turns = (capacity / 4 + group_size - 1) / group_size;
    vec4 held[2 * turns + 1];
    [[unroll]] for (uint i = 0; i < turns; ++i) {
        uint k = 4 * (gl_LocalInvocationIndex + i * group_size);
        held[2 * i] = load_vector(p.weight, k);
        if (norms == 2) held[2 * i + 1] = load_vector(p.delta_weight, k);
    }
    [[unroll]] for (uint i = 0; i < turns; ++i) {
        uint at = gl_LocalInvocationIndex + i * group_size;
        if (at >= capacity / 4) continue;
        norm_weights[at] = held[2 * i];
        if (norms == 2) norm_weights[capacity / 4 + at] = held[2 * i + 1];
    }
}

vec4 norm_weight(uint64_t address, uint which, uint k) {
    if (holds_norms == 0) return load_vector(address, k);
    return k < capacity ? norm_weights[(which * capacity + k) / 4] : vec4(0);
}

// Attention's outputs from input k on, four of them, of `parts` parts. All invocations of a subgroup call it.
vec4 joined_parts(uint k, uint parts, uint distance) {
    k = min(k, p.columns - 4);
    uint head = k / head_size, d = k % head_size;
    vec2 shares[THIMBLE_ATTENTION_JOINED];
    vec4 sums[THIMBLE_ATTENTION_JOINED];
    // A part too many is the last one again.
    [[unroll]] for (uint i = 0; i < THIMBLE_ATTENTION_JOINED; ++i) {
        uint part = min(i, parts - 1) * distance;
        shares[i] = Share(share_of_part(p.x, splits, part, head, query_heads, head_size)).at[0];
        sums[i] = Activation4(sums_of_part(p.x, part, head, query_heads, head_size) + 4 * d).at[0];
    }
    float top = shares[0].x, total = 0;
    [[unroll]] for (uint i = 1; i < THIMBLE_ATTENTION_JOINED; ++i) top = max(top, shares[i].x);
    vec4 sum = vec4(0);
    [[unroll]] for (uint i = 0; i < THIMBLE_ATTENTION_JOINED; ++i) {
        float weight = i < parts ? exp(shares[i].x - top) : 0;
        total += weight * shares[i].y;
        sum += weight * sums[i];
    }
    return total == 0 ? vec4(0) : sum / total;
}

// `padded`: columns of the matrix with padding.
void prepare_inputs(uint padded) {
    Vectors x;
    if (prologue == THIMBLE_PROLOGUE_PARTS) {
        uint length = Step(p.step).step.position + 1;
        uint share = positions_of_range(length, splits, least_positions);
        uint ranges = (length + share - 1) / share, distance = ranges_of_part(ranges);
        uint parts = (ranges + distance - 1) / distance;
        [[unroll]] for (uint i = 0; i < 2 * rounds; ++i) {
            uint k = 8 * (gl_LocalInvocationIndex + i / 2 * group_size) + i % 2 * 4;
            vec4 joined = joined_parts(k, parts, distance);
            x.at[i] = k < p.columns ? joined : vec4(0);
        }
    } else {
        [[unroll]] for (uint i = 0; i < 2 * rounds; ++i) {
            uint k = 8 * (gl_LocalInvocationIndex + i / 2 * group_size) + i % 2 * 4;
            x.at[i] = load_activation(p.x, k);
        }
    }
    if (prologue == THIMBLE_PROLOGUE_RESIDUAL) {
        Vectors delta;
        [[unroll]] for (uint i = 0; i < 2 * rounds; ++i) {
            uint k = 8 * (gl_LocalInvocationIndex + i / 2 * group_size) + i % 2 * 4;
            delta.at[i] = load_activation(p.delta, k);
        }
        float inverse = inverse_root_mean_square(delta, 0);
        [[unroll]] for (uint i = 0; i < 2 * rounds; ++i) {
            uint k = 8 * (gl_LocalInvocationIndex + i / 2 * group_size) + i % 2 * 4;
            vec4 weight = norm_weight(p.delta_weight, 1, k);
            x.at[i] = joined(x.at[i], scaled(delta.at[i], inverse, weight));
            if (gl_WorkGroupID.x == 0) store_residual(k, x.at[i]);
        }
    }
    if (norms != 0) {
        float inverse = inverse_root_mean_square(x, 2);
        [[unroll]] for (uint i = 0; i < 2 * rounds; ++i) {
            uint k = 8 * (gl_LocalInvocationIndex + i / 2 * group_size) + i % 2 * 4;
            x.at[i] = scaled(x.at[i], inverse, norm_weight(p.weight, 0, k));
        }
    }
    [[unroll]] for (uint i = 0; i < rounds; ++i) {
        uint k = 8 * (gl_LocalInvocationIndex + i * group_size);
        put_inputs(k, k < padded, x.at[2 * i], x.at[2 * i + 1]);
    }
}
