//! Pages of keys and values for the checks: written by the kernels that store, read back element by element.
#pragma once
#include "checks.h"

// Pages of one layer of a sequence, shuffled; what no position owns is NaN, or makes NaN of what it scales.
typedef struct {
    thimble_kv_type type;
    int64_t kv_heads, head_size, page_tokens;
    int64_t page_stride;  // bytes
    uint8_t *memory;      // ends where the last page's last byte does: pages need no stride behind them
    int32_t *block_table;
} pages;

// The name of a type, for reports.
const char *kv_type_name(thimble_kv_type type);

pages pages_shuffled(checks *c, thimble_kv_type type, int64_t kv_heads, int64_t head_size,
                     int64_t page_tokens, int64_t positions);
void pages_free(pages *p);

// Where the codes and the scales of a position's key (part 0) or value (part 1) lie.
uint8_t *pages_codes(const pages *p, int64_t part, int64_t kv_head, int64_t position);
uint8_t *pages_scales(const pages *p, int64_t part, int64_t kv_head, int64_t position);

// Stores a key or value as the definition does.
void pages_store(const checks *c, const pages *p, int64_t part, int64_t kv_head, int64_t position,
                 const float *x);
// The key or value that is stored there, by the plain reading of what CKernels.h says: of int5, rotated back
// by the matrix itself.
void pages_read(const pages *p, int64_t part, int64_t kv_head, int64_t position, double *x);

// Stores a row through a table's kernel for the type.
void kv_store(const thimble_kernels *kernels, thimble_kv_type type, const float *x, int64_t count,
              void *codes, void *scales);
// Multiplies x[count] by the orthonormal matrix that int5 is rotated by.
void hadamard_transform(const double *x, int64_t count, double *y);
