/* PNG files, decoded by cairo. Its pixels are 8-bit RGB in native 32-bit words, what is transparent already on black. */
#include "png.h"

#include <cairo.h>
#include <stdlib.h>
#include <string.h>

static const unsigned char signature[16] = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR"; /* and the length of its first chunk */

enum { HEADER = 24, SIDE = 8192 };

int png_is(const unsigned char *bytes, size_t size)
{
    return size >= 8 && memcmp(bytes, signature, 8) == 0;
}

static uint32_t big_endian(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

struct input {
    const unsigned char *bytes;
    size_t left;
};

static cairo_status_t pull(void *context, unsigned char *out, unsigned int size)
{
    struct input *in = context;
    if (size > in->left) return CAIRO_STATUS_READ_ERROR;
    memcpy(out, in->bytes, size);
    in->bytes += size;
    in->left -= size;
    return CAIRO_STATUS_SUCCESS;
}

static int is_grey(const unsigned char *rows, int height, int width, int stride)
{
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            uint32_t p;
            memcpy(&p, rows + (size_t)y * (size_t)stride + (size_t)x * 4, sizeof p);
            if ((p & 255) != (p >> 8 & 255) || (p & 255) != (p >> 16 & 255)) return 0;
        }
    return 1;
}

static hff_status take_pixels(struct images *out, const char *path, cairo_surface_t *surface)
{
    cairo_format_t format = cairo_image_surface_get_format(surface);
    if (format != CAIRO_FORMAT_RGB24 && format != CAIRO_FORMAT_ARGB32)
        return fail(HFF_E_DATA, "%s: a PNG with more than 8 bits a colour; convert it to 8 bits", path);
    int height = cairo_image_surface_get_height(surface), width = cairo_image_surface_get_width(surface),
        stride = cairo_image_surface_get_stride(surface);
    const unsigned char *rows = cairo_image_surface_get_data(surface);
    int channels = is_grey(rows, height, width, stride) ? 1 : 3;
    size_t plane = (size_t)height * (size_t)width;
    *out = (struct images){1, channels, height, width, malloc((size_t)channels * plane)};
    if (!out->pixels) return fail(HFF_E_MEMORY, "%s: no memory for its pixels", path);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            uint32_t p;
            memcpy(&p, rows + (size_t)y * (size_t)stride + (size_t)x * 4, sizeof p);
            for (int c = 0; c < channels; c++)
                out->pixels[(size_t)c * plane + (size_t)y * (size_t)width + (size_t)x] = (uint8_t)(p >> (16 - 8 * c));
        }
    return HFF_OK;
}

hff_status png_parse(struct images *out, const char *path, const unsigned char *bytes, size_t size)
{
    *out = (struct images){0};
    if (size < HEADER || memcmp(bytes, signature, sizeof signature) != 0)
        return fail(HFF_E_DATA, "%s: a PNG file without its header; get it again", path);
    uint32_t width = big_endian(bytes + 16), height = big_endian(bytes + 20);
    if (width == 0 || height == 0 || width > SIDE || height > SIDE) /* before anybody allocates for it */
        return fail(HFF_E_DATA, "%s: an image of %u x %u; at most %d x %d", path, width, height, SIDE, SIDE);
    struct input in = {bytes, size};
    cairo_surface_t *surface = cairo_image_surface_create_from_png_stream(pull, &in);
    cairo_status_t said = cairo_surface_status(surface);
    hff_status status;
    if (said == CAIRO_STATUS_NO_MEMORY) /* libpng's errors arrive as this one, too */
        status = fail(HFF_E_DATA, "%s: the PNG file is damaged (or there is no memory for it)", path);
    else if (said != CAIRO_STATUS_SUCCESS)
        status = fail(HFF_E_DATA, "%s: the PNG file is damaged or cut off: %s", path, cairo_status_to_string(said));
    else
        status = take_pixels(out, path, surface);
    cairo_surface_destroy(surface);
    return status;
}
