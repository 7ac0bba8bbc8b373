//! JPEG through libjpeg with an error manager of our own; its longjmp ends in this file.
#include "image.h"

#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>

#include <jerror.h>
#include <setjmp.h>

typedef struct {
    struct jpeg_error_mgr base;
    jmp_buf escape;
    cimages_status status;
    char message[JMSG_LENGTH_MAX];
} jpeg_faults;

static void on_error(j_common_ptr codec) {
    jpeg_faults *faults = (jpeg_faults *)codec->err;
    // The pixels are not libjpeg's to allocate, so what exceeds its memory is the coefficients of all scans.
    if (codec->err->msg_code == JERR_NO_BACKING_STORE) {
        faults->status = CIMAGES_TOO_LARGE;
        snprintf(faults->message, sizeof faults->message,
                 "its scans together need more than %d MiB of memory", CIMAGES_JPEG_MEMORY_MAX >> 20);
    } else {
        bool has_no_memory = codec->err->msg_code == JERR_OUT_OF_MEMORY;
        faults->status = has_no_memory ? CIMAGES_OUT_OF_MEMORY : CIMAGES_MALFORMED;
        codec->err->format_message(codec, faults->message);
    }
    longjmp(faults->escape, 1);
}

/// A warning says that data is damaged or missing; libjpeg would fill the rest with grey and go on. A page
/// that is partly invented is worse than none, so a warning (level -1) counts as an error.
static void on_message(j_common_ptr codec, int level) {
    if (level < 0) {
        on_error(codec);
    }
}

static void on_output(j_common_ptr codec) { (void)codec; }

static void on_progress(j_common_ptr codec) {
    j_decompress_ptr decoder = (j_decompress_ptr)codec;
    if (codec->is_decompressor && decoder->input_scan_number > CIMAGES_JPEG_SCANS_MAX) {
        jpeg_faults *faults = (jpeg_faults *)codec->err;
        faults->status = CIMAGES_MALFORMED;
        snprintf(faults->message, sizeof faults->message, "it has more than %d scans",
                 CIMAGES_JPEG_SCANS_MAX);
        longjmp(faults->escape, 1);
    }
}

/// Turns one row of CMYK into RGB as PIL does: ink is stored inverted (Adobe's convention, assumed of every
/// file), and a channel is the paper left by black, less the share of it that the ink covers.
static void cmyk_to_rgb(const uint8_t *cmyk, uint8_t *rgb, uint32_t width) {
    for (uint32_t x = 0; x < width; x++) {
        int ink[4];
        for (int channel = 0; channel < 4; channel++) {
            ink[channel] = 255 - cmyk[x * 4 + channel];
        }
        int paper = 255 - ink[3];
        for (int channel = 0; channel < 3; channel++) {
            int product = ink[channel] * paper + 128;
            int value = paper - (((product >> 8) + product) >> 8);
            rgb[x * 3 + channel] = (uint8_t)(value < 0 ? 0 : value);
        }
    }
}

static void read_jpeg(j_decompress_ptr decoder, cimages_image *image, cimages_limits limits) {
    jpeg_read_header(decoder, TRUE);
    if (!cimages_reserve(image, decoder->image_width, decoder->image_height, limits)) {
        return;
    }
    bool four = decoder->jpeg_color_space == JCS_CMYK || decoder->jpeg_color_space == JCS_YCCK;
    decoder->out_color_space = four ? JCS_CMYK : JCS_RGB;
    jpeg_start_decompress(decoder);
    size_t stride = (size_t)image->width * 3;
    JSAMPARRAY inks = NULL;
    if (four) {
        inks = decoder->mem->alloc_sarray((j_common_ptr)decoder, JPOOL_IMAGE, image->width * 4, 1);
    }
    while (decoder->output_scanline < decoder->output_height) {
        uint8_t *row = image->pixels + decoder->output_scanline * stride;
        if (four) {
            jpeg_read_scanlines(decoder, inks, 1);
            cmyk_to_rgb(inks[0], row, image->width);
        } else {
            jpeg_read_scanlines(decoder, &row, 1);
        }
    }
    jpeg_finish_decompress(decoder);
}

cimages_image cimages_decode_jpeg(const uint8_t *bytes, size_t size, cimages_limits limits) {
    cimages_image image = {0};
    struct jpeg_decompress_struct decoder;
    struct jpeg_progress_mgr progress = {0};
    jpeg_faults faults;
    decoder.err = jpeg_std_error(&faults.base);
    faults.base.error_exit = on_error;
    faults.base.emit_message = on_message;
    faults.base.output_message = on_output;
    progress.progress_monitor = on_progress;
    if (setjmp(faults.escape) == 0) {
        jpeg_create_decompress(&decoder);
        decoder.progress = &progress;
        decoder.mem->max_memory_to_use = CIMAGES_JPEG_MEMORY_MAX;
        jpeg_mem_src(&decoder, bytes, size);
        read_jpeg(&decoder, &image, limits);
    } else {
        cimages_fail(&image, faults.status, faults.message);
    }
    jpeg_destroy_decompress(&decoder);
    return image;
}
