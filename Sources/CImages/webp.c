//! WebP through libwebp's one-shot decoder into memory of ours.
#include "image.h"

#include <stdlib.h>
#include <webp/decode.h>

cimages_image cimages_decode_webp(const uint8_t *bytes, size_t size, cimages_limits limits) {
    cimages_image image = {0};
    WebPBitstreamFeatures features;
    if (WebPGetFeatures(bytes, size, &features) != VP8_STATUS_OK) {
        cimages_fail(&image, CIMAGES_MALFORMED, "its header is damaged or cut short");
        return image;
    }
    if (features.has_animation) {
        cimages_fail(&image, CIMAGES_MALFORMED, "it is an animation; a page must be a still image");
        return image;
    }
    if (!cimages_reserve(&image, (uint64_t)features.width, (uint64_t)features.height, limits)) {
        return image;
    }
    size_t count = (size_t)image.width * image.height;
    size_t stride = (size_t)image.width * (features.has_alpha ? 4 : 3);
    uint8_t *rgba = features.has_alpha ? calloc(count, 4) : NULL;
    if (features.has_alpha && rgba == NULL) {
        cimages_fail(&image, CIMAGES_OUT_OF_MEMORY, "no memory for the pixels");
        return image;
    }
    // libwebp takes the row stride as an int; the default limits keep far below that.
    if (stride > INT32_MAX ||
        (rgba == NULL ? WebPDecodeRGBInto(bytes, size, image.pixels, stride * image.height, (int)stride)
                      : WebPDecodeRGBAInto(bytes, size, rgba, stride * image.height, (int)stride)) == NULL) {
        cimages_fail(&image, CIMAGES_MALFORMED, "its pixel data is damaged or cut short");
    } else if (rgba != NULL) {
        cimages_compose_on_white(rgba, count, image.pixels);
    }
    free(rgba);
    return image;
}
