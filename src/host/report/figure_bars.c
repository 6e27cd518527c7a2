/* Horizontal bars with their values: speeds, sizes, shares. */
#include "figure.h"
#include "text.h"

#include <math.h>

enum { PLOT_WIDTH = 380, ROW_HEIGHT = 26, BAR_HEIGHT = 17, NAME_MOST = 220, GAP = 6 };

struct bars {
    struct page page;
    const char *const *names;
    const double *values;
    int count;
    const char *unit;
    double low, high; /* 0 is within */
    double name_width, value_width;
};

/* Three digits or all that stand before the point. */
static void say_value(const struct bars *bars, int i, char out[FIT_CAPACITY])
{
    double value = bars->values[i];
    char number[64];
    if (!isfinite(value)) {
        snprintf(out, FIT_CAPACITY, "no value");
        return;
    }
    if (fabs(value) >= 1000)
        text_thousands(number, sizeof number, value);
    else if (fabs(value) >= 100)
        snprintf(number, sizeof number, "%.0f", value);
    else
        snprintf(number, sizeof number, "%.3g", value);
    snprintf(out, FIT_CAPACITY, "%s%s%.100s", number, bars->unit && *bars->unit ? " " : "",
             bars->unit ? bars->unit : "");
}

static const char *name_of(const struct bars *bars, int i)
{
    return bars->names && bars->names[i] ? bars->names[i] : "";
}

static void measure(struct bars *bars)
{
    char text[FIT_CAPACITY];
    for (int i = 0; i < bars->count; i++) {
        bars->name_width = fmax(bars->name_width, page_text_width(&bars->page, SIZE_TICK, name_of(bars, i)));
        say_value(bars, i, text);
        bars->value_width = fmax(bars->value_width, page_text_width(&bars->page, SIZE_TICK, text));
        if (!isfinite(bars->values[i])) continue;
        bars->low = fmin(bars->low, bars->values[i]);
        bars->high = fmax(bars->high, bars->values[i]);
    }
    bars->name_width = fmin(bars->name_width, NAME_MOST);
}

static void draw_row(struct bars *bars, int i, double left, double top)
{
    struct page *page = &bars->page;
    char text[FIT_CAPACITY];
    double range = bars->high - bars->low, zero = left + PLOT_WIDTH * (range > 0 ? -bars->low / range : 0);
    double y = top + (i + 0.5) * ROW_HEIGHT, value = isfinite(bars->values[i]) ? bars->values[i] : 0;
    double end = zero + (range > 0 ? PLOT_WIDTH * (value / range) : 0);
    page_text_fit(page, SIZE_TICK, name_of(bars, i), bars->name_width + 0.01, text);
    page_text(page, MARGIN + bars->name_width, y, 1, SIZE_TICK, color_ink, text);
    page_box(page, fmin(zero, end), y - 0.5 * BAR_HEIGHT, fabs(end - zero), BAR_HEIGHT, color_series(0));
    say_value(bars, i, text);
    struct rgb color = isfinite(bars->values[i]) ? color_ink : color_muted;
    page_text(page, fmax(zero, end) + GAP, y, 0, SIZE_TICK, color, text);
    page_line(page, zero, y - 0.5 * ROW_HEIGHT, zero, y + 0.5 * ROW_HEIGHT, 0.8, color_frame);
}

hff_status figure_bars(const char *path, const char *title, const char *const *names, const double *values, int count,
                       const char *unit)
{
    struct bars bars = {.names = names, .values = values, .count = count, .unit = unit};
    page_open(&bars.page);
    measure(&bars);
    double left = MARGIN + bars.name_width + 8, top = TITLE_HEIGHT + 2;
    page_size(&bars.page, left + PLOT_WIDTH + GAP + bars.value_width + MARGIN,
              top + fmax(count, 1) * ROW_HEIGHT + MARGIN);
    page_title(&bars.page, MARGIN, title);
    for (int i = 0; i < count; i++) draw_row(&bars, i, left, top);
    if (count <= 0) page_text(&bars.page, left, top + 0.5 * ROW_HEIGHT, 0, SIZE_LABEL, color_muted, "no data");
    return page_write(&bars.page, path);
}
