//! The image codecs behind one C interface: what they do by longjmp and callbacks stays in C.
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
    /// Progressive files may ask for many passes over the whole image; a real one has about ten scans.
    CIMAGES_JPEG_SCANS_MAX = 100,
    /// What libjpeg may take for the coefficients of a file of several scans, which it holds all at once: in
    /// bytes, two for each sample.
    CIMAGES_JPEG_MEMORY_MAX = 256 << 20,
};

/// Limits that a header must meet before any pixel memory is asked for.
typedef struct {
    uint32_t max_width;
    uint32_t max_height;
    uint64_t max_pixels;
} cimages_limits;

typedef enum {
    CIMAGES_OK = 0,
    /// The bytes are not a well-formed image; `message` says where the codec stopped.
    CIMAGES_MALFORMED = 1,
    /// The image asks for more than the limits; `message` says which.
    CIMAGES_TOO_LARGE = 2,
    CIMAGES_OUT_OF_MEMORY = 3,
} cimages_status;

/// One decoded image: `pixels` holds height rows of width RGB triples without padding and belongs to the
/// caller, who gives it back with `cimages_free`. On failure `pixels` is NULL.
typedef struct {
    cimages_status status;
    uint32_t width;
    uint32_t height;
    uint8_t *pixels;
    char message[160];
} cimages_image;

cimages_image cimages_decode_png(const uint8_t *bytes, size_t size, cimages_limits limits);
cimages_image cimages_decode_jpeg(const uint8_t *bytes, size_t size, cimages_limits limits);
cimages_image cimages_decode_webp(const uint8_t *bytes, size_t size, cimages_limits limits);

/// A PNG file in memory, to be given back with `cimages_free`.
typedef struct {
    cimages_status status;
    uint8_t *bytes;
    size_t size;
    char message[160];
} cimages_file;

/// Encodes rows without padding, of one (grey) or three (RGB) channels of 8 bits.
cimages_file cimages_encode_png(const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t channels);

void cimages_free(void *memory);
