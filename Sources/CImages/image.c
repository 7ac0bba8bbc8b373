//! The header check and the result of a failure, the same for every codec.
#include "image.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

bool cimages_reserve(cimages_image *image, uint64_t width, uint64_t height, cimages_limits limits) {
    image->width = width > UINT32_MAX ? UINT32_MAX : (uint32_t)width;
    image->height = height > UINT32_MAX ? UINT32_MAX : (uint32_t)height;
    if (width == 0 || height == 0) {
        cimages_fail(image, CIMAGES_MALFORMED, "the header gives a width or height of zero");
        return false;
    }
    // Divided rather than multiplied, so that no header can overflow the check.
    if (width > limits.max_width || height > limits.max_height || width > limits.max_pixels / height ||
        width > SIZE_MAX / 3 / height) {
        char message[sizeof image->message];
        snprintf(message, sizeof message,
                 "the limit is %" PRIu32 " x %" PRIu32 " and %" PRIu64 " pixels in all", limits.max_width,
                 limits.max_height, limits.max_pixels);
        cimages_fail(image, CIMAGES_TOO_LARGE, message);
        return false;
    }
    // Zeroed, so that no codec's omission can show the process's old memory as pixels.
    image->pixels = calloc((size_t)(width * height), 3);
    if (image->pixels == NULL) {
        cimages_fail(image, CIMAGES_OUT_OF_MEMORY, "no memory for the pixels");
        return false;
    }
    return true;
}

void cimages_compose_on_white(const uint8_t *rgba, size_t count, uint8_t *rgb) {
    for (size_t pixel = 0; pixel < count; pixel++, rgba += 4, rgb += 3) {
        uint32_t alpha = rgba[3];
        for (int channel = 0; channel < 3; channel++) {
            // The sum over 255, rounded to nearest without a division.
            uint32_t sum = rgba[channel] * alpha + 255 * (255 - alpha) + 128;
            rgb[channel] = (uint8_t)((sum + (sum >> 8)) >> 8);
        }
    }
}

void cimages_fail(cimages_image *image, cimages_status status, const char *message) {
    free(image->pixels);
    image->pixels = NULL;
    image->status = status;
    snprintf(image->message, sizeof image->message, "%s", message);
}

void cimages_free(void *memory) { free(memory); }
