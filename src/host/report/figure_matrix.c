/* A square of coloured cells: cosines between prototypes. */
#include "figure_matrix.h"

#include <math.h>
#include <stdint.h>

static uint32_t pixel(struct rgb color)
{
    uint32_t r = (uint32_t)lround(255 * color.r), g = (uint32_t)lround(255 * color.g),
             b = (uint32_t)lround(255 * color.b);
    return r << 16 | g << 8 | b;
}

/* Through a small image that is scaled up without smoothing: as quick for a million cells as for ten. */
void cells_draw(struct page *page, double x, double y, double size, const double *values, int n,
                struct rgb (*color)(double))
{
    if (n <= 0 || page->too_large) return;
    cairo_surface_t *image = cairo_image_surface_create(CAIRO_FORMAT_RGB24, n, n);
    unsigned char *data = cairo_image_surface_get_data(image);
    int stride = cairo_image_surface_get_stride(image);
    for (int row = 0; data && row < n; row++) {
        uint32_t *line = (uint32_t *)(void *)(data + (size_t)row * (size_t)stride);
        for (int column = 0; column < n; column++)
            line[column] = pixel(color(values[(size_t)row * (size_t)n + (size_t)column]));
    }
    cairo_surface_mark_dirty(image);
    cairo_save(page->cr);
    cairo_rectangle(page->cr, x, y, size, size);
    cairo_clip(page->cr);
    cairo_translate(page->cr, x, y);
    cairo_scale(page->cr, size / n, size / n);
    cairo_set_source_surface(page->cr, image, 0, 0);
    cairo_pattern_set_filter(cairo_get_source(page->cr), CAIRO_FILTER_NEAREST);
    cairo_paint(page->cr);
    cairo_restore(page->cr);
    cairo_surface_destroy(image);
}

void color_bar_draw(struct page *page, double x, double y, double height, double from, double to,
                    struct rgb (*color)(double), const struct bar_label *labels, int count, const char *name)
{
    enum { STEPS = 256 };
    for (int i = 0; i < STEPS; i++) { /* each step reaches under the next, so that no seam shows */
        double top = y + height * i / STEPS, rest = y + height - top;
        page_box(page, x, top, BAR_WIDTH, fmin(rest, 2 * height / STEPS), color(to + (from - to) * (i + 0.5) / STEPS));
    }
    page_frame(page, x, y, BAR_WIDTH, height);
    for (int i = 0; i < count; i++) {
        double at = y + height * (to - labels[i].value) / (to - from);
        page_line(page, x + BAR_WIDTH, at, x + BAR_WIDTH + 3, at, 0.8, color_frame);
        page_text(page, x + BAR_WIDTH + 6, at, 0, 9, color_ink, labels[i].text);
    }
    page_text_turned(page, x + BAR_SPACE - 26, y + 0.5 * height, 0.5, SIZE_TICK, name);
}

hff_status figure_matrix(const char *path, const char *title, const double *values, int n)
{
    static const struct bar_label labels[] = {{-1, "-1"}, {-0.5, "-0.5"}, {0, "0"}, {0.5, "0.5"}, {1, "1"}};
    struct page page;
    page_open(&page);
    int cells = n > 0 ? n : 1;
    /* Whole pixels for each cell where that is possible. */
    double cell = fmax(0.5, floor(2 * 360.0 / cells) / 2), size = cells * cell;
    double left = MARGIN + 44, top = TITLE_HEIGHT + 4;
    page_size(&page, fmax(left + size + 18 + BAR_SPACE, page_title_width(&page, left, title)),
              top + size + 33 + MARGIN);
    page_title(&page, left, title);
    cells_draw(&page, left, top, size, values, n, color_diverging);
    page_frame(&page, left, top, size, size);
    struct axis axis = axis_make(0, cells, cells < 10 ? cells : 10);
    int step = axis.step < 1 ? 1 : (int)ceil(axis.step);
    for (int i = 0; i < n; i += step) {
        char text[16];
        double at = (i + 0.5) * cell;
        snprintf(text, sizeof text, "%d", i);
        page_text(&page, left - 6, top + at, 1, SIZE_TICK, color_ink, text);
        page_text(&page, left + at, top + size + 11, 0.5, SIZE_TICK, color_ink, text);
    }
    if (n <= 0) page_text(&page, left + 0.5 * size, top + 0.5 * size, 0.5, SIZE_LABEL, color_muted, "no data");
    page_text(&page, left + 0.5 * size, top + size + 31, 0.5, SIZE_LABEL, color_ink, "prototype");
    page_text_turned(&page, MARGIN + 3, top + 0.5 * size, 0.5, SIZE_LABEL, "prototype");
    color_bar_draw(&page, left + size + 18, top, size, -1, 1, color_diverging, labels, 5, "cosine");
    return page_write(&page, path);
}
