//! project_vector's inputs: loaded, normalised, and put into shared memory as the product takes them.

// Inputs that an invocation holds in registers during a prologue: eight at a time.
const uint most_rounds = (capacity + 8 * group_size - 1) / (8 * group_size);
uint rounds_of(Stage s) { return (padded_columns(s) + 8 * group_size - 1) / (8 * group_size); }

// What an invocation holds of an input: eight numbers a round.
struct Vectors { vec4 at[2 * most_rounds]; };

// Where four of an invocation's inputs lie, of two a round.
uint column_of(uint four) {
    return 8 * (gl_LocalInvocationIndex + four / 2 * group_size) + four % 2 * 4;
}

// Of all rounds of `s` the fours, `i`.
#define FOURS(s) [[unroll]] for (uint i = 0; i < 2 * rounds_of(s); ++i)

// The sum of x over the workgroup. Each call of a stage has a slot of its own: no barrier guards it. Lanes
// exchange by hand, for a driver asks first whether all are there.
float workgroup_sum(float x, uint slot) {
    const uint vectors = (subgroups + 3) / 4;
    [[unroll]] for (uint other = subgroup_size / 2; other > 0; other /= 2) x += subgroupShuffleXor(x, other);
    if (gl_SubgroupInvocationID == 0) reduced[slot * vectors + gl_SubgroupID / 4][gl_SubgroupID % 4] = x;
    barrier();
    vec4 sums = reduced[slot * vectors];
    if (subgroups < 4) {
        float sum = sums.x;
        if (subgroups > 1) sum += sums.y;
        if (subgroups > 2) sum += sums.z;
        return sum;
    }
    [[unroll]] for (uint i = 1; i < subgroups / 4; ++i) sums += reduced[slot * vectors + i];
    float sum = (sums.x + sums.y) + (sums.z + sums.w);
    [[unroll]] for (uint i = subgroups / 4 * 4; i < subgroups; ++i)
        sum += reduced[slot * vectors + i / 4][i % 4];
    return sum;
}

// 1 / sqrt(mean of the squares of all invocations' x + epsilon). `slot` is even.
float inverse_root_mean_square(Stage s, Vectors x, float epsilon, uint slot) {
    float sum = 0;
    FOURS(s) sum += dot(x.at[i], x.at[i]);
    sum = workgroup_sum(sum, slot);
    float count = float(s.columns);
    float unit = 1, mean = sum / count + epsilon;
    if (subgroupAny(!(sum < 1e37))) {
        // Squares of large numbers count in units of 2^160, and epsilon no more.
        unit = uintBitsToFloat(0x17800000u);
        sum = 0;
        FOURS(s) {
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
#define LOAD_FOUR(name, Ones, Fours) \
    vec4 name(Stage s, uint64_t address, uint k) { \
        if (s.columns % 4 == 0) { \
            if (s.columns % (8 * group_size) == 0) return Fours(address).at[k / 4]; \
            vec4 v = Fours(address).at[min(k, s.columns - 4) / 4]; \
            return k < s.columns ? v : vec4(0); \
        } \
        vec4 v = vec4(0); \
        for (uint i = 0; i < 4; ++i) if (k + i < s.columns) v[i] = Ones(address).at[k + i]; \
        return v; \
    }
LOAD_FOUR(load_vector, Vector, Vector4)
LOAD_FOUR(load_activation, Activation, Activation4)

void store_activation(Stage s, uint64_t address, uint k, vec4 v) {
    if (s.columns % 4 == 0) {
        if (k < s.columns) Activation4(address).at[k / 4] = v;
    } else {
        for (uint i = 0; i < 4; ++i) if (k + i < s.columns) Activation(address).at[k + i] = v[i];
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

// 127 / x to the nearest float32, for normal x from 2^-120 on: a device's division need not be exact, but
// what a product leaves over is.
float code_of_one(float x) {
    uint bits = floatBitsToUint(x);
    float significand = uintBitsToFloat(bits & 0x7fffffu | 0x40000000u);
    float inverse = 1 / significand;
    precise float q = 127 * inverse;
    precise float rest = fma(-q, significand, 127);
    precise float nearest = fma(rest, inverse, q);
    return nearest * uintBitsToFloat((255 - (bits >> 23)) << 23);
}

// x / 127 to the nearest float32.
float step_of_code(float x) {
    const float inverse = 1.0 / 127;
    precise float q = x * inverse;
    precise float rest = fma(-q, 127, x);
    precise float nearest = fma(rest, inverse, q);
    return nearest;
}

#if TYPE > 8
// Four inputs from column k on.
vec4 input_at(uint k) { return inputs[k / 4]; }
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
        float inverse = code_of_one(limit);
        codes = uvec2(packed(a, inverse), packed(b, inverse));
    }
    float scale = !finite ? uintBitsToFloat(0x7fc00000u) : zero ? 0 : step_of_code(limit);
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

// Weights of norms: the norm's, then that of what joins the residual.
struct Norms { Vectors weight, delta_weight; };

bool has_norm(Stage s) {
    return s.prologue == THIMBLE_PROLOGUE_RMS_NORM || s.prologue == THIMBLE_PROLOGUE_RESIDUAL;
}

// Those of a short row are on their way before the wait; of a long one they would take too many registers.
bool asks_early(Stage s) { return has_norm(s) && rounds_of(s) <= 2; }

void ask_for_norms(Stage s, inout Norms norms) {
    if (!asks_early(s)) return;
    FOURS(s) {
        norms.weight.at[i] = load_vector(s, P(s).weight, column_of(i));
        if (s.prologue == THIMBLE_PROLOGUE_RESIDUAL)
            norms.delta_weight.at[i] = load_vector(s, P(s).delta_weight, column_of(i));
    }
}

// What a stage needs behind its wait and knows before: behind a barrier it would be asked for anew.
struct Operands {
    uint64_t x, delta, residual_out, y;
    float epsilon;
    // Of attention's outputs: how many parts, and ranges from one to the next.
    uint parts, distance;
};

Operands operands_of(Stage s) {
    Operands o;
    o.x = P(s).x;
    o.delta = P(s).delta;
    o.residual_out = P(s).residual_out;
    o.y = P(s).y;
    o.epsilon = P(s).epsilon;
    if (s.prologue == THIMBLE_PROLOGUE_PARTS) {
        // The position is the step's, which no stage before changes.
        uint length = Step(P(s).step).step.position + 1;
        uint share = positions_of_range(length, splits, least_positions);
        uint ranges = (length + share - 1) / share;
        o.distance = ranges_of_part(ranges);
        o.parts = (ranges + o.distance - 1) / o.distance;
    }
    return o;
}

// Attention's outputs from input k on, eight of one head.
void join_parts(Stage s, Operands o, uint k, out vec4 a, out vec4 b) {
    const float lowest = -3e38;
    k = min(k, s.columns - 8);
    uint head = k / head_size, d = k % head_size;
    a = vec4(0);
    b = vec4(0);
    float top = lowest, total = 0;
    // Four parts are on their way at once; who joins reads no more than there are.
    [[unroll]] for (uint from = 0; from < THIMBLE_ATTENTION_JOINED; from += 4) {
        if (from >= o.parts) break;
        vec2 shares[4];
        vec4 sums[8];
        [[unroll]] for (uint i = 0; i < 4; ++i) {
            shares[i] = vec2(lowest, 0);
            sums[2 * i] = vec4(0);
            sums[2 * i + 1] = vec4(0);
            if (from + i >= o.parts) continue;
            uint part = (from + i) * o.distance;
            shares[i] = Share(share_of_part(o.x, splits, part, head, query_heads, head_size)).at[0];
            uint64_t at = sums_of_part(o.x, part, head, query_heads, head_size) + 4 * d;
            sums[2 * i] = Activation4(at).at[0];
            sums[2 * i + 1] = Activation4(at).at[1];
        }
        float before = top;
        [[unroll]] for (uint i = 0; i < 4; ++i) top = max(top, shares[i].x);
        float factor = exp(before - top);
        total *= factor;
        a *= factor;
        b *= factor;
        [[unroll]] for (uint i = 0; i < 4; ++i) {
            float weight = exp(shares[i].x - top);
            total += weight * shares[i].y;
            a += weight * sums[2 * i];
            b += weight * sums[2 * i + 1];
        }
    }
    if (total == 0) return;
    a /= total;
    b /= total;
}

void prepare_inputs(Stage s, Operands o, Norms norms, uint share) {
    Vectors x;
    if (s.prologue == THIMBLE_PROLOGUE_PARTS) {
        [[unroll]] for (uint i = 0; i < rounds_of(s); ++i) {
            uint k = column_of(2 * i);
            join_parts(s, o, k, x.at[2 * i], x.at[2 * i + 1]);
            if (k < s.columns) continue;
            x.at[2 * i] = vec4(0);
            x.at[2 * i + 1] = vec4(0);
        }
    } else {
        FOURS(s) x.at[i] = load_activation(s, o.x, column_of(i));
    }
    if (s.prologue == THIMBLE_PROLOGUE_RESIDUAL) {
        Vectors delta;
        FOURS(s) delta.at[i] = load_activation(s, o.delta, column_of(i));
        float inverse = inverse_root_mean_square(s, delta, o.epsilon, 0);
        FOURS(s) {
            uint k = column_of(i);
            vec4 weight = asks_early(s) ? norms.delta_weight.at[i] : load_vector(s, P(s).delta_weight, k);
            x.at[i] = joined(x.at[i], scaled(delta.at[i], inverse, weight));
            if (share == 0) store_activation(s, o.residual_out, k, x.at[i]);
        }
    }
    if (has_norm(s)) {
        float inverse = inverse_root_mean_square(s, x, o.epsilon, 2);
        FOURS(s) {
            vec4 weight = asks_early(s) ? norms.weight.at[i] : load_vector(s, P(s).weight, column_of(i));
            x.at[i] = scaled(x.at[i], inverse, weight);
        }
    }
    [[unroll]] for (uint i = 0; i < rounds_of(s); ++i) {
        uint k = column_of(2 * i);
        put_inputs(k, k < padded_columns(s), x.at[2 * i], x.at[2 * i + 1]);
    }
}
