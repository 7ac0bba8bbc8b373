//! Attention: head sizes, groups, pages, ranges of keys and their joining, extreme values.
#include "pages.h"

// One attention over pages that lie shuffled.
typedef struct {
    int64_t q_heads, kv_heads, head_size, tokens, start, keys, page_tokens;
    int32_t causal;
    float query_range, key_range;  // queries and keys lie within plus and minus these
    float value_range;             // and values within this
    thimble_kv_type type;
} shape;

typedef struct {
    shape s;
    thimble_attention a;  // without its outputs
    float *q;
    pages pages;
    float rounding;  // how far an output of values within 1 may lie off because of what is rounded
} problem;

static void store_random(checks *c, const problem *p, int64_t part, int64_t position, float range) {
    float x[THIMBLE_MAX_HEAD_SIZE];
    for (int64_t head = 0; head < p->s.kv_heads; head++) {
        for (int64_t i = 0; i < p->s.head_size; i++) x[i] = random_float(c, range);
        pages_store(c, &p->pages, part, head, position, x);
    }
}

static problem problem_random(checks *c, shape s) {
    problem p = {.s = s, .rounding = 0x1p-11f};
    p.pages = pages_shuffled(c, s.type, s.kv_heads, s.head_size, s.page_tokens, s.keys);
    int64_t q_stride = s.q_heads * s.head_size + 3;
    int64_t q_count = s.tokens * q_stride - 3;
    p.q = exactly(q_count * (int64_t)sizeof *p.q);
    for (int64_t i = 0; i < q_count; i++) {
        p.q[i] = i % q_stride < q_stride - 3 ? random_float(c, s.query_range) : NAN;
    }
    p.a = (thimble_attention){.q = p.q,
                              .pages = p.pages.memory,
                              .block_table = p.pages.block_table,
                              .q_stride = q_stride,
                              .out_stride = s.q_heads * s.head_size + 5,
                              .page_stride = p.pages.page_stride,
                              .page_tokens = s.page_tokens,
                              .q_heads = s.q_heads,
                              .kv_heads = s.kv_heads,
                              .head_size = s.head_size,
                              .start = s.start,
                              .kv_length = s.keys,
                              .key_begin = 0,
                              .key_end = s.keys,
                              .causal = s.causal,
                              .scale = 1 / sqrtf((float)s.head_size),
                              .kv_type = s.type};
    for (int64_t position = 0; position < s.keys; position++) {
        store_random(c, &p, 0, position, s.key_range);
        store_random(c, &p, 1, position, s.value_range);
    }
    return p;
}

static void problem_free(problem *p) {
    release(p->q);
    pages_free(&p->pages);
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
    int64_t count = thimble_attention_scratch_count(a.head_size);
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

// Weights err by the scores' error, and by being rounded; values by being rounded. Codes of int5 may lie
// further out than what they stand for.
static float output_bound(const problem *p) {
    float bound = (2 * score_bound(p) + p->rounding) * p->s.value_range;
    return p->s.type == THIMBLE_KV_INT5 ? bound * 1.25f : bound;
}

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
    check_subject(c,
                  "attention%s, %s, %d/%d heads of %d, %d tokens from %d, keys %d..<%d of %d, pages of %d%s",
                  what, kv_type_name(s->type), (int)s->q_heads, (int)s->kv_heads, (int)s->head_size,
                  (int)s->tokens, (int)s->start, (int)p->a.key_begin, (int)p->a.key_end, (int)s->keys,
                  (int)s->page_tokens, s->causal ? ", causal" : "");
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
    thimble_attention_merge(parts, shares, 2, p->s.q_heads, 0, p->s.q_heads, p->s.head_size, y.y);
    name_problem(c, " joined", p);
    expect_near(c, &y, &expected, output_bound(p), 0);
    release(y.memory);
    release(expected.memory);
    release(parts);
    release(shares);
    answer_free(&whole);
}

// What one query of a head gets by the plain formula, in double, of keys and values as they are read back.
static void attend_plainly(const problem *p, int64_t token, int64_t head, float *out) {
    const thimble_attention *a = &p->a;
    int64_t kv_head = head / (a->q_heads / a->kv_heads), size = a->head_size;
    int64_t end = a->causal && a->start + token + 1 < a->key_end ? a->start + token + 1 : a->key_end;
    const float *q = a->q + token * a->q_stride + head * size;
    double *scores = exactly((end + 1) * (int64_t)sizeof *scores), x[THIMBLE_MAX_HEAD_SIZE];
    double largest = -INFINITY, total = 0, sums[THIMBLE_MAX_HEAD_SIZE] = {0};
    for (int64_t position = a->key_begin; position < end; position++) {
        pages_read(&p->pages, 0, kv_head, position, x);
        double sum = 0;
        for (int64_t i = 0; i < size; i++) sum += q[i] * x[i];
        scores[position] = sum * a->scale;
        if (scores[position] > largest) largest = scores[position];
    }
    for (int64_t position = a->key_begin; position < end; position++) {
        pages_read(&p->pages, 1, kv_head, position, x);
        double weight = exp(scores[position] - largest);
        for (int64_t i = 0; i < size; i++) sums[i] += weight * x[i];
        total += weight;
    }
    for (int64_t i = 0; i < size; i++) out[i] = total == 0 ? 0 : (float)(sums[i] / total);
    release(scores);
}

// The definition's answer for a token against the plain formula: pages are as they are described.
static void check_definition(checks *c, const problem *p, int64_t token) {
    int64_t size = p->s.head_size;
    answer y = solve(c->scalar, p, 0, token, token + 1);
    guarded defined = guarded_copy(y.out.y + token * p->a.out_stride, p->s.q_heads * size);
    guarded plain = guarded_floats(p->s.q_heads * size);
    for (int64_t head = 0; head < p->s.q_heads; head++) {
        attend_plainly(p, token, head, plain.y + head * size);
    }
    name_problem(c, " by its formula", p);
    // Float32 rounds a score's terms and their sum.
    float terms = p->s.query_range * p->s.key_range * sqrtf((float)size);
    expect_near(c, &defined, &plain, (terms * (float)size * 0x1p-23f + 0x1p-18f) * p->s.value_range, 0);
    release(defined.memory);
    release(plain.memory);
    answer_free(&y);
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
        check_definition(c, &p, random_below(c, s.tokens));
    }
    problem_free(&p);
}

static void check_random_shape(checks *c, thimble_kv_type type) {
    static const int64_t sizes[] = {1, 2, 7, 8, 15, 16, 24, 31, 40, 64, 72, 80, 96, 127, 128, 160, 255, 256};
    static const int64_t pages[] = {1, 3, 4, 8, 16, 24, 64, 100};
    shape s = {.query_range = 1, .key_range = 1, .value_range = 1, .type = type};
    s.kv_heads = 1 + random_below(c, 2);
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
static void check_saturation(checks *c, thimble_kv_type type, float query, int64_t keys) {
    shape s = {2, 1, 16, 2, keys - 2, keys, 16, 1, 1, 1, 1, type};
    problem p = problem_random(c, s);
    for (int64_t token = 0; token < s.tokens; token++) {
        for (int64_t i = 0; i < s.q_heads * s.head_size; i++) p.q[token * p.a.q_stride + i] = query;
    }
    for (int64_t position = 0; position < keys; position++) {
        float key[16];
        for (int64_t i = 0; i < s.head_size; i++) key[i] = position % 5 == 0 ? 6e4f : 0;
        pages_store(c, &p.pages, 0, 0, position, key);
    }
    name_problem(c, " with scores beyond float32", &p);
    expect_agreement(c, &p, 0, s.tokens);
    problem_free(&p);
}

// Stores a random row with a NaN in it.
static void store_poisoned(checks *c, const problem *p, int64_t part, int64_t kv_head, int64_t position) {
    float x[THIMBLE_MAX_HEAD_SIZE];
    for (int64_t i = 0; i < p->s.head_size; i++) x[i] = random_float(c, 1);
    x[random_below(c, p->s.head_size)] = NAN;
    pages_store(c, &p->pages, part, kv_head, position, x);
}

// A NaN in a query poisons its row, in a key the rows that see it, in a value its column of those rows, or
// what shares its scale.
static void check_poison(checks *c, thimble_kv_type type, int64_t head_size, int64_t keys) {
    static const char *const names[] = {" with a query of NaN", " with a key of NaN", " with a value of NaN",
                                        " with a key and a value of NaN"};
    shape s = {6, 2, head_size, 20, keys - 20, keys, 8, 1, 1, 1, 1, type};
    for (int what = 0; what < 4; what++) {
        problem p = problem_random(c, s);
        int64_t position = keys - 1 - random_below(c, 20);
        if (what == 0) p.q[3 * p.a.q_stride + head_size + random_below(c, head_size)] = NAN;
        if (what == 1 || what == 3) store_poisoned(c, &p, 0, 1, position);
        if (what == 2 || what == 3) store_poisoned(c, &p, 1, 0, keys - 12);
        name_problem(c, names[what], &p);
        expect_agreement(c, &p, 0, s.tokens);
        // Few rows too, which variants take another way: in each two tokens, only the second sees a key.
        for (int64_t token = 0; token + 2 <= s.tokens; token++) expect_agreement(c, &p, token, token + 2);
        problem_free(&p);
    }
}

// Many keys of one score beside one that outweighs each of them: their share must not be rounded away.
static void check_flat_tail(checks *c, thimble_kv_type type, int64_t head_size) {
    shape s = {2, 1, head_size, 3, 0, 2000, 16, 0, 0.001f, 0.001f, 1, type};
    problem p = problem_random(c, s);
    for (int64_t position = 0; position < s.keys; position++) {
        float x[THIMBLE_MAX_HEAD_SIZE];
        for (int64_t i = 0; i < head_size; i++) x[i] = position == 700 ? -1 : 0.5f;
        pages_store(c, &p.pages, 1, 0, position, x);
        if (position != 700) continue;
        for (int64_t i = 0; i < head_size; i++) x[i] = i == 0 ? 10 : random_float(c, s.key_range);
        pages_store(c, &p.pages, 0, 0, position, x);
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
        {1, 1, 8, 1, 0, 1, 16, 1, 1, 1, 1, 0},        {2, 2, 40, 9, 4, 13, 4, 1, 1, 1, 1, 0},
        {4, 2, 20, 9, 70, 79, 16, 1, 1, 1, 1, 0},     {3, 1, 33, 5, 0, 5, 16, 1, 1, 1, 1, 0},
        {4, 2, 64, 33, 50, 83, 16, 1, 1, 1, 1, 0},    {4, 4, 72, 5, 0, 100, 16, 0, 1, 1, 1, 0},
        {32, 2, 128, 1, 69, 70, 16, 1, 1, 1, 1, 0},   {32, 2, 128, 7, 60, 80, 24, 1, 1, 1, 1, 0},
        {2, 1, 256, 3, 126, 129, 1, 1, 1, 1, 1, 0},   {3, 3, 64, 60, 0, 60, 60, 0, 1, 1, 1, 0},
        {1, 1, 16, 130, 0, 130, 64, 1, 1, 1, 1, 0},   {2, 1, 64, 110, 0, 200, 16, 0, 4, 4, 1, 0},
        // Scores of a thousand: one key takes all the weight.
        {4, 2, 64, 9, 20, 40, 16, 1, 300, 10, 1, 0},
        // Queries, keys and pages at their smallest.
        {1, 1, 1, 1, 0, 1, 1, 0, 1e-30f, 1e-7f, 1, 0}, {1, 1, 8, 3, 0, 20, 16, 0, 1e-42f, 6e4f, 1, 0},
        // Values far from one.
        {2, 1, 48, 30, 0, 70, 16, 0, 1, 1, 6e4f, 0},   {8, 2, 24, 2, 30, 70, 16, 1, 1, 1, 1e-3f, 0},
    };
    static const thimble_kv_type types[] = {THIMBLE_KV_F16, THIMBLE_KV_INT8, THIMBLE_KV_INT5};
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            shape s = shapes[i];
            s.type = types[t];
            check_shape(c, s);
        }
        for (int i = 0; i < 20; i++) check_random_shape(c, types[t]);
        for (int64_t keys = 22; keys < 200; keys += 150) {
            check_saturation(c, types[t], 3e38f, keys);
            check_saturation(c, types[t], -3e38f, keys);
            check_poison(c, types[t], keys % 4 ? 64 : 19, keys);
        }
        check_flat_tail(c, types[t], 64);
        check_flat_tail(c, types[t], 33);
        if (types[t] == THIMBLE_KV_F16) continue;
        // Beyond float16, for many rows and for few.
        check_shape(c, (shape){4, 1, 64, 40, 30, 70, 16, 1, 1e-9f, 1e9f, 1e9f, types[t]});
        check_shape(c, (shape){4, 1, 64, 1, 69, 70, 16, 1, 1e-9f, 1e9f, 1e9f, types[t]});
    }
}
