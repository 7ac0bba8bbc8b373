// The hash is compiled in here, so that a device needs no libxxhash.so.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "CXXHash.h"

_Static_assert(THIMBLE_XXH3_SECRET_MIN == XXH3_SECRET_SIZE_MIN, "the library asks for as much");

uint64_t thimble_xxh3_64(const void *data, size_t length) { return XXH3_64bits(data, length); }

uint64_t thimble_xxh3_64_seeded(const void *data, size_t length, uint64_t seed) {
    return XXH3_64bits_withSeed(data, length, seed);
}

thimble_hash128 thimble_xxh3_128_secret(const void *secret, size_t secret_length, const void *head,
                                        size_t head_length, const void *data, size_t length) {
    XXH3_state_t state;
    XXH3_128bits_reset_withSecret(&state, secret, secret_length);
    XXH3_128bits_update(&state, head, head_length);
    XXH3_128bits_update(&state, data, length);
    XXH128_hash_t hash = XXH3_128bits_digest(&state);
    return (thimble_hash128){hash.low64, hash.high64};
}
