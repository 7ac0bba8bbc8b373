//! What the stages of `sample` hand on in its scratch, and how a dispatch's workgroups come together.
// Included by sample.comp behind its parameters.

// Where things lie in the scratch, in words.
const uint ARRIVED = 0; // zero between dispatches
const uint BEST_ORDER = 1;
const uint BEST_TOKEN = 2;
const uint IS_WEIGHED = 3; // the weights below are of these logits
const uint IS_CUTTING = 4; // the last candidate is being looked for: PREFIX and TARGET are known
const uint PREFIX = 5; // the first bits of its weight
const uint TARGET = 6; // two words: of the amount that is kept, what is left for those with these first bits
const uint LAST = 8; // two words: the key of the last candidate that is kept
const uint OF_GROUPS = 64; // two words of each workgroup: the order and the id of its best; what it kept
const uint BIN_AMOUNTS = 1024; // two words a bin; zero between dispatches
const uint WEIGHTS = 16384; // of every token, the bits of a float32

uint64_t load(uint index) {
    SharedWords scratch = SharedWords(p.scratch);
    return uint64_t(scratch.at[index]) | uint64_t(scratch.at[index + 1]) << 32;
}

void store(uint index, uint64_t value) {
    SharedWords scratch = SharedWords(p.scratch);
    scratch.at[index] = uint(value);
    scratch.at[index + 1] = uint(value >> 32);
}

// Greater for the candidate that is kept first: the one of more weight, of equals the one of lower id.
uint64_t key_of(uint weight, uint token) { return uint64_t(weight) << 32 | ~token; }

// Not below any token's id.
const uint LAST_TOKEN = 0x7fffffffu;
// Tokens without weight are never drawn.
const uint64_t FIRST_LAST = 0x180000000ul;

struct Best {
    uint order;
    uint token;
};

const Best NO_BEST = Best(ORDER_OF_NOTHING, LAST_TOKEN);

Best likelier(Best a, Best b) {
    return b.order > a.order || (b.order == a.order && b.token < a.token) ? b : a;
}

int token_of(Best best) { return best.order > ORDER_OF_NOTHING ? int(best.token) : -1; }

shared Best bests[gl_WorkGroupSize.x];
shared bool is_last;

// The likeliest of every thread's, in every thread.
Best workgroup_best(Best mine) {
    barrier();
    bests[gl_LocalInvocationIndex] = mine;
    for (uint half_ = gl_WorkGroupSize.x / 2; half_ > 0; half_ /= 2) {
        barrier();
        if (gl_LocalInvocationIndex < half_) {
            bests[gl_LocalInvocationIndex] =
                likelier(bests[gl_LocalInvocationIndex], bests[gl_LocalInvocationIndex + half_]);
        }
    }
    barrier();
    return bests[0];
}

// Whether all other workgroups of the dispatch have written what they had to: true in the last one alone.
bool arrive_last() {
    memoryBarrierBuffer();
    barrier();
    if (gl_LocalInvocationIndex == 0) {
        SharedWords scratch = SharedWords(p.scratch);
        is_last = atomicAdd(scratch.at[ARRIVED], 1) + 1 == gl_NumWorkGroups.x;
        if (is_last) scratch.at[ARRIVED] = 0;
    }
    barrier();
    memoryBarrierBuffer();
    return is_last;
}

shared uint64_t amounts[gl_WorkGroupSize.x];

// The sum of what the threads before this one have. All threads of the workgroup call it.
uint64_t amounts_before(uint64_t mine) {
    barrier();
    amounts[gl_LocalInvocationIndex] = mine;
    barrier();
    for (uint distance_ = 1; distance_ < gl_WorkGroupSize.x; distance_ *= 2) {
        uint64_t other = 0;
        if (gl_LocalInvocationIndex >= distance_) other = amounts[gl_LocalInvocationIndex - distance_];
        barrier();
        amounts[gl_LocalInvocationIndex] += other;
        barrier();
    }
    return amounts[gl_LocalInvocationIndex] - mine;
}

// The sum of what all threads had.
uint64_t total_amount() { return amounts[gl_WorkGroupSize.x - 1]; }

// SplitMix64 (Steele, Lea, Flood 2014): what follows a state, which then moves on by the step.
const uint64_t RANDOM_STEP = 0x9e3779b97f4a7c15ul;

uint64_t next_random(uint64_t state) {
    uint64_t z = state + RANDOM_STEP;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ul;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebul;
    return z ^ (z >> 31);
}
