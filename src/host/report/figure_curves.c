/* Curves over a common x axis: training's progress. */
#include "figure.h"

#include <math.h>

enum {
    PLOT_WIDTH = 460,
    PLOT_HEIGHT = 300,
    LEGEND_ROW = 17,
    LEGEND_SAMPLE = 26,
    LEGEND_NAME = 170,
    LEGEND_LEAST = 18,
    LEGEND_COLUMNS = 3
};
/* Points are marked while they are few enough to be told apart. */
enum { MARKED_MOST = 30, THINNED_LEAST = 4000 };

struct plot {
    struct page page;
    const struct series *series;
    int count, points; /* points: finite ones */
    double factor;     /* 100 for per cent */
    struct axis x, y;
    double left, top; /* of the plot area */
    int legend_rows;
};

static int is_point(const struct series *series, int i)
{
    return isfinite(series->x[i]) && isfinite(series->y[i]) && fabs(series->x[i]) < 1e300 && fabs(series->y[i]) < 1e298;
}

static void widen(double *low, double *high, double value)
{
    *low = fmin(*low, value);
    *high = fmax(*high, value);
}

/* A range that has a length, with room around the data. */
static void pad(double *low, double *high, double share)
{
    double room = share * (*high - *low);
    if (*high - *low <= 1e-9 * fmax(fabs(*low), fabs(*high)) || *high == *low)
        room = *low == 0 ? 0.5 : 0.1 * fabs(*low);
    *low -= room;
    *high += room;
}

static void set_axes(struct plot *plot, int y_percent)
{
    double x0 = INFINITY, x1 = -INFINITY, y0 = INFINITY, y1 = -INFINITY;
    for (int s = 0; s < plot->count; s++)
        for (int i = 0; i < plot->series[s].count; i++)
            if (is_point(&plot->series[s], i)) {
                widen(&x0, &x1, plot->series[s].x[i]);
                widen(&y0, &y1, plot->factor * plot->series[s].y[i]);
                plot->points++;
            }
    if (!plot->points) x0 = y0 = 0, x1 = 1, y1 = plot->factor;
    double least = y0, most = y1;
    pad(&x0, &x1, 0.02);
    pad(&y0, &y1, 0.05);
    if (y_percent) { /* no room where there can be no values, but for the width of a line */
        if (least >= 0) y0 = fmax(y0, -0.5);
        if (most <= 100) y1 = fmin(y1, 100.5);
    } else if (least >= 0) {
        y0 = fmax(y0, -0.01 * y1);
    }
    plot->x = axis_make(x0, x1, 8);
    plot->y = axis_make(y0, y1, 7);
}

static double at_x(const struct plot *plot, double x)
{
    return plot->left + PLOT_WIDTH * ((x - plot->x.low) / (plot->x.high - plot->x.low));
}

static double at_y(const struct plot *plot, double y)
{
    return plot->top + PLOT_HEIGHT * ((plot->y.high - plot->factor * y) / (plot->y.high - plot->y.low));
}

/* The width of the widest label, so that the axis' name keeps clear of it. */
static double labels_width(struct plot *plot)
{
    double widest = 0;
    char text[64];
    for (double v = axis_first(&plot->y); v <= plot->y.high; v += plot->y.step) {
        axis_label(&plot->y, v, text, sizeof text);
        widest = fmax(widest, page_text_width(&plot->page, SIZE_TICK, text));
    }
    return widest;
}

static void draw_axes(struct plot *plot, const char *x_label, const char *y_label)
{
    struct page *page = &plot->page;
    double bottom = plot->top + PLOT_HEIGHT, right = plot->left + PLOT_WIDTH;
    char text[FIT_CAPACITY];
    for (int i = 0; axis_first(&plot->y) + i * plot->y.step <= plot->y.high; i++) {
        double value = axis_first(&plot->y) + i * plot->y.step, y = at_y(plot, value / plot->factor);
        page_line(page, plot->left, y, right, y, 0.8, color_grid);
        page_line(page, plot->left - 4, y, plot->left, y, 0.8, color_frame);
        axis_label(&plot->y, value, text, sizeof text);
        page_text(page, plot->left - 7, y, 1, SIZE_TICK, color_ink, text);
    }
    for (int i = 0; axis_first(&plot->x) + i * plot->x.step <= plot->x.high; i++) {
        double value = axis_first(&plot->x) + i * plot->x.step, x = at_x(plot, value);
        page_line(page, x, plot->top, x, bottom, 0.8, color_grid);
        page_line(page, x, bottom, x, bottom + 4, 0.8, color_frame);
        axis_label(&plot->x, value, text, sizeof text);
        page_text(page, x, bottom + 13, 0.5, SIZE_TICK, color_ink, text);
    }
    page_line(page, plot->left, plot->top, plot->left, bottom, 0.8, color_frame);
    page_line(page, plot->left, bottom, right, bottom, 0.8, color_frame);
    page_text_fit(page, SIZE_LABEL, x_label ? x_label : "", PLOT_WIDTH, text);
    page_text(page, 0.5 * (plot->left + right), bottom + 33, 0.5, SIZE_LABEL, color_ink, text);
    page_text_fit(page, SIZE_LABEL, y_label ? y_label : "", PLOT_HEIGHT, text);
    page_text_turned(page, MARGIN + 5, 0.5 * (plot->top + bottom), 0.5, SIZE_LABEL, text);
}

/* Series past the seven hues repeat them in dashes. */
static void set_pen(struct page *page, int s)
{
    static const double dashes[][4] = {{0}, {6, 2.5, 6, 2.5}, {2, 2, 2, 2}, {8, 2, 2, 2}};
    int dash = s / HUES % 4;
    page_color(page, color_series(s));
    cairo_set_line_width(page->cr, 1.8);
    cairo_set_line_join(page->cr, CAIRO_LINE_JOIN_ROUND);
    cairo_set_line_cap(page->cr, dash ? CAIRO_LINE_CAP_BUTT : CAIRO_LINE_CAP_ROUND);
    cairo_set_dash(page->cr, dashes[dash], dash ? 4 : 0, 0);
}

static void draw_marker(struct page *page, double x, double y)
{
    cairo_new_sub_path(page->cr);
    cairo_arc(page->cr, x, y, 2.6, 0, 2 * M_PI);
    cairo_fill(page->cr);
}

/* Whether a point would be drawn within what its column of pixels shows already; thins out long series. */
struct seen {
    double column, low, high;
};
static int is_seen(struct seen *seen, double x, double y)
{
    double column = floor(2 * x);
    if (column != seen->column) {
        *seen = (struct seen){column, y, y};
        return 0;
    }
    if (y >= seen->low && y <= seen->high) return 1;
    seen->low = fmin(seen->low, y);
    seen->high = fmax(seen->high, y);
    return 0;
}

/* Stroked in stretches, since the cost of one stroke grows faster than its length. */
static void draw_series(struct plot *plot, int s)
{
    struct page *page = &plot->page;
    const struct series *series = &plot->series[s];
    enum { STRETCH = 500 };
    struct seen seen = {.column = -1};
    int run = 0;
    set_pen(page, s);
    for (int i = 0; i < series->count; i++) {
        if (!is_point(series, i)) {
            run = 0; /* a gap */
            continue;
        }
        double x = at_x(plot, series->x[i]), y = at_y(plot, series->y[i]);
        if (series->count > THINNED_LEAST && run > 0 && is_seen(&seen, x, y)) continue;
        if (run++ == 0) cairo_move_to(page->cr, x, y);
        cairo_line_to(page->cr, x, y); /* also from the first point to itself: a point between gaps is a dot */
        if (run % STRETCH == 0) {
            cairo_stroke(page->cr);
            cairo_move_to(page->cr, x, y);
        }
    }
    cairo_stroke(page->cr);
    cairo_set_dash(page->cr, NULL, 0, 0);
    for (int i = 0; i < series->count && series->count <= MARKED_MOST; i++)
        if (is_point(series, i)) draw_marker(page, at_x(plot, series->x[i]), at_y(plot, series->y[i]));
}

static double legend_name_width(struct plot *plot)
{
    double widest = 0;
    for (int s = 0; s < plot->count; s++)
        widest =
            fmax(widest, page_text_width(&plot->page, SIZE_TICK, plot->series[s].name ? plot->series[s].name : ""));
    return fmin(widest, LEGEND_NAME);
}

static void draw_legend(struct plot *plot, double x, double name_width)
{
    struct page *page = &plot->page;
    char text[FIT_CAPACITY];
    for (int s = 0; s < plot->count; s++) {
        double left = x + s / plot->legend_rows * (LEGEND_SAMPLE + 6 + name_width + 16);
        double y = plot->top + 8 + s % plot->legend_rows * LEGEND_ROW;
        set_pen(page, s);
        cairo_move_to(page->cr, left, y);
        cairo_line_to(page->cr, left + LEGEND_SAMPLE, y);
        cairo_stroke(page->cr);
        cairo_set_dash(page->cr, NULL, 0, 0);
        if (plot->series[s].count <= MARKED_MOST) draw_marker(page, left + 0.5 * LEGEND_SAMPLE, y);
        page_text_fit(page, SIZE_TICK, plot->series[s].name ? plot->series[s].name : "", name_width + 0.01, text);
        page_text(page, left + LEGEND_SAMPLE + 6, y, 0, SIZE_TICK, color_ink, text);
    }
}

hff_status figure_curves(const char *path, const char *title, const char *x_label, const char *y_label,
                         const struct series *series, int count, int y_percent)
{
    struct plot plot = {.series = series, .count = count, .factor = y_percent ? 100 : 1, .top = TITLE_HEIGHT + 4};
    page_open(&plot.page);
    set_axes(&plot, y_percent);
    plot.left = MARGIN + 20 + labels_width(&plot) + 8;
    double name_width = legend_name_width(&plot), legend = plot.left + PLOT_WIDTH + 20;
    int rows = (count + LEGEND_COLUMNS - 1) / LEGEND_COLUMNS;
    plot.legend_rows = rows > LEGEND_LEAST ? rows : LEGEND_LEAST; /* past three columns, the page grows downwards */
    int legend_columns = (count + plot.legend_rows - 1) / plot.legend_rows;
    double legend_width = legend_columns * (LEGEND_SAMPLE + 6 + name_width + 16);
    page_size(&plot.page, legend + legend_width + (count ? 0 : MARGIN),
              plot.top + fmax(PLOT_HEIGHT + 33, plot.legend_rows * LEGEND_ROW) + MARGIN);
    page_title(&plot.page, plot.left, title);
    draw_axes(&plot, x_label, y_label);
    for (int s = 0; s < count; s++) draw_series(&plot, s);
    draw_legend(&plot, legend, name_width);
    if (!plot.points)
        page_text(&plot.page, plot.left + 0.5 * PLOT_WIDTH, plot.top + 0.5 * PLOT_HEIGHT, 0.5, SIZE_LABEL, color_muted,
                  "no data");
    return page_write(&plot.page, path);
}
