//! Attention of many query rows with AVX-512: products of 16-bit integers.
#include "avx512_attention.h"
#include <math.h>
#if defined(__x86_64__)

// One instruction multiplies 32 pairs of 16-bit integers and adds them two by two into 32 bits: twice what a
// float32 multiply-add does. A query and a key each become integers with a scale of their own that maps
// their length to 2^15 - 1, so that no dot product passes 2^30 (Cauchy-Schwarz). Weights of a step become
// integers relative to the step's largest score; values become integers with a scale a channel, as large as
// the largest sum of weights in the step allows. Integers cannot say NaN or infinity: such queries, keys and
// values become zeros, and what they would have done to a sum is done to it in float32.
enum {
    score_rows = 2 * lanes,    // rows whose scores of a step are held at once: two vectors
    score_keys = key_quantum,  // keys that share the vectors of queries in a product of scores
    sum_rows = 4,              // rows and vectors of channels in a product of sums
    sum_vectors = 4,
};
_Static_assert(most_rows % score_rows == 0 && most_keys % score_keys == 0, "blocks are made of whole panels");

#define CODE_ONE 32767     // the length of a query or a key in codes
#define WEIGHT_ONE 16383   // the weight 1 in codes

TEMPLATE f32x16 set1(float x) { return _mm512_set1_ps(x); }

// Turns a row's query into codes and a scale. In double, where no square overflows.
static void load_query(query_block *q, int64_t row) {
    const thimble_attention *a = q->a;
    const float *from = a->q + row_token(q, row) * a->q_stride + row_head(q, row) * a->head_size;
    float rotated[THIMBLE_MAX_HEAD_SIZE], scaled[THIMBLE_MAX_HEAD_SIZE];
    from = kv_query(a->kv_type, from, a->head_size, rotate, rotated);
    __m512d squares = _mm512_setzero_pd();
    for (int64_t i = 0; i < q->width; i += 8) {
        __m256 v = _mm256_maskz_loadu_ps((__mmask8)lanes_below(a->head_size - i), from + i);
        v = _mm256_mul_ps(v, _mm256_set1_ps(a->scale));
        _mm256_storeu_ps(scaled + i, v);
        squares = _mm512_fmadd_pd(_mm512_cvtps_pd(v), _mm512_cvtps_pd(v), squares);
    }
    double length = sqrt(_mm512_reduce_add_pd(squares));
    int finite = length <= 1e300;
    q->query_scales[row] = finite ? (float)length : NAN;
    q->poison[row] = finite ? 0 : NAN;
    __m512d inverse = _mm512_set1_pd(finite && length > 0 ? CODE_ONE / length : 0);
    int16_t codes[THIMBLE_MAX_HEAD_SIZE];
    for (int64_t i = 0; i < q->width; i += 8) {
        __m512d v = _mm512_mul_pd(_mm512_cvtps_pd(_mm256_loadu_ps(scaled + i)), inverse);
        _mm_storeu_si128((__m128i *)(codes + i), _mm256_cvtepi32_epi16(_mm512_cvtpd_epi32(v)));
    }
    for (int64_t i = 0; i < q->width / 2; i++) q->queries[i * most_rows + row] = word_at(codes + 2 * i);
}

void thimble_avx512_load_codes(query_block *q) {
    for (int64_t row = 0; row < q->rows; row++) load_query(q, row);
    // Panels take whole vectors of rows: those beyond the last are rows of zeros.
    for (int64_t row = q->rows; row % lanes != 0; row++) {
        for (int64_t i = 0; i < q->width / 2; i++) q->queries[i * most_rows + row] = 0;
        q->query_scales[row] = 0;
    }
}

TEMPLATE void load_keys(const thimble_kv_type type, const query_block *q, key_step *step) {
    int64_t last = q->width - lanes;
    __mmask16 real = lanes_below(q->a->head_size - last);
    float squares[most_keys], inverses[most_keys];
    for (int64_t key = 0; key < step->count; key++) {
        f32x16 sum = _mm512_setzero_ps();
        for (int64_t i = 0; i <= last; i += lanes) {
            f32x16 v = load_row(type, step->keys.rows[key], i, i < last ? 0xffff : real);
            sum = _mm512_fmadd_ps(v, v, sum);
        }
        squares[key] = _mm512_reduce_add_ps(sum);  // at most 2^112, where elements are at most 2^52
    }
    step->any_poisoned = 0;
    for (int64_t key = 0; key < step->count; key += lanes) {
        __mmask16 found = lanes_below(step->count - key);
        f32x16 square = _mm512_maskz_loadu_ps(found, squares + key);
        __mmask16 finite = _mm512_cmp_ps_mask(square, set1(0x1p120f), _CMP_LE_OQ);
        // Shorter keys are taken for zeros: their elements' squares leave float32.
        __mmask16 some = _mm512_cmp_ps_mask(square, set1(0x1p-100f), _CMP_GT_OQ);
        f32x16 length = _mm512_sqrt_ps(square);
        f32x16 scale = _mm512_mul_ps(length, set1(1.0f / CODE_ONE / CODE_ONE));
        if (type == THIMBLE_KV_INT8) {
            f32x16 worth = _mm512_maskz_loadu_ps(found, step->keys.worth + key);
            scale = _mm512_mul_ps(scale, worth);
            finite = _mm512_mask_cmp_ps_mask(finite, worth, worth, _CMP_ORD_Q);
        }
        _mm512_storeu_ps(step->key_scales + key, _mm512_mask_mov_ps(set1(NAN), finite, scale));
        _mm512_storeu_ps(inverses + key, _mm512_maskz_div_ps(some & finite, set1(CODE_ONE), length));
        step->any_poisoned |= finite != 0xffff;
    }
    for (int64_t key = 0; key < step->count; key++) {
        for (int64_t i = 0; i <= last; i += lanes) {
            f32x16 v = load_row(type, step->keys.rows[key], i, i < last ? 0xffff : real);
            // NaN becomes the lowest integer, whose low half is 0.
            i32x16 rounded = _mm512_cvtps_epi32(_mm512_mul_ps(v, set1(inverses[key])));
            __m256i codes = _mm512_cvtepi32_epi16(rounded);
            _mm256_storeu_si256((__m256i *)(q->keys + key * q->width + i), codes);
        }
    }
    // Panels take whole runs of keys: those beyond the last are keys of zeros, which no row sees.
    for (int64_t key = step->count; key < step->padded; key++) step->key_scales[key] = 0;
    memset(q->keys + step->count * q->width, 0,
           (size_t)((step->padded - step->count) * q->width) * sizeof *q->keys);
}

// The scores of `vectors` vectors of rows from `row` on for every key of the step, to
// scores[most_keys][score_rows], and the largest each row sees.
TEMPLATE void score(const query_block *q, const key_step *step, int64_t row, const int64_t vectors,
                    const int masked, float *scores, f32x16 top[2]) {
    const f32x16 limit = set1(THIMBLE_ATTENTION_SCORE_LIMIT), lowest = set1(-THIMBLE_ATTENTION_SCORE_LIMIT);
    for (int64_t v = 0; v < vectors; v++) top[v] = lowest;
    for (int64_t key = 0; key < step->padded; key += score_keys) {
        i32x16 dots[score_keys][2];
#pragma clang loop unroll(full)
        for (int64_t i = 0; i < score_keys; i++) dots[i][0] = dots[i][1] = _mm512_setzero_si512();
        const int16_t *keys = q->keys + key * q->width;
        const int32_t *queries = q->queries + row;
        for (int64_t pair = 0; pair < q->width / 2; pair++, keys += 2, queries += most_rows) {
            i32x16 query[2];
            for (int64_t v = 0; v < vectors; v++) query[v] = _mm512_loadu_si512(queries + v * lanes);
#pragma clang loop unroll(full)
            for (int64_t i = 0; i < score_keys; i++) {
                i32x16 two = _mm512_set1_epi32(word_at(keys + i * q->width));
#pragma clang loop unroll(full)
                for (int64_t v = 0; v < vectors; v++) {
                    dots[i][v] = _mm512_dpwssd_epi32(dots[i][v], query[v], two);
                }
            }
        }
#pragma clang loop unroll(full)
        for (int64_t v = 0; v < vectors; v++) {
            f32x16 query_scale = _mm512_loadu_ps(q->query_scales + row + v * lanes);
            i32x16 visible = _mm512_loadu_si512(q->visible + row + v * lanes);
#pragma clang loop unroll(full)
            for (int64_t i = 0; i < score_keys; i++) {
                f32x16 s = _mm512_mul_ps(_mm512_cvtepi32_ps(dots[i][v]), set1(step->key_scales[key + i]));
                s = _mm512_mul_ps(s, query_scale);
                // Of NaN and a number, these return the second operand: NaN is never the largest.
                s = _mm512_min_ps(_mm512_max_ps(s, lowest), limit);
                _mm512_storeu_ps(scores + (key + i) * score_rows + v * lanes, s);
                __mmask16 seen = 0xffff;
                if (masked) seen = _mm512_cmpgt_epi32_mask(visible, _mm512_set1_epi32((int32_t)(key + i)));
                top[v] = _mm512_mask_max_ps(top[v], seen, s, top[v]);
            }
        }
    }
}

// Weights are rounded up or down at a level that differs from key to key: the sum of many that are far below
// one code keeps its expected value. The levels are the odd 128ths in an order without a pattern.
#define LEVEL(n) ((2 * (n) + 1) / 128.0f)
static const float rounding[most_keys] = {
    LEVEL(2), LEVEL(5), LEVEL(27), LEVEL(39), LEVEL(56), LEVEL(16), LEVEL(43), LEVEL(33),
    LEVEL(60), LEVEL(14), LEVEL(44), LEVEL(22), LEVEL(9), LEVEL(40), LEVEL(7), LEVEL(30),
    LEVEL(54), LEVEL(8), LEVEL(20), LEVEL(51), LEVEL(26), LEVEL(18), LEVEL(32), LEVEL(48),
    LEVEL(11), LEVEL(49), LEVEL(47), LEVEL(23), LEVEL(37), LEVEL(15), LEVEL(61), LEVEL(6),
    LEVEL(3), LEVEL(55), LEVEL(31), LEVEL(25), LEVEL(34), LEVEL(29), LEVEL(38), LEVEL(24),
    LEVEL(35), LEVEL(53), LEVEL(42), LEVEL(50), LEVEL(1), LEVEL(19), LEVEL(13), LEVEL(52),
    LEVEL(62), LEVEL(36), LEVEL(10), LEVEL(17), LEVEL(21), LEVEL(63), LEVEL(57), LEVEL(12),
    LEVEL(41), LEVEL(58), LEVEL(0), LEVEL(28), LEVEL(59), LEVEL(45), LEVEL(4), LEVEL(46),
};
#undef LEVEL

// WEIGHT_ONE * e^x for x <= 0, rounded down where its fraction is below 1 - `level`. 2^f for 0 <= f < 1 is a
// polynomial with a relative error below 3e-6 (fitted for the least largest relative error), and 2^n goes
// straight into the exponent.
TEMPLATE i32x16 weight_codes(f32x16 x, float level) {
    f32x16 y = _mm512_mul_ps(x, set1(1.44269504f));
    f32x16 f = _mm512_reduce_ps(y, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    f32x16 p = set1(0.01353417f * WEIGHT_ONE);
    p = _mm512_fmadd_ps(p, f, set1(0.05201146f * WEIGHT_ONE));
    p = _mm512_fmadd_ps(p, f, set1(0.24144276f * WEIGHT_ONE));
    p = _mm512_fmadd_ps(p, f, set1(0.69300383f * WEIGHT_ONE));
    p = _mm512_fmadd_ps(p, f, set1(1.00000259f * WEIGHT_ONE));
    return _mm512_cvttps_epi32(_mm512_add_ps(_mm512_scalef_ps(p, y), set1(level)));
}

// Turns a vector of rows' scores of the step into weights, and says what the step does to their sums. Returns
// the largest sum of weights.
TEMPLATE int32_t weigh(const query_block *q, const key_step *step, int64_t row, const int masked,
                       const float *scores, f32x16 top) {
    i32x16 visible = _mm512_loadu_si512(q->visible + row), sum = _mm512_setzero_si512();
    for (int64_t key = 0; key < step->padded; key += 2) {
        f32x16 s0 = _mm512_loadu_ps(scores + key * score_rows);
        f32x16 s1 = _mm512_loadu_ps(scores + (key + 1) * score_rows);
        i32x16 even = weight_codes(_mm512_sub_ps(s0, top), rounding[key]);
        i32x16 odd = weight_codes(_mm512_sub_ps(s1, top), rounding[key + 1]);
        if (masked) {
            i32x16 at = _mm512_set1_epi32((int32_t)key), next = _mm512_set1_epi32((int32_t)key + 1);
            even = _mm512_maskz_mov_epi32(_mm512_cmpgt_epi32_mask(visible, at), even);
            odd = _mm512_maskz_mov_epi32(_mm512_cmpgt_epi32_mask(visible, next), odd);
        }
        i32x16 pair = _mm512_or_si512(even, _mm512_slli_epi32(odd, 16));
        _mm512_storeu_si512(q->weights + key / 2 * most_rows + row, pair);
        sum = _mm512_dpwssd_epi32(sum, pair, _mm512_set1_epi16(1));
    }
    f32x16 before = _mm512_loadu_ps(q->largest + row), largest = _mm512_max_ps(before, top);
    f32x16 shrink = f32x16_exp_nonpositive(_mm512_sub_ps(before, largest));
    f32x16 grow = _mm512_mul_ps(f32x16_exp_nonpositive(_mm512_sub_ps(top, largest)), set1(1.0f / WEIGHT_ONE));
    f32x16 total = _mm512_mul_ps(_mm512_loadu_ps(q->total + row), shrink);
    _mm512_storeu_ps(q->total + row, _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), grow, total));
    _mm512_storeu_ps(q->largest + row, largest);
    _mm512_storeu_ps(q->shrink + row, shrink);
    _mm512_storeu_ps(q->grow + row, grow);
    return _mm512_mask_reduce_max_epi32(lanes_below(q->rows - row), sum);
}

TEMPLATE int32_t score_and_weigh(const query_block *q, const key_step *step, int64_t row,
                                 const int64_t vectors, const int masked) {
    float scores[most_keys * score_rows];
    f32x16 top[2];
    int32_t largest_sum = 0;
    score(q, step, row, vectors, masked, scores, top);
    for (int64_t v = 0; v < vectors; v++) {
        int32_t sum = weigh(q, step, row + v * lanes, masked, scores + v * lanes, top[v]);
        largest_sum = sum > largest_sum ? sum : largest_sum;
    }
    return largest_sum;
}

// The weights of all rows from `row` on; returns the largest sum of a row's weights.
static int32_t weigh_rows(const query_block *q, const key_step *step, int64_t row) {
    int32_t largest_sum = 0;
    for (; row < q->rows; row += score_rows) {
        int masked = q->visible[row] < step->padded;  // rows see more keys the later they come
        int32_t sum;
        if (q->rows - row > lanes) {
            sum = masked ? score_and_weigh(q, step, row, 2, 1) : score_and_weigh(q, step, row, 2, 0);
        } else {
            sum = masked ? score_and_weigh(q, step, row, 1, 1) : score_and_weigh(q, step, row, 1, 0);
        }
        largest_sum = sum > largest_sum ? sum : largest_sum;
    }
    return largest_sum;
}

// 16 channels of a value.
TEMPLATE f32x16 load_value(const thimble_kv_type type, const key_step *step, int64_t key, int64_t channel,
                           __mmask16 real) {
    f32x16 v = load_row(type, step->values.rows[key], channel, real);
    return type == THIMBLE_KV_INT8 ? _mm512_mul_ps(v, set1(step->values.worth[key])) : v;
}

// Turns 16 channels of the step's values into codes of at most `most` in magnitude; scale[16] gets what one
// unit of them is worth. Returns whether all were finite; those that are not become zeros.
TEMPLATE int load_channels(const thimble_kv_type type, const query_block *q, const key_step *step,
                           int64_t channel, int32_t most, float *scale) {
    __mmask16 real = lanes_below(q->a->head_size - channel), finite = 0xffff;
    const f32x16 infinity = set1(INFINITY);
    f32x16 size = _mm512_setzero_ps();
    for (int64_t key = 0; key < step->count; key++) {
        f32x16 magnitude = _mm512_abs_ps(load_value(type, step, key, channel, real));
        __mmask16 small = _mm512_cmp_ps_mask(magnitude, infinity, _CMP_LT_OQ);
        finite &= small;
        size = _mm512_mask_max_ps(size, small, size, magnitude);
    }
    _mm512_storeu_ps(scale, _mm512_div_ps(size, set1((float)most)));
    __mmask16 some = _mm512_cmp_ps_mask(size, set1(0x1p-100f), _CMP_GT_OQ);
    f32x16 inverse = _mm512_maskz_div_ps(some, set1((float)most), size);
    for (int64_t key = 0; key < step->count; key += 2) {
        i32x16 codes[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
        for (int64_t i = 0; i < 2 && key + i < step->count; i++) {
            f32x16 v = load_value(type, step, key + i, channel, real);
            if (finite != 0xffff) {
                __mmask16 small = _mm512_cmp_ps_mask(_mm512_abs_ps(v), infinity, _CMP_LT_OQ);
                v = _mm512_maskz_mov_ps(small, v);
            }
            codes[i] = _mm512_cvtps_epi32(_mm512_mul_ps(v, inverse));
        }
        i32x16 pair = _mm512_mask_mov_epi16(_mm512_slli_epi32(codes[1], 16), 0x55555555, codes[0]);
        _mm512_storeu_si512(q->values + key / 2 * q->width + channel, pair);
    }
    return finite == 0xffff;
}

// sums = sums * shrink + weights * values for sum_rows rows and `vectors` vectors of channels.
TEMPLATE void add_values(const query_block *q, int64_t pairs, int64_t row, int64_t channel,
                         const int64_t vectors, const float *scales) {
    i32x16 dots[sum_rows][sum_vectors];
#pragma clang loop unroll(full)
    for (int64_t i = 0; i < sum_rows * vectors; i++) dots[i / vectors][i % vectors] = _mm512_setzero_si512();
    const int32_t *weights = q->weights + row, *values = q->values + channel;
    for (int64_t pair = 0; pair < pairs; pair++, weights += most_rows, values += q->width) {
        i32x16 value[sum_vectors];
        for (int64_t v = 0; v < vectors; v++) value[v] = _mm512_loadu_si512(values + v * lanes);
#pragma clang loop unroll(full)
        for (int64_t i = 0; i < sum_rows; i++) {
            i32x16 weight = _mm512_set1_epi32(weights[i]);
#pragma clang loop unroll(full)
            for (int64_t v = 0; v < vectors; v++) {
                dots[i][v] = _mm512_dpwssd_epi32(dots[i][v], value[v], weight);
            }
        }
    }
#pragma clang loop unroll(full)
    for (int64_t v = 0; v < vectors; v++) {
        f32x16 scale = _mm512_loadu_ps(scales + channel + v * lanes);
#pragma clang loop unroll(full)
        for (int64_t i = 0; i < sum_rows; i++) {
            float *sums = q->sums + (row + i) * q->width + channel + v * lanes;
            f32x16 worth = _mm512_mul_ps(scale, set1(q->grow[row + i]));
            f32x16 before = _mm512_mul_ps(_mm512_loadu_ps(sums), set1(q->shrink[row + i]));
            _mm512_storeu_ps(sums, _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[i][v]), worth, before));
        }
    }
}

// What is not finite in the step's keys and values, done to the rows that see it.
static void poison_rows(query_block *q, const key_step *step, int64_t first_row, int values_too) {
    for (int64_t key = 0; key < step->count; key++) {
        kv_row value = step->values.rows[key];
        for (int64_t row = first_row; row < q->rows; row++) {
            if (q->visible[row] <= key) continue;
            if (isnan(step->key_scales[key])) q->poison[row] = NAN;
            for (int64_t i = 0; values_too && i < q->a->head_size; i++) {
                float element = kv_element(q->a->kv_type, value, i);
                if (!isfinite(element)) q->sums[row * q->width + i] += element;
            }
        }
    }
}

TEMPLATE void attend(const thimble_kv_type type, query_block *q, key_step *step) {
    // Later rows see more: panels in which no row sees a key of the step are left out.
    int64_t row = 0;
    while (q->visible[row + score_rows - 1 < q->rows ? row + score_rows - 1 : q->rows - 1] <= 0) {
        row += score_rows;
    }
    load_keys(type, q, step);
    int32_t largest_sum = weigh_rows(q, step, row);
    int32_t most = largest_sum < INT32_MAX / CODE_ONE ? CODE_ONE : INT32_MAX / largest_sum;
    float scales[THIMBLE_MAX_HEAD_SIZE];
    int finite = 1;
    for (int64_t i = 0; i < q->width; i += lanes) {
        finite &= load_channels(type, q, step, i, most, scales + i);
    }
    for (int64_t i = row; i < q->rows; i += sum_rows) {
        int64_t channel = 0, pairs = (step->count + 1) / 2;
        for (; channel + sum_vectors * lanes <= q->width; channel += sum_vectors * lanes) {
            add_values(q, pairs, i, channel, sum_vectors, scales);
        }
        switch ((q->width - channel) / lanes) {
            case 1: add_values(q, pairs, i, channel, 1, scales); break;
            case 2: add_values(q, pairs, i, channel, 2, scales); break;
            case 3: add_values(q, pairs, i, channel, 3, scales); break;
        }
    }
    if (!finite || step->any_poisoned) poison_rows(q, step, row, !finite);
}

void thimble_avx512_attend_codes(query_block *q, key_step *step) {
    ATTENTION_BY_TYPE(q->a, attend, q, step);
}

AVX512_END
#endif
