#pragma once
// XXH3 of one buffer, the checksum of every part of a .thimble file; of one behind another; under a secret.
#include <stddef.h>
#include <stdint.h>

// 128 bits, the lower and the upper half.
typedef struct {
    uint64_t low, high;
} thimble_hash128;

// The least bytes of a secret.
#define THIMBLE_XXH3_SECRET_MIN 136

// The 64-bit XXH3 hash of data[length], seed 0. data may be NULL where length is 0.
uint64_t thimble_xxh3_64(const void *data, size_t length);

// The 64-bit XXH3 hash of data[length] under a seed. data may be NULL where length is 0.
uint64_t thimble_xxh3_64_seeded(const void *data, size_t length, uint64_t seed);

// The 128-bit XXH3 hash of head[head_length], data[length] in one, under a secret of random bytes, of which
// there are at least THIMBLE_XXH3_SECRET_MIN.
thimble_hash128 thimble_xxh3_128_secret(const void *secret, size_t secret_length, const void *head,
                                        size_t head_length, const void *data, size_t length);
