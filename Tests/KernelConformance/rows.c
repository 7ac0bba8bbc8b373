//! Kernels along one row: norms, sums, activations and rotations.
#include "checks.h"

static const int64_t counts[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 513};
static const float magnitudes[] = {1, 1e6f, 1e30f};

// Inputs of one row, and the outputs of the variant and of the definition.
typedef struct {
    int64_t count;
    float magnitude;
    float *x, *weight, *bias, *residual;
} row;

static row row_random(checks *c, int64_t count, float magnitude) {
    row r = {.count = count, .magnitude = magnitude, .x = random_floats(c, count, magnitude)};
    r.weight = random_floats(c, count, 1);
    r.bias = random_floats(c, count, 1);
    r.residual = random_floats(c, count, magnitude);
    return r;
}

static void row_free(row *r) {
    release(r->x);
    release(r->weight);
    release(r->bias);
    release(r->residual);
}

typedef void row_kernel(const thimble_kernels *kernels, const row *r, const float *x, float *y);

static void rms_norm(const thimble_kernels *kernels, const row *r, const float *x, float *y) {
    kernels->rms_norm(x, r->weight, r->count, 1e-5f, y);
}
static void add_rms_norm(const thimble_kernels *kernels, const row *r, const float *x, float *y) {
    kernels->add_rms_norm(x, r->weight, r->count, 1e-5f, y);
}
static void layer_norm(const thimble_kernels *kernels, const row *r, const float *x, float *y) {
    kernels->layer_norm(x, r->weight, r->bias, r->count, 1e-5f, y);
}
static void add(const thimble_kernels *kernels, const row *r, const float *x, float *y) {
    kernels->add(x, r->count, y);
}
static void add_scaled(const thimble_kernels *kernels, const row *r, const float *x, float *y) {
    kernels->add_scaled(x, -0.3f, r->count, y);
}
static void swiglu(const thimble_kernels *kernels, const row *r, const float *x, float *y) {
    kernels->swiglu(x, r->count / 2, y);
}
static void gelu(const thimble_kernels *kernels, const row *r, const float *x, float *y) {
    kernels->gelu(x, r->count, y);
}

// `onto` is what the output holds before.
static void check_kernel(checks *c, const char *name, row_kernel *kernel, const row *r, const float *onto,
                         float bound) {
    check_subject(c, "%s of %d within %g", name, (int)r->count, (double)r->magnitude);
    guarded y = guarded_copy(onto, r->count), expected = guarded_copy(onto, r->count);
    kernel(c->kernels, r, r->x, y.y);
    kernel(c->scalar, r, r->x, expected.y);
    expect_near(c, &y, &expected, bound, 0);
    release(y.memory);
    release(expected.memory);
}

static void check_in_place(checks *c, const char *name, row_kernel *kernel, const row *r) {
    check_subject(c, "%s of %d in place", name, (int)r->count);
    guarded apart = guarded_copy(r->x, r->count), in_place = guarded_copy(r->x, r->count);
    kernel(c->kernels, r, r->x, apart.y);
    kernel(c->kernels, r, in_place.y, in_place.y);
    expect_same_bits(c, &in_place, &apart);
    release(apart.memory);
    release(in_place.memory);
}

static void check_random_row(checks *c, int64_t count, float magnitude) {
    row r = row_random(c, count, magnitude);
    // Normalised values are below sqrt(count) < 23; a few roundings of 2^-24 each.
    check_kernel(c, "rms_norm", rms_norm, &r, r.bias, 1e-5f);
    check_kernel(c, "layer_norm", layer_norm, &r, r.weight, 1e-5f);
    check_kernel(c, "add_rms_norm", add_rms_norm, &r, r.residual, 1e-5f + magnitude * 0x1p-22f);
    check_kernel(c, "add", add, &r, r.residual, 0);
    check_kernel(c, "add_scaled", add_scaled, &r, r.residual, magnitude * 0x1p-23f);
    check_kernel(c, "gelu", gelu, &r, r.bias, magnitude * 4e-7f);
    check_in_place(c, "rms_norm", rms_norm, &r);
    check_in_place(c, "layer_norm", layer_norm, &r);
    check_in_place(c, "gelu", gelu, &r);
    check_in_place(c, "swiglu", swiglu, &r);
    // One factor of each product stays within 1; e^x errs by 3e-7.
    for (int64_t i = 1; i < count; i += 2) r.x[i] /= magnitude;
    check_kernel(c, "swiglu", swiglu, &r, r.bias, magnitude * 1e-6f);
    row_free(&r);
}

// NaN and infinities go where the definition lets them go.
static void check_poisoned_row(checks *c, int64_t count, float poison) {
    row r = row_random(c, count, 1);
    r.x[random_below(c, count)] = poison;
    check_kernel(c, "rms_norm with a poison", rms_norm, &r, r.bias, 1e-5f);
    check_kernel(c, "layer_norm with a poison", layer_norm, &r, r.weight, 1e-5f);
    check_kernel(c, "add_rms_norm with a poison", add_rms_norm, &r, r.residual, 1e-5f);
    check_kernel(c, "add with a poison", add, &r, r.residual, 0);
    check_kernel(c, "add_scaled with a poison", add_scaled, &r, r.residual, 0x1p-22f);
    row_free(&r);
}

// Activations over their whole range. e^x flushes to zero near the smallest normal float.
static void check_activations(checks *c) {
    static const float ends[] = {-1e30f, -3e38f, 1e30f, 3e38f, -0.0f, 1e-30f, -1e-45f, NAN};
    enum { steps = 4001, end_count = sizeof ends / sizeof *ends, count = steps + end_count };
    guarded silu[2] = {guarded_floats(count), guarded_floats(count)};
    guarded gelus[2] = {guarded_floats(count), guarded_floats(count)};
    float *x = exactly(count * (int64_t)sizeof *x), *pairs = exactly(2 * count * (int64_t)sizeof *pairs);
    float *bounds = exactly(count * (int64_t)sizeof *bounds);
    for (int64_t i = 0; i < count; i++) {
        x[i] = i < steps ? (float)(i - steps / 2) / 20 : ends[i - steps];
        pairs[2 * i] = x[i];
        pairs[2 * i + 1] = 1;
        // erf's approximation errs by 1.5e-7 absolutely, times |x| / 2.
        bounds[i] = fabsf(x[i]) * 3e-7f;
    }
    for (int i = 0; i < 2; i++) {
        const thimble_kernels *kernels = i ? c->scalar : c->kernels;
        kernels->swiglu(pairs, count, silu[i].y);
        kernels->gelu(x, count, gelus[i].y);
    }
    check_subject(c, "swiglu over its range");
    expect_near(c, &silu[0], &silu[1], 1e-35f, 1e-6f);
    check_subject(c, "gelu over its range");
    expect_within(c, &gelus[0], &gelus[1], bounds);
    for (int i = 0; i < 2; i++) {
        release(silu[i].memory);
        release(gelus[i].memory);
    }
    release(x);
    release(pairs);
    release(bounds);
}

static void check_rotations(checks *c, int64_t pairs) {
    float *x = random_floats(c, 2 * pairs, 100);
    float *cosines = random_floats(c, pairs, 1), *sines = random_floats(c, pairs, 1);
    for (int half = 0; half < 2; half++) {
        check_subject(c, "%s of %d pairs", half ? "rope_half" : "rope_interleaved", (int)pairs);
        guarded y = guarded_copy(x, 2 * pairs), expected = guarded_copy(x, 2 * pairs);
        (half ? c->kernels->rope_half : c->kernels->rope_interleaved)(y.y, cosines, sines, pairs);
        (half ? c->scalar->rope_half : c->scalar->rope_interleaved)(expected.y, cosines, sines, pairs);
        // Two products below 100 and a sum, rounded once or thrice.
        expect_near(c, &y, &expected, 200 * 0x1p-23f, 0);
        release(y.memory);
        release(expected.memory);
    }
    release(x);
    release(cosines);
    release(sines);
}

void check_rows(checks *c) {
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        for (size_t m = 0; m < sizeof magnitudes / sizeof *magnitudes; m++) {
            check_random_row(c, counts[i], magnitudes[m]);
        }
        check_poisoned_row(c, counts[i], NAN);
        check_poisoned_row(c, counts[i], INFINITY);
        check_rotations(c, counts[i]);
    }
    check_activations(c);
}
