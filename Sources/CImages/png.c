//! PNG through libpng's low-level interface; its longjmp ends in this file.
#include "image.h"

#include <png.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const uint8_t *bytes;
    size_t size;
    size_t position;
    char *message;
    size_t message_size;
    /// Whether memory was refused: the reason for whatever error follows.
    bool has_no_memory;
} png_input;

/// Zeroed memory for libpng or for this file, given back with `free`.
static png_voidp on_allocate(png_structp png, png_alloc_size_t size) {
    void *memory = calloc(1, size);
    if (memory == NULL) {
        ((png_input *)png_get_mem_ptr(png))->has_no_memory = true;
    }
    return memory;
}

static void on_free(png_structp png, png_voidp memory) {
    (void)png;
    free(memory);
}

static cimages_status status_of(const png_input *faults) {
    return faults->has_no_memory ? CIMAGES_OUT_OF_MEMORY : CIMAGES_MALFORMED;
}

static void on_error(png_structp png, png_const_charp text) {
    png_input *input = png_get_error_ptr(png);
    snprintf(input->message, input->message_size, "%s", text);
    longjmp(png_jmpbuf(png), 1);
}

static void on_warning(png_structp png, png_const_charp text) {
    (void)png;
    (void)text;
}

static void on_read(png_structp png, png_bytep target, size_t count) {
    png_input *input = png_get_io_ptr(png);
    if (count > input->size - input->position) {
        png_error(png, "the file ends before its last chunk");
    }
    memcpy(target, input->bytes + input->position, count);
    input->position += count;
}

/// What one pixel of a decoded row holds, by its number of bytes.
enum { GREY_16_BYTES = 2, RGB_BYTES = 3, RGBA_BYTES = 4 };

/// Sets libpng's transformations so that each row comes out as 8-bit RGB, or RGBA where the image knows
/// transparency: libpng's own composition would honour a gAMA chunk, which the models' preprocessing does
/// not. 16-bit grey stays as it is, for PIL treats it as no other mode. Returns the bytes of a pixel.
static size_t ask_for_rgb(png_structp png, png_infop info) {
    int colour = png_get_color_type(png, info);
    int depth = png_get_bit_depth(png, info);
    if (colour == PNG_COLOR_TYPE_GRAY && depth == 16) {
        return GREY_16_BYTES;
    }
    if (colour == PNG_COLOR_TYPE_PALETTE) {
        png_set_palette_to_rgb(png);
    }
    if (!(colour & PNG_COLOR_MASK_COLOR)) {
        if (depth < 8) {
            png_set_expand_gray_1_2_4_to_8(png);
        }
        png_set_gray_to_rgb(png);
    }
    if (depth == 16) {
        png_set_strip_16(png);
    }
    bool has_key = png_get_valid(png, info, PNG_INFO_tRNS) != 0;
    if (has_key) {
        png_set_tRNS_to_alpha(png);
    }
    return has_key || (colour & PNG_COLOR_MASK_ALPHA) ? RGBA_BYTES : RGB_BYTES;
}

/// Turns big-endian 16-bit grey into RGB as PIL does: what does not fit 8 bits is white, and a transparent
/// shade is a shade like any other.
static void clip_grey(const uint8_t *grey, size_t count, uint8_t *rgb) {
    for (size_t pixel = 0; pixel < count; pixel++, grey += GREY_16_BYTES, rgb += RGB_BYTES) {
        memset(rgb, grey[0] != 0 ? 255 : grey[1], RGB_BYTES);
    }
}

/// What a longjmp must not lose.
typedef struct {
    png_bytep *rows;
    /// Pixels that are not RGB yet.
    uint8_t *raw;
} png_scratch;

static void read_png(png_structp png, png_infop info, cimages_image *image, cimages_limits limits,
                     volatile png_scratch *scratch) {
    // The size is held against our own limits, which can say by how much it exceeds them.
    png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    // Texts, profiles and the like are passed over: they say nothing that is used here, and compressed ones
    // would unfold in memory, each to many times its size.
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_read_info(png, info);
    uint32_t height = png_get_image_height(png, info);
    if (!cimages_reserve(image, png_get_image_width(png, info), height, limits)) {
        return;
    }
    size_t pixel_bytes = ask_for_rgb(png, info);
    png_set_interlace_handling(png);
    png_read_update_info(png, info);
    size_t stride = (size_t)image->width * pixel_bytes;
    if (png_get_rowbytes(png, info) != stride) {
        png_error(png, "its rows are of an unsupported kind");
    }
    uint8_t *target = image->pixels;
    if (pixel_bytes != RGB_BYTES) {
        target = scratch->raw = on_allocate(png, stride * height);
    }
    png_bytep *rows = scratch->rows = on_allocate(png, height * sizeof *rows);
    if (target == NULL || rows == NULL) {
        png_error(png, "no memory for the rows");
    }
    for (uint32_t row = 0; row < height; row++) {
        rows[row] = target + row * stride;
    }
    png_read_image(png, rows);
    png_read_end(png, NULL);
    size_t count = (size_t)image->width * height;
    if (pixel_bytes == RGBA_BYTES) {
        cimages_compose_on_white(target, count, image->pixels);
    } else if (pixel_bytes == GREY_16_BYTES) {
        clip_grey(target, count, image->pixels);
    }
}

cimages_image cimages_decode_png(const uint8_t *bytes, size_t size, cimages_limits limits) {
    cimages_image image = {0};
    char message[160] = "the PNG is malformed";
    png_input input = {bytes, size, 0, message, sizeof message, false};
    png_structp png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &input, on_error, on_warning, &input,
                                               on_allocate, on_free);
    png_infop info = png == NULL ? NULL : png_create_info_struct(png);
    volatile png_scratch scratch = {NULL, NULL};
    if (info == NULL) {
        png_destroy_read_struct(&png, NULL, NULL);
        cimages_fail(&image, CIMAGES_OUT_OF_MEMORY, "no memory for the PNG decoder");
        return image;
    }
    png_set_read_fn(png, &input, on_read);
    if (setjmp(png_jmpbuf(png)) == 0) {
        read_png(png, info, &image, limits, &scratch);
    } else {
        cimages_fail(&image, status_of(&input), message);
    }
    free(scratch.rows);
    free(scratch.raw);
    png_destroy_read_struct(&png, &info, NULL);
    return image;
}

typedef struct {
    cimages_file *file;
    size_t capacity;
} png_output;

static void on_write(png_structp png, png_bytep source, size_t count) {
    png_output *output = png_get_io_ptr(png);
    cimages_file *file = output->file;
    if (count > output->capacity - file->size) {
        size_t needed = file->size + count;
        size_t capacity = output->capacity * 2 > needed ? output->capacity * 2 : needed;
        uint8_t *grown = realloc(file->bytes, capacity);
        if (grown == NULL) {
            ((png_input *)png_get_mem_ptr(png))->has_no_memory = true;
            png_error(png, "no memory for the encoded file");
        }
        file->bytes = grown;
        output->capacity = capacity;
    }
    memcpy(file->bytes + file->size, source, count);
    file->size += count;
}

static void on_flush(png_structp png) { (void)png; }

cimages_file cimages_encode_png(const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t channels) {
    cimages_file file = {0};
    png_input faults = {NULL, 0, 0, file.message, sizeof file.message, false};
    png_output output = {&file, 0};
    png_structp png = png_create_write_struct_2(PNG_LIBPNG_VER_STRING, &faults, on_error, on_warning, &faults,
                                                on_allocate, on_free);
    png_infop info = png == NULL ? NULL : png_create_info_struct(png);
    if (info == NULL) {
        png_destroy_write_struct(&png, NULL);
        file.status = CIMAGES_OUT_OF_MEMORY;
        snprintf(file.message, sizeof file.message, "no memory for the PNG encoder");
        return file;
    }
    png_set_write_fn(png, &output, on_write, on_flush);
    if (setjmp(png_jmpbuf(png)) == 0) {
        int colour = channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB;
        png_set_IHDR(png, info, width, height, 8, colour, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                     PNG_FILTER_TYPE_DEFAULT);
        png_write_info(png, info);
        for (uint32_t row = 0; row < height; row++) {
            png_write_row(png, pixels + (size_t)row * width * channels);
        }
        png_write_end(png, NULL);
    } else {
        free(file.bytes);
        file.bytes = NULL;
        file.size = 0;
        file.status = status_of(&faults);
    }
    png_destroy_write_struct(&png, &info);
    return file;
}
