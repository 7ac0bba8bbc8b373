//! What the three codecs share: the header check and the result of a failure.
#pragma once

#include "CImages.h"

#include <stdbool.h>

/// Checks a header's size against the limits and allocates the RGB pixels. False leaves the reason in
/// `image`.
bool cimages_reserve(cimages_image *image, uint64_t width, uint64_t height, cimages_limits limits);

/// Composes `count` RGBA pixels onto white, as the models' own preprocessing does.
void cimages_compose_on_white(const uint8_t *rgba, size_t count, uint8_t *rgb);

/// Drops the pixels and records why.
void cimages_fail(cimages_image *image, cimages_status status, const char *message);
