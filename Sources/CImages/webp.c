//! WebP through libwebp's one-shot decoder into memory of ours.
#include "image.h"

#include <stdlib.h>
#include <webp/decode.h>

/// What libwebp takes besides 4 bytes a pixel: tables of codes, caches of rows.
enum { WORKING_BYTES = 4 << 20 };

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
    // Where memory is refused to it, libwebp reports damage or crashes, so what it will take is asked for
    // first. Volatile, for a compiler knows malloc and may leave a pair with free out.
    void *volatile room = malloc(count * 4 + WORKING_BYTES);
    if (room == NULL) {
        free(rgba);
        cimages_fail(&image, CIMAGES_OUT_OF_MEMORY, "no memory for the WebP decoder");
        return image;
    }
    free(room);
    WebPDecoderConfig config;
    WebPInitDecoderConfig(&config);
    config.output.colorspace = features.has_alpha ? MODE_RGBA : MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = features.has_alpha ? rgba : image.pixels;
    config.output.u.RGBA.stride = (int)stride;
    config.output.u.RGBA.size = stride * image.height;
    // libwebp takes the row stride as an int; the default limits keep far below that.
    VP8StatusCode status =
        stride > INT32_MAX ? VP8_STATUS_INVALID_PARAM : WebPDecode(bytes, size, &config);
    if (status == VP8_STATUS_OUT_OF_MEMORY) {
        cimages_fail(&image, CIMAGES_OUT_OF_MEMORY, "no memory for the WebP decoder");
    } else if (status != VP8_STATUS_OK) {
        cimages_fail(&image, CIMAGES_MALFORMED, "its pixel data is damaged or cut short");
    } else if (rgba != NULL) {
        cimages_compose_on_white(rgba, count, image.pixels);
    }
    free(rgba);
    return image;
}
