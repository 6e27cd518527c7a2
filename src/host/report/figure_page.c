/* The page that figures are drawn on: cairo surface, lines, text, PNG. */
#include "base/file.h"
#include "figure.h"
#include "text.h"

#include <math.h>
#include <string.h>

enum { SCALE = 2, PIXELS_MOST = 120 * 1000 * 1000, SIDE_MOST = 32000 };

static void set_weight(struct page *page, cairo_font_weight_t weight)
{
    cairo_select_font_face(page->cr, "DejaVu Sans", CAIRO_FONT_SLANT_NORMAL, weight);
}

static void start(struct page *page, int width, int height)
{
    page->surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, width, height);
    cairo_surface_set_device_scale(page->surface, SCALE, SCALE);
    page->cr = cairo_create(page->surface);
    cairo_font_options_t *options = cairo_font_options_create();
    cairo_font_options_set_hint_metrics(options, CAIRO_HINT_METRICS_OFF); /* text as wide as was measured */
    cairo_font_options_set_hint_style(options, CAIRO_HINT_STYLE_NONE);
    cairo_font_options_set_antialias(options, CAIRO_ANTIALIAS_GRAY);
    cairo_set_font_options(page->cr, options);
    cairo_font_options_destroy(options);
    set_weight(page, CAIRO_FONT_WEIGHT_NORMAL);
}

static void stop(struct page *page)
{
    cairo_destroy(page->cr);
    cairo_surface_destroy(page->surface);
}

void page_open(struct page *page)
{
    memset(page, 0, sizeof *page);
    start(page, 1, 1);
}

void page_size(struct page *page, double width, double height)
{
    stop(page);
    page->width = ceil(width);
    page->height = ceil(height);
    double w = SCALE * page->width, h = SCALE * page->height;
    page->too_large = w > SIDE_MOST || h > SIDE_MOST || w * h > PIXELS_MOST;
    if (page->too_large) w = h = 1;
    start(page, (int)w, (int)h);
    cairo_set_source_rgb(page->cr, 1, 1, 1);
    cairo_paint(page->cr);
}

#ifdef HFF_SANITIZE
/* Fontconfig keeps its pointers as offsets, so that the leak checker takes what its caches hold for lost. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libfontconfig";
}
#endif

struct sink {
    struct file_writer writer;
    hff_status status;
};

static cairo_status_t sink_put(void *closure, const unsigned char *data, unsigned size)
{
    struct sink *sink = closure;
    sink->status = file_put(&sink->writer, data, size);
    return sink->status == HFF_OK ? CAIRO_STATUS_SUCCESS : CAIRO_STATUS_WRITE_ERROR;
}

static hff_status write_png(struct page *page, const char *path)
{
    if (page->too_large)
        return fail(HFF_E_USAGE, "%s: a figure of %.0f x %.0f points is too large; draw less in it", path, page->width,
                    page->height);
    cairo_status_t drawn = cairo_status(page->cr);
    if (drawn != CAIRO_STATUS_SUCCESS)
        return fail(HFF_E_MEMORY, "%s: cannot draw the figure: %s", path, cairo_status_to_string(drawn));
    struct sink sink = {.status = HFF_OK};
    TRY(file_create(&sink.writer, path));
    cairo_status_t written = cairo_surface_write_to_png_stream(page->surface, sink_put, &sink);
    if (written == CAIRO_STATUS_SUCCESS) return file_commit(&sink.writer);
    file_abandon(&sink.writer);
    if (sink.status != HFF_OK) return sink.status;
    return fail(HFF_E_IO, "%s: cannot write the figure: %s", path, cairo_status_to_string(written));
}

hff_status page_write(struct page *page, const char *path)
{
    hff_status status = write_png(page, path);
    stop(page);
    return status;
}

void page_color(struct page *page, struct rgb color)
{
    cairo_set_source_rgb(page->cr, color.r, color.g, color.b);
}

void page_line(struct page *page, double x0, double y0, double x1, double y1, double width, struct rgb color)
{
    page_color(page, color);
    cairo_set_line_width(page->cr, width);
    cairo_move_to(page->cr, x0, y0);
    cairo_line_to(page->cr, x1, y1);
    cairo_stroke(page->cr);
}

void page_box(struct page *page, double x, double y, double width, double height, struct rgb color)
{
    page_color(page, color);
    cairo_rectangle(page->cr, x, y, width, height);
    cairo_fill(page->cr);
}

void page_frame(struct page *page, double x, double y, double width, double height)
{
    page_color(page, color_frame);
    cairo_set_line_width(page->cr, 0.8);
    cairo_rectangle(page->cr, x, y, width, height);
    cairo_stroke(page->cr);
}

/* Cairo refuses text that is not UTF-8, and the page with it: only cleaned text gets there. */
static void clean(const char *text, char out[FIT_CAPACITY])
{
    text_fit(out, FIT_CAPACITY, text, FIT_CAPACITY);
}

static double clean_width(struct page *page, double size, const char *text)
{
    cairo_text_extents_t extents;
    cairo_set_font_size(page->cr, size);
    cairo_text_extents(page->cr, text, &extents);
    return extents.x_advance;
}

double page_text_width(struct page *page, double size, const char *text)
{
    char cleaned[FIT_CAPACITY];
    clean(text, cleaned);
    return clean_width(page, size, cleaned);
}

void page_text_fit(struct page *page, double size, const char *text, double width, char out[FIT_CAPACITY])
{
    static const char ellipsis[] = "…";
    clean(text, out);
    if (clean_width(page, size, out) <= width) return;
    size_t length = strlen(out);
    if (length > FIT_CAPACITY - sizeof ellipsis) length = FIT_CAPACITY - sizeof ellipsis;
    while (length > 0) {
        do { /* back over a whole character */
            length--;
        } while (length > 0 && ((unsigned char)out[length] & 0xc0) == 0x80);
        size_t end = length;
        while (end > 0 && out[end - 1] == ' ') end--;
        memcpy(out + end, ellipsis, sizeof ellipsis);
        if (clean_width(page, size, out) <= width) return;
    }
}

/* Half the height of capitals and digits, which is what a line's middle is to the eye. */
static double half_height(double size)
{
    return 0.365 * size;
}

void page_text(struct page *page, double x, double y, double align, double size, struct rgb color, const char *text)
{
    char cleaned[FIT_CAPACITY];
    clean(text, cleaned);
    double width = clean_width(page, size, cleaned);
    page_color(page, color);
    cairo_move_to(page->cr, x - align * width, y + half_height(size));
    cairo_show_text(page->cr, cleaned);
}

void page_text_turned(struct page *page, double x, double y, double align, double size, const char *text)
{
    char cleaned[FIT_CAPACITY];
    clean(text, cleaned);
    double width = clean_width(page, size, cleaned);
    page_color(page, color_ink);
    cairo_save(page->cr);
    cairo_move_to(page->cr, x + half_height(size), y + align * width);
    cairo_rotate(page->cr, -M_PI_2);
    cairo_show_text(page->cr, cleaned);
    cairo_restore(page->cr);
}

void page_title(struct page *page, double x, const char *title)
{
    char text[FIT_CAPACITY];
    set_weight(page, CAIRO_FONT_WEIGHT_BOLD);
    page_text_fit(page, SIZE_TITLE, title ? title : "", page->width - x - MARGIN, text);
    page_text(page, x, 0.5 * TITLE_HEIGHT + 2, 0, SIZE_TITLE, color_ink, text);
    set_weight(page, CAIRO_FONT_WEIGHT_NORMAL);
}

double page_title_width(struct page *page, double x, const char *title)
{
    enum { REASONABLE = 520 };
    set_weight(page, CAIRO_FONT_WEIGHT_BOLD);
    double width = page_text_width(page, SIZE_TITLE, title ? title : "");
    set_weight(page, CAIRO_FONT_WEIGHT_NORMAL);
    return x + fmin(width + 1, REASONABLE) + MARGIN;
}
