//! Where `sample` cuts its candidates: bins of amounts, and what reaches into which.
// Included by sample.comp behind sample_state.glsl.

const uint BINS = 1024;

// Of this workgroup: low and high words, for there are no atomic additions of 64 bits everywhere.
shared uint bin_lows[BINS];
shared uint bin_highs[BINS];

struct Found {
    bool is_any;
    uint bin;
    uint64_t target; // what is left for the bin
    uint64_t amount; // what the bin has
};

shared Found found;

void clear_bins() {
    for (uint i = gl_LocalInvocationIndex; i < BINS; i += gl_WorkGroupSize.x) {
        bin_lows[i] = 0;
        bin_highs[i] = 0;
    }
    barrier();
}

void add_to_bin(uint bin, uint64_t amount) {
    uint low = uint(amount);
    uint carry = atomicAdd(bin_lows[bin], low) > ~low ? 1 : 0;
    uint high = uint(amount >> 32) + carry;
    if (high != 0) atomicAdd(bin_highs[bin], high);
}

// Adds this workgroup's bins to the dispatch's.
void merge_bins() {
    barrier();
    SharedWords bins = SharedWords(p.scratch + 4 * BIN_AMOUNTS);
    for (uint i = gl_LocalInvocationIndex; i < BINS; i += gl_WorkGroupSize.x) {
        uint low = bin_lows[i], high = bin_highs[i];
        if (low != 0) high += atomicAdd(bins.at[2 * i], low) > ~low ? 1 : 0;
        if (high != 0) atomicAdd(bins.at[2 * i + 1], high);
    }
}

// Takes the dispatch's bins into this workgroup's, and gives their sum.
uint64_t take_bins() {
    SharedWords bins = SharedWords(p.scratch + 4 * BIN_AMOUNTS);
    uint64_t sum = 0;
    for (uint i = gl_LocalInvocationIndex; i < BINS; i += gl_WorkGroupSize.x) {
        bin_lows[i] = bins.at[2 * i];
        bin_highs[i] = bins.at[2 * i + 1];
        sum += uint64_t(bin_lows[i]) | uint64_t(bin_highs[i]) << 32;
        bins.at[2 * i] = 0;
        bins.at[2 * i + 1] = 0;
    }
    amounts_before(sum);
    return total_amount();
}

uint64_t bin_amount(uint bin) { return uint64_t(bin_lows[bin]) | uint64_t(bin_highs[bin]) << 32; }

// The bin with which the amounts, from the highest bin on, reach the target: it lands in `found`.
void find_bin(uint64_t target) {
    uint each = max(BINS / gl_WorkGroupSize.x, 1);
    uint first = gl_LocalInvocationIndex * each;
    uint end = min(first + each, BINS);
    uint64_t sum = 0;
    for (uint i = first; i < end; i++) sum += bin_amount(BINS - 1 - i);
    if (gl_LocalInvocationIndex == 0) found = Found(false, 0, 0, 0);
    uint64_t before = amounts_before(sum);
    if (before < target && target <= before + sum) {
        uint i = first;
        for (; before + bin_amount(BINS - 1 - i) < target; i++) before += bin_amount(BINS - 1 - i);
        found = Found(true, BINS - 1 - i, target - before, bin_amount(BINS - 1 - i));
    }
    barrier();
}

shared uint ranked;

// The id of the token that is number `rank`, from 1 on, of those of this weight whose keys are not below
// `last`. Rarely asked for: only where a cut goes through equals.
uint token_of_rank(uint rank, uint weight, uint64_t last) {
    SharedWords weights = SharedWords(p.scratch + 4 * WEIGHTS);
    uint each = (p.vocabulary + gl_WorkGroupSize.x - 1) / gl_WorkGroupSize.x;
    uint first = min(gl_LocalInvocationIndex * each, p.vocabulary), end = min(first + each, p.vocabulary);
    uint count = 0;
    for (uint i = first; i < end; i++) {
        if (weights.at[i] == weight && key_of(weight, i) >= last) count += 1;
    }
    uint before = uint(amounts_before(count));
    if (before < rank && rank <= before + count) {
        uint token = first;
        for (uint left = rank - before;; token++) {
            if (weights.at[token] == weight && key_of(weight, token) >= last && --left == 0) break;
        }
        ranked = token;
    }
    barrier();
    return ranked;
}
