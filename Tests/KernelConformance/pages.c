//! Pages of keys and values for the checks, by the plain reading of what CKernels.h says.
#include "pages.h"

const char *kv_type_name(thimble_kv_type type) {
    static const char *const names[] = {"f16", "int8", "int5"};
    return names[type];
}

// Bytes of a token's codes and scales of a head.
static int64_t code_bytes(const pages *p) {
    if (p->type == THIMBLE_KV_F16) return p->head_size * 2;
    int64_t words = p->type == THIMBLE_KV_INT8 ? (p->head_size + 3) / 4 : (p->head_size + 7) / 8;
    // A word of fifth bits for each 32 elements of int5.
    return words * 4 + (p->type == THIMBLE_KV_INT5 ? (p->head_size + 31) / 32 * 4 : 0);
}

static int64_t scale_bytes(const pages *p) { return p->type == THIMBLE_KV_F16 ? 0 : 4; }

pages pages_shuffled(checks *c, thimble_kv_type type, int64_t kv_heads, int64_t head_size,
                     int64_t page_tokens, int64_t positions) {
    pages p = {type, kv_heads, head_size, page_tokens, 0, NULL, NULL};
    int64_t count = (positions + page_tokens - 1) / page_tokens, gap = type == THIMBLE_KV_F16 ? 14 : 28;
    p.page_stride = 2 * kv_heads * page_tokens * (code_bytes(&p) + scale_bytes(&p)) + gap;
    p.memory = exactly(count * p.page_stride - gap);
    p.block_table = exactly(count * (int64_t)sizeof *p.block_table);
    memset(p.memory, 0xff, (size_t)(count * p.page_stride - gap));
    for (int64_t i = 0; i < count; i++) p.block_table[i] = (int32_t)i;
    for (int64_t i = count - 1; i > 0; i--) {
        int64_t other = random_below(c, i + 1);
        int32_t page = p.block_table[i];
        p.block_table[i] = p.block_table[other];
        p.block_table[other] = page;
    }
    return p;
}

void pages_free(pages *p) {
    release(p->memory);
    release(p->block_table);
}

static uint8_t *head_start(const pages *p, int64_t part, int64_t kv_head, int64_t position) {
    uint8_t *page = p->memory + p->block_table[position / p->page_tokens] * p->page_stride;
    return page + (part * p->kv_heads + kv_head) * p->page_tokens * (code_bytes(p) + scale_bytes(p));
}

uint8_t *pages_codes(const pages *p, int64_t part, int64_t kv_head, int64_t position) {
    return head_start(p, part, kv_head, position) + position % p->page_tokens * code_bytes(p);
}

uint8_t *pages_scales(const pages *p, int64_t part, int64_t kv_head, int64_t position) {
    return head_start(p, part, kv_head, position) + p->page_tokens * code_bytes(p)
           + position % p->page_tokens * scale_bytes(p);
}

void kv_store(const thimble_kernels *kernels, thimble_kv_type type, const float *x, int64_t count,
              void *codes, void *scales) {
    switch (type) {
        case THIMBLE_KV_F16: kernels->store_f16(x, count, codes); break;
        case THIMBLE_KV_INT8: kernels->store_int8(x, count, codes, scales); break;
        case THIMBLE_KV_INT5: kernels->store_int5(x, count, codes, scales); break;
    }
}

void pages_store(const checks *c, const pages *p, int64_t part, int64_t kv_head, int64_t position,
                 const float *x) {
    kv_store(c->scalar, p->type, x, p->head_size, pages_codes(p, part, kv_head, position),
             pages_scales(p, part, kv_head, position));
}

void hadamard_transform(const double *x, int64_t count, double *y) {
    int64_t width = 1;
    while (count % (2 * width) == 0) width *= 2;
    for (int64_t i = 0; i < count; i++) {
        double sum = 0;
        for (int64_t j = 0; j < width; j++) {
            // An element's sign is the parity of the bits that its row and its column share.
            int odd = __builtin_popcountll((unsigned long long)(i % width & j)) & 1;
            sum += odd ? -x[i / width * width + j] : x[i / width * width + j];
        }
        y[i] = sum / sqrt((double)width);
    }
}

static double half_value(uint16_t half) {
    int exponent = half >> 10 & 31, fraction = half & 1023;
    if (exponent == 31) return fraction ? NAN : INFINITY;
    double magnitude = ldexp(exponent ? fraction + 1024 : fraction, (exponent ? exponent : 1) - 25);
    return half & 0x8000 ? -magnitude : magnitude;
}

static float float_of(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

void pages_read(const pages *p, int64_t part, int64_t kv_head, int64_t position, double *x) {
    const uint8_t *codes = pages_codes(p, part, kv_head, position);
    const uint8_t *scales = pages_scales(p, part, kv_head, position);
    double rotated[THIMBLE_MAX_HEAD_SIZE];
    for (int64_t i = 0; i < p->head_size; i++) {
        if (p->type == THIMBLE_KV_F16) {
            uint16_t half;
            memcpy(&half, codes + 2 * i, sizeof half);
            x[i] = half_value(half);
            continue;
        }
        uint32_t word;
        memcpy(&word, scales, sizeof word);
        if (p->type == THIMBLE_KV_INT8) {
            x[i] = (double)float_of(word) * (int8_t)codes[i];
        } else {
            const uint8_t *block = codes + i / 32 * 20;
            int code = block[4 + i % 32 / 8 * 4 + i % 4] >> (i % 8 < 4 ? 0 : 4) & 15;
            code += (block[i % 32 / 8] >> i % 8 & 1) * 16;
            double level = code * (3009. + code * (2. * code - 93)) / 2048;
            rotated[i] = (double)float_of(word & 0xffff0000) + (double)float_of(word << 16) * level;
        }
    }
    if (p->type == THIMBLE_KV_INT5) hadamard_transform(rotated, p->head_size, x);
}
