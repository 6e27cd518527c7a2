/* The confusion matrix: which classes are taken for which. */
#include "figure_matrix.h"

#include <math.h>
#include <stdlib.h>

enum { COUNTED_MOST = 20, CLASSES_MOST = 10000, NAME_MOST = 130 };

struct confusion {
    struct page page;
    const int64_t *counts;
    int classes;
    const char *const *names;
    double *shares; /* square roots of row shares, so that rare confusions can be seen beside a full diagonal */
    double cell, size, left, top, label_size, name_width;
    int turned; /* the names below stand upright */
};

static void name_of(struct confusion *c, int i, char out[FIT_CAPACITY])
{
    char number[16];
    snprintf(number, sizeof number, "%d", i);
    page_text_fit(&c->page, c->label_size, c->names && c->names[i] ? c->names[i] : number, NAME_MOST, out);
}

static int64_t count_at(const struct confusion *c, int row, int column)
{
    return c->counts[(size_t)row * (size_t)c->classes + (size_t)column];
}

static void set_shares(struct confusion *c)
{
    for (int row = 0; row < c->classes; row++) {
        double sum = 0;
        for (int k = 0; k < c->classes; k++) sum += (double)count_at(c, row, k);
        for (int k = 0; k < c->classes; k++)
            c->shares[(size_t)row * (size_t)c->classes + (size_t)k] =
                sum > 0 ? sqrt(fmax(0, (double)count_at(c, row, k) / sum)) : 0;
    }
}

/* Cells wide enough for the largest count while counts are written, then as small as the labels allow. */
static void set_sizes(struct confusion *c)
{
    char text[FIT_CAPACITY];
    int n = c->classes > 0 ? c->classes : 1;
    c->cell = n <= 40 ? 14 : n <= 120 ? 8.5 : fmax(0.5, floor(2 * 1000.0 / n) / 2);
    c->label_size = n <= 120 ? fmin(SIZE_TICK, c->cell - 1.5) : 9;
    if (n <= COUNTED_MOST) {
        int64_t most = 0;
        for (int i = 0; i < c->classes * c->classes; i++) most = c->counts[i] > most ? c->counts[i] : most;
        snprintf(text, sizeof text, "%lld", (long long)most);
        c->cell = fmax(26, page_text_width(&c->page, 9, text) + 8);
        c->label_size = SIZE_TICK;
    }
    c->cell = fmax(c->cell, ceil(2 * 180.0 / n) / 2);
    c->size = n * c->cell;
    for (int i = 0; i < c->classes; i++) {
        name_of(c, i, text);
        c->name_width = fmax(c->name_width, page_text_width(&c->page, c->label_size, text));
    }
    c->turned = c->name_width > c->cell - 4;
}

/* Every label, or every 2nd, 5th, 10th, 20th ... where they have no room. */
static int label_step(const struct confusion *c)
{
    static const int steps[] = {1, 2, 5};
    int power = 1, i = 0;
    while (steps[i] * power * c->cell < c->label_size + 1) {
        i = (i + 1) % 3;
        if (i == 0) power *= 10;
    }
    return steps[i] * power;
}

static void draw_labels(struct confusion *c)
{
    char text[FIT_CAPACITY];
    int step = label_step(c);
    double bottom = c->top + c->size, below = c->turned ? c->name_width : c->label_size;
    for (int i = 0; i < c->classes; i += step) {
        double at = (i + 0.5) * c->cell;
        name_of(c, i, text);
        page_text(&c->page, c->left - 5, c->top + at, 1, c->label_size, color_ink, text);
        if (c->turned)
            page_text_turned(&c->page, c->left + at, bottom + 5, 1, c->label_size, text);
        else
            page_text(&c->page, c->left + at, bottom + 11, 0.5, c->label_size, color_ink, text);
    }
    page_text(&c->page, c->left + 0.5 * c->size, bottom + 5 + below + 16, 0.5, SIZE_LABEL, color_ink,
              "predicted class");
    page_text_turned(&c->page, MARGIN + 3, c->top + 0.5 * c->size, 0.5, SIZE_LABEL, "true class");
}

static void draw_counts(struct confusion *c)
{
    char text[32];
    if (c->classes > COUNTED_MOST) return;
    for (int row = 0; row < c->classes; row++)
        for (int column = 0; column < c->classes; column++) {
            struct rgb color = color_on(color_sequential(c->shares[row * c->classes + column]));
            if (count_at(c, row, column) == 0) continue;
            snprintf(text, sizeof text, "%lld", (long long)count_at(c, row, column));
            page_text(&c->page, c->left + (column + 0.5) * c->cell, c->top + (row + 0.5) * c->cell, 0.5, 9, color,
                      text);
        }
}

hff_status figure_confusion(const char *path, const char *title, const int64_t *counts, int classes,
                            const char *const *names)
{
    static const struct bar_label labels[] = {{0, "0%"},    {0.1, "1%"},          {0.316227766, "10%"},
                                              {0.5, "25%"}, {0.707106781, "50%"}, {1, "100%"}};
    struct confusion c = {.counts = counts, .classes = classes, .names = names, .top = TITLE_HEIGHT + 4};
    if (classes < 0 || classes > CLASSES_MOST)
        return fail(HFF_E_USAGE, "%s: a confusion matrix of %d classes cannot be drawn; the most is %d", path, classes,
                    CLASSES_MOST);
    c.shares = malloc(((size_t)classes * (size_t)classes + 1) * sizeof *c.shares);
    if (!c.shares) return fail(HFF_E_MEMORY, "%s: no memory for a figure of %d classes", path, classes);
    page_open(&c.page);
    set_shares(&c);
    set_sizes(&c);
    c.left = MARGIN + 18 + c.name_width + 5;
    double below = (c.turned ? c.name_width : c.label_size) + 5 + 24;
    page_size(&c.page, fmax(c.left + c.size + 18 + BAR_SPACE, page_title_width(&c.page, c.left, title)),
              c.top + c.size + below + MARGIN);
    page_title(&c.page, c.left, title);
    cells_draw(&c.page, c.left, c.top, c.size, c.shares, classes, color_sequential);
    draw_counts(&c);
    page_frame(&c.page, c.left, c.top, c.size, c.size);
    draw_labels(&c);
    color_bar_draw(&c.page, c.left + c.size + 18, c.top, fmin(c.size, 360), 0, 1, color_sequential, labels,
                   sizeof labels / sizeof *labels, "share of true class");
    if (classes <= 0)
        page_text(&c.page, c.left + 0.5 * c.size, c.top + 0.5 * c.size, 0.5, SIZE_LABEL, color_muted, "no data");
    free(c.shares);
    return page_write(&c.page, path);
}
