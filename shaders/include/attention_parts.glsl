//! Parts that attention of a step leaves, and the projection after it joins.
#include "parameters/attention_vector.h"

// Positions of a range, where so many are cut in at most `splits` ranges of at least `least` positions.
uint positions_of_range(uint length, uint splits, uint least) {
    return max(((length + splits - 1) / splits + 15) / 16 * 16, least);
}

// Ranges that attention joins to one part, so that no more parts than a projection joins are left. A part
// lies where the first of its ranges does.
uint ranges_of_part(uint ranges) {
    return (ranges + THIMBLE_ATTENTION_JOINED - 1) / THIMBLE_ATTENTION_JOINED;
}

// Float32 [splits][query heads][head size]: sums of values, weighed by e^(score - largest).
uint64_t sums_of_part(uint64_t parts, uint part, uint head, uint query_heads, uint head_size) {
    return parts + 4 * uint64_t((part * query_heads + head) * head_size);
}

// Float32 [splits][query heads][2] behind them: the largest score, and the sum of weights.
uint64_t share_of_part(
    uint64_t parts, uint splits, uint part, uint head, uint query_heads, uint head_size) {
    return parts + 4 * uint64_t(query_heads) * (splits * head_size + 2 * part) + 8 * head;
}
