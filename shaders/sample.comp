//! The next token from the logits: the likeliest one, or one drawn. The step moves on to it.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "include/types.glsl"
#include "include/step.glsl"
#include "include/weight.glsl"
#include "parameters/sample.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 2) const uint STAGE = THIMBLE_SAMPLE_GREEDY;
layout(push_constant, scalar) uniform Parameters { thimble_sample p; };

layout(buffer_reference, scalar, buffer_reference_align = 8) buffer Options { thimble_sampling options; };
// What workgroups of one dispatch tell each other.
layout(buffer_reference, scalar, buffer_reference_align = 4) coherent buffer SharedWords { uint at[]; };

#include "include/sample_state.glsl"
#include "include/sample_cut.glsl"

float logit(uint token, thimble_sampling options) {
    float value = Floats(p.logits).at[token];
    if (is_nan(value)) value = -uintBitsToFloat(INFINITE);
    if (options.penalised != 0) value = penalised(value, Words(p.counts).at[token], options);
    return value;
}

// The bits of a token's weight: the first stage that asks computes them all, and keeps them for the next.
uint weight(uint token, bool is_weighed, float highest, thimble_sampling options) {
    SharedWords weights = SharedWords(p.scratch + 4 * WEIGHTS);
    if (is_weighed) return weights.at[token];
    precise float below = highest - logit(token, options);
    uint bits = below == 0 ? floatBitsToUint(1.0) : weight_bits(quotient(below, options.temperature));
    weights.at[token] = bits;
    return bits;
}

// Called by one invocation. `token` is negative where none could be drawn.
void move_on(int token) {
    Step state = Step(p.step);
    // Without a link something else is read: no load by address 0 may stand behind a branch.
    uint arrived = Words(p.link != 0 ? p.link : p.step).at[0];
    if (p.link != 0 && arrived >= THIMBLE_LINK_FAILED) token = THIMBLE_TOKEN_OF_FAILURE;
    uint drawn = state.step.drawn;
    Integers(state.step.ring).at[drawn % state.step.ring_size] = token;
    state.step.drawn = drawn + 1;
    state.step.token = token;
    state.step.position += 1;
    state.step.rotary += 1;
    if (token >= 0 && Options(p.options).options.penalised != 0) {
        Words counts = Words(p.counts);
        counts.at[token] = (counts.at[token] | 1) + 2;
    }
}

// GREEDY and LARGEST.
void choose_likeliest(thimble_sampling options) {
    Best best = NO_BEST;
    uint stride = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    for (uint i = gl_GlobalInvocationID.x; i < p.vocabulary; i += stride) {
        best = likelier(best, Best(order_of(logit(i, options)), i));
    }
    best = workgroup_best(best);
    SharedWords scratch = SharedWords(p.scratch);
    if (gl_LocalInvocationIndex == 0) {
        scratch.at[OF_GROUPS + 2 * gl_WorkGroupID.x] = best.order;
        scratch.at[OF_GROUPS + 2 * gl_WorkGroupID.x + 1] = best.token;
    }
    if (!arrive_last()) return;
    best = NO_BEST;
    for (uint i = gl_LocalInvocationIndex; i < gl_NumWorkGroups.x; i += gl_WorkGroupSize.x) {
        best = likelier(best, Best(scratch.at[OF_GROUPS + 2 * i], scratch.at[OF_GROUPS + 2 * i + 1]));
    }
    best = workgroup_best(best);
    if (gl_LocalInvocationIndex != 0) return;
    if (STAGE == THIMBLE_SAMPLE_GREEDY) {
        move_on(token_of(best));
        return;
    }
    scratch.at[BEST_ORDER] = best.order;
    scratch.at[BEST_TOKEN] = best.token;
    scratch.at[IS_WEIGHED] = 0;
    scratch.at[IS_CUTTING] = 0;
    store(LAST, FIRST_LAST);
}

// TOP_K and TOP_P: how much lies in each of 1024 bins of a digit of the weights, and in which of them the
// last candidate that is kept is. Three digits are a weight.
void count_digit(uint digit, bool is_top_k, bool is_weighed, float highest, thimble_sampling options) {
    SharedWords scratch = SharedWords(p.scratch);
    uint64_t last = load(LAST);
    uint prefix = digit == 0 ? 0 : scratch.at[PREFIX];
    clear_bins();
    uint stride = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    for (uint i = gl_GlobalInvocationID.x; i < p.vocabulary; i += stride) {
        uint bits = weight(i, is_weighed, highest, options);
        if (key_of(bits, i) < last || bits >> (30 - 10 * digit) != prefix) continue;
        add_to_bin(bits >> (20 - 10 * digit) & (BINS - 1), is_top_k ? 1 : amount_of(bits));
    }
    merge_bins();
    if (!arrive_last()) return;
    scratch.at[IS_WEIGHED] = 1;
    uint64_t sum = take_bins();
    uint64_t target = digit > 0 ? load(TARGET) : is_top_k ? options.top_k : share_of(sum, options.top_p);
    // At least the likeliest is kept. Of fewer than top-k, all are.
    find_bin(max(target, 1ul));
    uint bits = prefix << 10 | found.bin;
    if (!found.is_any || digit < 2) {
        if (gl_LocalInvocationIndex == 0) {
            scratch.at[IS_CUTTING] = found.is_any ? 1 : 0;
            scratch.at[PREFIX] = bits;
            store(TARGET, found.target);
        }
        return;
    }
    // All in the bin weigh the same; of these the first are kept.
    uint64_t each = is_top_k ? 1 : amount_of(bits);
    uint wanted = uint((found.target + each - 1) / each);
    uint token = LAST_TOKEN;
    if (wanted < uint(found.amount / each)) token = token_of_rank(wanted, bits, last);
    if (gl_LocalInvocationIndex == 0) {
        store(LAST, max(last, key_of(bits, token)));
        scratch.at[IS_CUTTING] = 0;
    }
}

// Tokens that a workgroup adds up, or a thread of the one that draws: runs of ids, for these have an order.
uint run_length(uint count, uint parts) { return (count + parts - 1) / parts; }

uint64_t kept_amount(uint bits, uint token, uint64_t last) {
    return key_of(bits, token) < last ? 0 : amount_of(bits);
}

uint64_t last_with_min_p(thimble_sampling options) {
    return max(load(LAST), key_of(floatBitsToUint(options.min_p), LAST_TOKEN));
}

void sum_kept(bool is_weighed, float highest, thimble_sampling options) {
    uint64_t last = last_with_min_p(options), sum = 0;
    uint length_ = run_length(p.vocabulary, gl_NumWorkGroups.x);
    uint end = min((gl_WorkGroupID.x + 1) * length_, p.vocabulary);
    for (uint i = gl_WorkGroupID.x * length_ + gl_LocalInvocationIndex; i < end; i += gl_WorkGroupSize.x) {
        sum += kept_amount(weight(i, is_weighed, highest, options), i, last);
    }
    amounts_before(sum);
    if (gl_LocalInvocationIndex == 0) store(OF_GROUPS + 2 * gl_WorkGroupID.x, total_amount());
}

// The token at which the amounts pass a random part of their sum. Called by one workgroup.
void draw(thimble_sampling options) {
    SharedWords weights = SharedWords(p.scratch + 4 * WEIGHTS);
    uint64_t last = last_with_min_p(options), sum = 0;
    uint groups_each = run_length(gl_NumWorkGroups.x, gl_WorkGroupSize.x);
    uint first = gl_LocalInvocationIndex * groups_each;
    uint end = min(first + groups_each, gl_NumWorkGroups.x);
    for (uint i = first; i < end; i++) sum += load(OF_GROUPS + 2 * i);
    uint64_t before = amounts_before(sum);
    uint64_t random = next_random(options.random);
    // 24 bits of it are a fraction.
    uint64_t total = total_amount(), fraction = random >> 40;
    uint64_t target = (total >> 24) * fraction + ((total & 0xfffffful) * fraction >> 24) + 1;
    if (before < target && target <= before + sum) {
        uint group = first;
        for (uint64_t next = load(OF_GROUPS + 2 * group); before + next < target;) {
            before += next;
            next = load(OF_GROUPS + 2 * ++group);
        }
        found = Found(true, group, target - before, 0);
    }
    barrier();
    uint length_ = run_length(p.vocabulary, gl_NumWorkGroups.x), start = found.bin * length_;
    uint tokens = min(length_, p.vocabulary - start);
    uint tokens_each = run_length(tokens, gl_WorkGroupSize.x);
    first = start + gl_LocalInvocationIndex * tokens_each;
    end = min(first + tokens_each, start + tokens);
    target = found.target;
    sum = 0;
    for (uint i = first; i < end; i++) sum += kept_amount(weights.at[i], i, last);
    before = amounts_before(sum);
    if (!(before < target && target <= before + sum)) return;
    uint token = first;
    for (;; token++) {
        before += kept_amount(weights.at[token], token, last);
        if (before >= target) break;
    }
    Options(p.options).options.random += RANDOM_STEP;
    move_on(int(token));
}

void main() {
    thimble_sampling options = Options(p.options).options;
    if (STAGE <= THIMBLE_SAMPLE_LARGEST) {
        choose_likeliest(options);
        return;
    }
    SharedWords scratch = SharedWords(p.scratch);
    Best best = Best(scratch.at[BEST_ORDER], scratch.at[BEST_TOKEN]);
    if (best.order == ORDER_OF_NOTHING || best.order == ORDER_OF_INFINITE) {
        // An infinite logit beats every other: nothing is left to chance, nor is a random number used.
        if (STAGE == THIMBLE_SAMPLE_DRAW && gl_GlobalInvocationID.x == 0) move_on(token_of(best));
        return;
    }
    float highest = of_order(best.order);
    bool is_weighed = scratch.at[IS_WEIGHED] != 0;
    if (STAGE < THIMBLE_SAMPLE_SUM) {
        bool is_top_k = STAGE < THIMBLE_SAMPLE_TOP_P;
        uint digit = STAGE - (is_top_k ? THIMBLE_SAMPLE_TOP_K : THIMBLE_SAMPLE_TOP_P);
        bool is_first = is_top_k ? options.top_k > 0 && options.top_k < p.vocabulary : options.top_p < 1;
        if (digit == 0 ? !is_first : scratch.at[IS_CUTTING] == 0) return;
        count_digit(digit, is_top_k, is_weighed, highest, options);
    } else if (STAGE == THIMBLE_SAMPLE_SUM) {
        sum_kept(is_weighed, highest, options);
    } else if (gl_WorkGroupID.x == 0) {
        draw(options);
    }
}
