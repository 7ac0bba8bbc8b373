#pragma once
// XXH3 of one buffer: the checksum of every part of a .thimble file.
#include <stddef.h>
#include <stdint.h>

// The 64-bit XXH3 hash of data[length], seed 0. data may be NULL where length is 0.
uint64_t thimble_xxh3_64(const void *data, size_t length);
