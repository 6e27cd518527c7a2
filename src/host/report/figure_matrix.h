/* What the two square figures share: coloured cells and a colour bar. Private to the room. */
#ifndef HFF_REPORT_FIGURE_MATRIX_H
#define HFF_REPORT_FIGURE_MATRIX_H

#include "figure.h"

/* n x n cells of colour(values[row * n + column]), in a square of size points. */
void cells_draw(struct page *page, double x, double y, double size, const double *values, int n,
                struct rgb (*color)(double));

/* A bar whose bottom shows from and whose top shows to, with labels (value: the colour's argument). */
struct bar_label {
    double value;
    const char *text;
};
enum { BAR_WIDTH = 13, BAR_SPACE = 76 }; /* BAR_SPACE: of the bar, its labels and the gap before it */
void color_bar_draw(struct page *page, double x, double y, double height, double from, double to,
                    struct rgb (*color)(double), const struct bar_label *labels, int count, const char *name);

#endif
