/* A grid of small images: samples, filters, mistakes. */
#include "figure.h"

#include <math.h>
#include <stdint.h>

enum { SHEET_LEAST = 160, SHEET_MOST = 760, GAP = 8, CAPTION_HEIGHT = 15, CAPTION_SIZE = 9, CAPTION_MOST = 125 };
enum { PIXELS_LEAST = 112 }; /* pixels of the PNG that a side is enlarged to, by whole factors */

struct grid {
    int channels, height, width; /* of an image */
    int factor;                  /* pixels of the PNG per pixel of an image */
    int columns, rows;
    double image_width, image_height, cell_width, cell_height;
};

/* Cells are as wide as their captions need, up to a limit; rows make a near square within the sheet's width. */
static struct grid grid_make(struct page *page, int count, int channels, int height, int width,
                             const char *const *captions)
{
    struct grid grid = {.channels = channels, .height = height, .width = width};
    int side = height > width ? height : width;
    grid.factor = side >= PIXELS_LEAST ? 1 : (PIXELS_LEAST + side - 1) / side;
    grid.image_width = 0.5 * grid.factor * width;
    grid.image_height = 0.5 * grid.factor * height;
    double caption = 0;
    for (int i = 0; captions && i < count; i++)
        if (captions[i]) caption = fmax(caption, page_text_width(page, CAPTION_SIZE, captions[i]));
    grid.cell_width = fmax(grid.image_width, fmin(ceil(caption), CAPTION_MOST)) + GAP;
    grid.cell_height = grid.image_height + GAP + (captions ? CAPTION_HEIGHT : 0);
    int most = (int)fmax(1, floor((SHEET_MOST + GAP) / grid.cell_width));
    int square = (int)ceil(sqrt(count * grid.cell_height / grid.cell_width));
    grid.columns = count <= 5 ? count : square < 5 ? 5 : square;
    if (grid.columns > most) grid.columns = most;
    if (grid.columns < 1) grid.columns = 1;
    grid.rows = (count + grid.columns - 1) / grid.columns;
    return grid;
}

struct window {
    float low, high;
};

/* The range of the numbers in it; 0 .. 1 when not scaled. */
static struct window window_of(const float *image, size_t size, int scale)
{
    struct window window = {0, 1};
    if (!scale) return window;
    int found = 0;
    for (size_t i = 0; i < size; i++) {
        if (!isfinite(image[i])) continue;
        if (!found || image[i] < window.low) window.low = image[i];
        if (!found || image[i] > window.high) window.high = image[i];
        found = 1;
    }
    return window;
}

static uint32_t shade(float value, struct window window)
{
    double range = (double)window.high - window.low;
    double share = range > 0 ? ((double)value - window.low) / range : 0.5; /* nothing but one value: grey */
    return (uint32_t)lround(255 * fmax(0, fmin(1, share)));
}

/* A pixel with a number that is none is orange, which scaled images of one channel cannot be. */
static uint32_t pixel(const struct grid *grid, const float *image, int y, int x, struct window window)
{
    size_t plane = (size_t)grid->height * (size_t)grid->width, at = (size_t)y * (size_t)grid->width + (size_t)x;
    uint32_t value[3];
    for (int c = 0; c < 3; c++) {
        float number = image[at + (grid->channels == 3 ? (size_t)c : 0) * plane];
        if (isnan(number)) return 0xe69f00;
        value[c] = shade(number, window);
    }
    return value[0] << 16 | value[1] << 8 | value[2];
}

static void draw_image(struct page *page, const struct grid *grid, const float *image, double x, double y, int scale)
{
    if (page->too_large) return;
    struct window window = window_of(image, (size_t)grid->channels * (size_t)grid->height * (size_t)grid->width, scale);
    cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, grid->width, grid->height);
    unsigned char *data = cairo_image_surface_get_data(surface);
    int stride = cairo_image_surface_get_stride(surface);
    for (int row = 0; data && row < grid->height; row++) {
        uint32_t *line = (uint32_t *)(void *)(data + (size_t)row * (size_t)stride);
        for (int column = 0; column < grid->width; column++) line[column] = pixel(grid, image, row, column, window);
    }
    cairo_surface_mark_dirty(surface);
    cairo_save(page->cr);
    cairo_rectangle(page->cr, x, y, grid->image_width, grid->image_height);
    cairo_clip(page->cr);
    cairo_translate(page->cr, x, y);
    cairo_scale(page->cr, 0.5 * grid->factor, 0.5 * grid->factor);
    cairo_set_source_surface(page->cr, surface, 0, 0);
    cairo_pattern_set_filter(cairo_get_source(page->cr), CAIRO_FILTER_NEAREST);
    cairo_paint(page->cr);
    cairo_restore(page->cr);
    cairo_surface_destroy(surface);
}

hff_status figure_images(const char *path, const char *title, const float *images, int count, int channels, int height,
                         int width, const char *const *captions, int scale_each)
{
    if ((channels != 1 && channels != 3) || height < 1 || width < 1 || count < 0)
        return fail(HFF_E_USAGE, "%s: cannot draw %d images of %d x %d x %d; 1 or 3 channels are possible", path, count,
                    channels, height, width);
    struct page page;
    page_open(&page);
    struct grid grid = grid_make(&page, count, channels, height, width, captions);
    double wide = fmax(grid.columns * grid.cell_width - GAP, SHEET_LEAST) + 2 * MARGIN;
    wide = fmax(wide, page_title_width(&page, MARGIN, title));
    page_size(&page, wide, TITLE_HEIGHT + fmax(grid.rows * grid.cell_height - GAP, 40) + MARGIN);
    page_title(&page, MARGIN, title);
    size_t size = (size_t)channels * (size_t)height * (size_t)width;
    for (int i = 0; i < count; i++) {
        double left = MARGIN + i % grid.columns * grid.cell_width, middle = left + 0.5 * (grid.cell_width - GAP);
        double x = floor(2 * (middle - 0.5 * grid.image_width)) / 2; /* on a pixel */
        double y = TITLE_HEIGHT + i / grid.columns * grid.cell_height;
        draw_image(&page, &grid, images + (size_t)i * size, x, y, scale_each);
        if (!captions || !captions[i]) continue;
        char text[FIT_CAPACITY];
        page_text_fit(&page, CAPTION_SIZE, captions[i], grid.cell_width - GAP + 1, text);
        page_text(&page, middle, y + grid.image_height + 8, 0.5, CAPTION_SIZE, color_ink, text);
    }
    if (count == 0) page_text(&page, MARGIN, TITLE_HEIGHT + 20, 0, SIZE_LABEL, color_muted, "no images");
    return page_write(&page, path);
}
