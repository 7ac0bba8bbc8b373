//! Parameters of sample: the next token from the logits, on the device.
#ifndef THIMBLE_PARAMETERS_SAMPLE_H
#define THIMBLE_PARAMETERS_SAMPLE_H
#ifdef __STDC_VERSION__
#include <stdint.h>
#endif

// Specialisation constants:
//   0 workgroup size (a power of two), 1 subgroup size
//   2 stage: THIMBLE_SAMPLE_*
// A greedy choice is one dispatch, THIMBLE_SAMPLE_GREEDY. A draw is a dispatch of each stage from
// THIMBLE_SAMPLE_LARGEST to THIMBLE_SAMPLE_DRAW in order, with barriers between; those of top-k and of
// top-p may be left out where the options keep all. The last stage writes the token to the ring and moves
// the step on.
// Workgroups: any number n, (n, 1, 1), the same for all stages, at most THIMBLE_SAMPLE_MAX_GROUPS.
// The choice is that of Thimble's Sampler, but where two outcomes lie within rounding of each other:
// weights are summed in whole units of 2^-44 of the likeliest one's, in any order, not in order as float64.
// At most 2^19 tokens have such a sum.
#define THIMBLE_SAMPLE_GREEDY 0
#define THIMBLE_SAMPLE_LARGEST 1
#define THIMBLE_SAMPLE_TOP_K 2 // three dispatches: 2, 3 and 4
#define THIMBLE_SAMPLE_TOP_P 5 // three dispatches: 5, 6 and 7
#define THIMBLE_SAMPLE_SUM 8
#define THIMBLE_SAMPLE_DRAW 9
#define THIMBLE_SAMPLE_MAX_GROUPS 256

// What Thimble's SamplingOptions say, and the state that a draw moves on.
struct thimble_sampling {
    uint64_t random; // state of SplitMix64
    float temperature;
    float top_p;
    float min_p;
    float repetition_penalty;
    float frequency_penalty;
    float presence_penalty;
    uint32_t top_k;
    uint32_t penalised; // 0: no penalty is asked for, `counts` is not touched
};

struct thimble_sample {
    uint64_t logits;  // float32 [vocabulary]
    uint64_t step;    // thimble_step
    uint64_t options; // thimble_sampling
    uint64_t counts;  // uint32 [vocabulary]: twice how often a token was generated, plus 1 where it was seen
    uint64_t link;    // thimble_link that the step's last dispatch raises; 0: none
    uint64_t scratch; // THIMBLE_SAMPLE_SCRATCH(vocabulary) bytes, zero before the first use
    uint32_t vocabulary;
    uint32_t reserved;
};

#define THIMBLE_SAMPLE_SCRATCH(vocabulary) (65536 + 4 * (vocabulary))

#endif
