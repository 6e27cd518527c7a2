/* Drawing helpers that the figures share: a page, text that is measured and cut, axes, colours. Private to the room.
 *
 * Lengths are in points of 1/96 inch at twice the resolution: a pixel of the PNG is half a point. Errors are kept in
 * the page and come out at its end: between page_open and page_write no call can fail. */
#ifndef HFF_REPORT_FIGURE_H
#define HFF_REPORT_FIGURE_H

#include "report.h"

#include <cairo.h>
#include <stddef.h>

struct rgb {
    double r, g, b;
};
extern const struct rgb color_ink, color_muted, color_grid, color_frame, color_missing;

/* The colour of series i: hues that stay apart for colour-blind eyes (Okabe and Ito 2008), over again after seven. */
enum { HUES = 7 };
struct rgb color_series(int i);
/* White over blue to navy for 0 .. 1; blue over white to red for -1 .. 1; not a number is grey. */
struct rgb color_sequential(double share);
struct rgb color_diverging(double value);
/* Black or white, whichever can be read on background. */
struct rgb color_on(struct rgb background);

enum { TITLE_HEIGHT = 36, MARGIN = 14 };
enum { SIZE_TITLE = 13, SIZE_LABEL = 11, SIZE_TICK = 10 };

struct page {
    cairo_surface_t *surface;
    cairo_t *cr;
    double width, height;
    int too_large;
};
/* A page to measure text on; page_size gives it its size, white. */
void page_open(struct page *page);
void page_size(struct page *page, double width, double height);
/* Writes the PNG atomically and frees the page, whatever happens. */
hff_status page_write(struct page *page, const char *path);

void page_color(struct page *page, struct rgb color);
void page_line(struct page *page, double x0, double y0, double x1, double y1, double width, struct rgb color);
void page_box(struct page *page, double x, double y, double width, double height, struct rgb color);
void page_frame(struct page *page, double x, double y, double width, double height);

/* y is the middle of the line; align 0: from x on, 0.5: around x, 1: up to x. Turned text runs upwards, around y. */
void page_text(struct page *page, double x, double y, double align, double size, struct rgb color, const char *text);
void page_text_turned(struct page *page, double x, double y, double align, double size, const char *text);
void page_title(struct page *page, double x, const char *title);
/* The width that a page needs so that a title (of reasonable length) at x is not cut. */
double page_title_width(struct page *page, double x, const char *title);
double page_text_width(struct page *page, double size, const char *text);
/* text, cleaned, ending in an ellipsis where it would be wider. */
enum { FIT_CAPACITY = 512 };
void page_text_fit(struct page *page, double size, const char *text, double width, char out[FIT_CAPACITY]);

/* Ticks at multiples of step between low and high. */
struct axis {
    double low, high, step;
};
/* About so many ticks on round numbers (1, 2, 2.5, 5 times a power of ten); low and high stay. */
struct axis axis_make(double low, double high, int ticks);
double axis_first(const struct axis *axis);
void axis_label(const struct axis *axis, double value, char *out, size_t capacity);

#endif
