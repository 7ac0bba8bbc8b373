//! Attention: head sizes, groups, pages, ranges of keys and their joining, extreme values.
#include "checks.h"

// One attention over pages that lie shuffled; what no position owns is NaN.
typedef struct {
    int64_t q_heads, kv_heads, head_size, tokens, start, keys, page_tokens;
    int32_t causal;
    float query_range, key_range;  // queries and keys lie within plus and minus these; values within 1
} shape;

typedef struct {
    shape s;
    thimble_attention a;  // without its outputs
    float *q;
    uint16_t *pages;
    int32_t *block_table;
    float rounding;  // how far an output may lie off because weights and values are rounded
} problem;

static uint16_t half_of(checks *c, float x) {
    uint16_t half;
    c->scalar->store_f16(&x, 1, &half);
    return half;
}

static uint16_t *cached_row(const problem *p, int64_t part, int64_t kv_head, int64_t position) {
    const thimble_attention *a = &p->a;
    int64_t head = part * a->kv_heads + kv_head;
    return p->pages + p->block_table[position / a->page_tokens] * a->page_stride
           + (head * a->page_tokens + position % a->page_tokens) * a->head_size;
}

static problem problem_random(checks *c, shape s) {
    int64_t page_count = (s.keys + s.page_tokens - 1) / s.page_tokens;
    int64_t stride = 2 * s.kv_heads * s.page_tokens * s.head_size + 7;
    // The last page ends where its last value does: pages need no stride behind them.
    int64_t halves = page_count * stride - 7;
    problem p = {.s = s, .pages = exactly(halves * 2), .block_table = exactly(page_count * 4)};
    p.rounding = 0x1p-11f;
    for (int64_t i = 0; i < halves; i++) p.pages[i] = half_nan;
    for (int64_t i = 0; i < page_count; i++) p.block_table[i] = (int32_t)i;
    for (int64_t i = page_count - 1; i > 0; i--) {
        int64_t other = random_below(c, i + 1);
        int32_t page = p.block_table[i];
        p.block_table[i] = p.block_table[other];
        p.block_table[other] = page;
    }
    int64_t q_stride = s.q_heads * s.head_size + 3;
    int64_t q_count = s.tokens * q_stride - 3;
    p.q = exactly(q_count * (int64_t)sizeof *p.q);
    for (int64_t i = 0; i < q_count; i++) {
        p.q[i] = i % q_stride < q_stride - 3 ? random_float(c, s.query_range) : NAN;
    }
    p.a = (thimble_attention){.q = p.q,
                              .pages = p.pages,
                              .block_table = p.block_table,
                              .q_stride = q_stride,
                              .out_stride = s.q_heads * s.head_size + 5,
                              .page_stride = stride,
                              .page_tokens = s.page_tokens,
                              .q_heads = s.q_heads,
                              .kv_heads = s.kv_heads,
                              .head_size = s.head_size,
                              .start = s.start,
                              .kv_length = s.keys,
                              .key_begin = 0,
                              .key_end = s.keys,
                              .causal = s.causal,
                              .scale = 1 / sqrtf((float)s.head_size)};
    for (int64_t part = 0; part < 2; part++) {
        for (int64_t head = 0; head < s.kv_heads; head++) {
            for (int64_t position = 0; position < s.keys; position++) {
                uint16_t *to = cached_row(&p, part, head, position);
                float range = part == 0 ? s.key_range : 1;
                for (int64_t i = 0; i < s.head_size; i++) to[i] = half_of(c, random_float(c, range));
            }
        }
    }
    return p;
}

static void problem_free(problem *p) {
    release(p->q);
    release(p->pages);
    release(p->block_table);
}

// What a variant gives for the tokens token_begin..<token_end and every head.
typedef struct {
    guarded out, shares;
} answer;

static answer solve(const thimble_kernels *kernels, const problem *p, int wants_shares, int64_t token_begin,
                    int64_t token_end) {
    thimble_attention a = p->a;
    answer answer = {guarded_floats(p->s.tokens * a.out_stride), guarded_floats(p->s.tokens * a.q_heads * 2)};
    a.out = answer.out.y;
    a.shares = wants_shares ? answer.shares.y : NULL;
    // Scratch starts as NaN: a kernel that counts on its content fails.
    int64_t count = thimble_attention_scratch_count(a.q_heads, a.kv_heads, a.head_size, a.page_tokens);
    float *scratch = exactly(count * (int64_t)sizeof *scratch);
    for (int64_t i = 0; i < count; i++) scratch[i] = NAN;
    for (int64_t head = 0; head < a.kv_heads; head++) {
        kernels->attention(&a, head, token_begin, token_end, scratch);
    }
    release(scratch);
    return answer;
}

static void answer_free(answer *a) {
    release(a->out.memory);
    release(a->shares.memory);
}

// How far the score of a query and a key may lie from the definition's: keys and queries may be rounded to 16
// bits against their own length, which costs about what float16 costs the keys themselves.
static float score_bound(const problem *p) {
    const shape *s = &p->s;
    float size = (float)s->head_size;
    float length = s->query_range * s->key_range * size / 3;  // of the vectors, multiplied
    float terms = s->query_range * s->key_range * sqrtf(size);
    // Below its normal range, float32 keeps but a few bits of a product's parts.
    return length / sqrtf(size) * 0x1p-13f + terms * 0x1p-22f + 0x1p-120f;
}

// Weights err by the scores' error, and by being rounded; values, which lie within 1, by being rounded.
static float output_bound(const problem *p) { return 2 * score_bound(p) + p->rounding; }

static void expect_agreement(checks *c, const problem *p, int64_t token_begin, int64_t token_end) {
    answer y = solve(c->kernels, p, 1, token_begin, token_end);
    answer expected = solve(c->scalar, p, 1, token_begin, token_end);
    expect_near(c, &y.out, &expected.out, output_bound(p), 0);
    answer alone = solve(c->kernels, p, 0, token_begin, token_end);
    expect_near(c, &alone.out, &expected.out, output_bound(p), 0);
    answer_free(&alone);
    // Shares: a largest score by the scores' error, a sum by that of its weights.
    float *bounds = exactly(y.shares.count * (int64_t)sizeof *bounds);
    float bound = score_bound(p);
    for (int64_t i = 0; i < y.shares.count; i += 2) {
        bounds[i] = bound + fabsf(expected.shares.y[i]) * 0x1p-20f;
        bounds[i + 1] = expected.shares.y[i + 1] * (2 * bound + p->rounding);
    }
    expect_within(c, &y.shares, &expected.shares, bounds);
    release(bounds);
    answer_free(&y);
    answer_free(&expected);
}

static void name_problem(checks *c, const char *what, const problem *p) {
    const shape *s = &p->s;
    check_subject(c, "attention%s, %d/%d heads of %d, %d tokens from %d, keys %d..<%d of %d, pages of %d%s",
                  what, (int)s->q_heads, (int)s->kv_heads, (int)s->head_size, (int)s->tokens, (int)s->start,
                  (int)p->a.key_begin, (int)p->a.key_end, (int)s->keys, (int)s->page_tokens,
                  s->causal ? ", causal" : "");
}

// Two ranges of keys, joined, against one call over both.
static void check_merge(checks *c, problem *p, int64_t token) {
    int64_t middle = random_below(c, p->s.keys + 1), size = p->s.q_heads * p->s.head_size;
    answer whole = solve(c->scalar, p, 0, token, token + 1);
    float *parts = exactly(2 * size * (int64_t)sizeof *parts);
    float *shares = exactly(4 * p->s.q_heads * (int64_t)sizeof *shares);
    for (int64_t part = 0; part < 2; part++) {
        p->a.key_begin = part ? middle : 0;
        p->a.key_end = part ? p->s.keys : middle;
        answer y = solve(c->kernels, p, 1, token, token + 1);
        memcpy(parts + part * size, y.out.y + token * p->a.out_stride, (size_t)size * sizeof *parts);
        memcpy(shares + part * p->s.q_heads * 2, y.shares.y + token * p->s.q_heads * 2,
               (size_t)(p->s.q_heads * 2) * sizeof *shares);
        answer_free(&y);
    }
    p->a.key_begin = 0;
    p->a.key_end = p->s.keys;
    guarded expected = guarded_copy(whole.out.y + token * p->a.out_stride, size);
    guarded y = guarded_floats(size);
    thimble_attention_merge(parts, shares, 2, p->s.q_heads, p->s.head_size, y.y);
    name_problem(c, " joined", p);
    expect_near(c, &y, &expected, output_bound(p), 0);
    release(y.memory);
    release(expected.memory);
    release(parts);
    release(shares);
    answer_free(&whole);
}

static void check_shape(checks *c, shape s) {
    problem p = problem_random(c, s);
    name_problem(c, "", &p);
    expect_agreement(c, &p, 0, s.tokens);
    expect_agreement(c, &p, s.tokens / 3, (s.tokens + 1) / 2);
    check_merge(c, &p, random_below(c, s.tokens));
    for (int i = 0; i < 2; i++) {
        p.a.key_begin = random_below(c, s.keys + 1);
        p.a.key_end = p.a.key_begin + random_below(c, s.keys - p.a.key_begin + 1);
        name_problem(c, "", &p);
        expect_agreement(c, &p, 0, s.tokens);
    }
    problem_free(&p);
}

static void check_random_shape(checks *c) {
    static const int64_t sizes[] = {1, 2, 7, 8, 15, 16, 24, 31, 40, 64, 72, 80, 96, 127, 128, 160, 255, 256};
    static const int64_t pages[] = {1, 3, 4, 8, 16, 24, 64, 100};
    shape s = {.kv_heads = 1 + random_below(c, 3), .query_range = 1, .key_range = 1};
    s.q_heads = s.kv_heads * (1 + random_below(c, 6));
    s.head_size = sizes[random_below(c, sizeof sizes / sizeof *sizes)];
    s.page_tokens = pages[random_below(c, sizeof pages / sizeof *pages)];
    s.tokens = 1 + random_below(c, 40);
    s.causal = (int32_t)random_below(c, 2);
    s.start = s.causal ? random_below(c, 100) : 0;
    s.keys = s.causal ? s.start + s.tokens + random_below(c, 4) : 1 + random_below(c, 150);
    if (random_below(c, 3) == 0) s.query_range = 8;
    check_shape(c, s);
}

// Scores beyond float32 of either sign: the softmax must stay a mean of values.
static void check_saturation(checks *c, float query, int64_t keys) {
    shape s = {2, 1, 16, 2, keys - 2, keys, 16, 1, 1, 1};
    problem p = problem_random(c, s);
    for (int64_t token = 0; token < s.tokens; token++) {
        for (int64_t i = 0; i < s.q_heads * s.head_size; i++) p.q[token * p.a.q_stride + i] = query;
    }
    for (int64_t position = 0; position < keys; position++) {
        uint16_t *key = cached_row(&p, 0, 0, position);
        for (int64_t i = 0; i < s.head_size; i++) key[i] = position % 5 == 0 ? half_of(c, 6e4f) : 0;
    }
    name_problem(c, " with scores beyond float32", &p);
    expect_agreement(c, &p, 0, s.tokens);
    problem_free(&p);
}

// A NaN in a query poisons its row, in a key the rows that see it, in a value its column of those rows.
static void check_poison(checks *c, int64_t head_size, int64_t keys) {
    static const char *const names[] = {" with a query of NaN", " with a key of NaN", " with a value of NaN",
                                        " with a key and a value of NaN"};
    shape s = {6, 2, head_size, 20, keys - 20, keys, 8, 1, 1, 1};
    for (int what = 0; what < 4; what++) {
        problem p = problem_random(c, s);
        int64_t element = random_below(c, head_size), position = keys - 1 - random_below(c, 20);
        if (what == 0) p.q[3 * p.a.q_stride + head_size + element] = NAN;
        if (what == 1 || what == 3) cached_row(&p, 0, 1, position)[element] = half_nan;
        if (what == 2 || what == 3) cached_row(&p, 1, 0, keys - 12)[element] = half_nan;
        name_problem(c, names[what], &p);
        expect_agreement(c, &p, 0, s.tokens);
        // Few rows too, which variants take another way: in each two tokens, only the second sees a key.
        for (int64_t token = 0; token + 2 <= s.tokens; token++) expect_agreement(c, &p, token, token + 2);
        problem_free(&p);
    }
}

// Many keys of one score beside one that outweighs each of them: their share must not be rounded away.
static void check_flat_tail(checks *c, int64_t head_size) {
    shape s = {2, 1, head_size, 3, 0, 2000, 16, 0, 0.001f, 0.001f};
    problem p = problem_random(c, s);
    for (int64_t position = 0; position < s.keys; position++) {
        uint16_t *key = cached_row(&p, 0, 0, position), *value = cached_row(&p, 1, 0, position);
        for (int64_t i = 0; i < head_size; i++) value[i] = half_of(c, position == 700 ? -1 : 0.5f);
        if (position == 700) key[0] = half_of(c, 10);
    }
    for (int64_t token = 0; token < s.tokens; token++) {
        for (int64_t head = 0; head < s.q_heads; head++) {
            p.q[token * p.a.q_stride + head * head_size] = sqrtf((float)head_size);
        }
    }
    // The 63 keys that share a step with the large one may each be rounded by 2^-15 of it, all one way.
    p.rounding = 0x1p-8f;
    name_problem(c, " with a flat tail", &p);
    expect_agreement(c, &p, 0, s.tokens);
    problem_free(&p);
}

void check_attention(checks *c) {
    static const shape shapes[] = {
        {1, 1, 8, 1, 0, 1, 16, 1, 1, 1},        {2, 2, 40, 9, 4, 13, 4, 1, 1, 1},
        {4, 2, 20, 9, 70, 79, 16, 1, 1, 1},     {3, 1, 33, 5, 0, 5, 16, 1, 1, 1},
        {4, 2, 64, 33, 50, 83, 16, 1, 1, 1},    {4, 4, 72, 5, 0, 100, 16, 0, 1, 1},
        {32, 2, 128, 1, 69, 70, 16, 1, 1, 1},   {32, 2, 128, 7, 60, 80, 24, 1, 1, 1},
        {2, 1, 256, 3, 126, 129, 1, 1, 1, 1},   {3, 3, 64, 60, 0, 60, 60, 0, 1, 1},
        {1, 1, 16, 130, 0, 130, 64, 1, 1, 1},   {2, 1, 64, 110, 0, 200, 16, 0, 4, 4},
        // Scores of a thousand: one key takes all the weight.
        {4, 2, 64, 9, 20, 40, 16, 1, 300, 10},
        // Queries, keys and pages at their smallest.
        {1, 1, 1, 1, 0, 1, 1, 0, 1e-30f, 1e-7f}, {1, 1, 8, 3, 0, 20, 16, 0, 1e-42f, 6e4f},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) check_shape(c, shapes[i]);
    for (int i = 0; i < 60; i++) check_random_shape(c);
    for (int64_t keys = 22; keys < 200; keys += 50) {
        check_saturation(c, 3e38f, keys);
        check_saturation(c, -3e38f, keys);
        check_poison(c, keys % 4 ? 64 : 19, keys);
    }
    check_flat_tail(c, 64);
    check_flat_tail(c, 33);
}
