/* What people see of a run: progress, tables, figures, TensorBoard. Knows numbers and names, nothing of training. */
#ifndef HFF_REPORT_H
#define HFF_REPORT_H

#include "base/status.h"

#include <stdint.h>
#include <stdio.h>

/* ---- terminal (terminal.c) ---- */
enum color_mode { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };
/* Whether stream takes colours (NO_COLOR, TERM=dumb, --color), and its width in columns (80 when unknown). */
int terminal_color(FILE *stream, enum color_mode mode);
int terminal_width(FILE *stream);
/* Whether stream is a terminal whose cursor can be moved (not TERM=dumb). */
int terminal_moves(FILE *stream);

/* ---- progress (progress.c): a live two-line display on a terminal, one plain line per report elsewhere ---- */
struct progress;
struct progress_state {
    double epoch, epochs; /* fractional epochs done, of how many */
    int64_t step, steps;
    int stages;
    const double *accuracy; /* per stage, 0 .. 1, of the last interval */
    const double *loss;     /* per stage */
    double images_per_s, data_wait /* share of time, 0 .. 1 */, seconds_left;
    double lr;
};
/* quiet: nothing is printed. out is standard error. */
struct progress *progress_open(FILE *out, enum color_mode mode, int quiet);
/* live: redraw if it is a terminal (call as often as you like; it redraws at most 10 times a second).
 * interval: a log interval ended: on a pipe or file, print one plain line; on a terminal without a cursor (TERM=dumb)
 * the display's two lines. NULL is taken for a quiet one. */
void progress_live(struct progress *progress, const struct progress_state *state);
void progress_interval(struct progress *progress, const struct progress_state *state);
/* Removes the display so that other lines can be printed; it comes back with the next progress_live. */
void progress_clear(struct progress *progress);
void progress_close(struct progress *progress);

/* ---- tables (table.c) ---- */
/* Prints rows of cells (row-major, rows x columns; the first row is the header) with aligned columns; a column whose
 * cells all look like numbers is right-aligned. Never wider than width (0: no limit): the widest text columns are cut
 * with "...", then columns on the right are left out; a number is only cut when it is alone. */
void table_print(FILE *out, const char *const *cells, int rows, int columns, int width, int color);

/* ---- figures (figure_*.c, PNG by cairo, written atomically; HFF_E_IO, HFF_E_USAGE for what no page can hold) ---- */
struct series {
    const char *name;
    int count;
    const double *x, *y;
};
/* Lines over a common x axis, legend outside the plot area, readable ticks; points that are not finite are gaps.
 * y_percent: y is 0 .. 1, shown in per cent. */
hff_status figure_curves(const char *path, const char *title, const char *x_label, const char *y_label,
                         const struct series *series, int count, int y_percent);
/* classes x classes counts (row: true class), coloured by row share, counts written in cells when classes <= 20. */
hff_status figure_confusion(const char *path, const char *title, const int64_t *counts, int classes,
                            const char *const *names);
/* A grid of small images: count images (C, H, W) of floats, scaled each to its own range (scale_each) or taken as
 * 0 .. 1. captions may be NULL or per image. C is 1 or 3. */
hff_status figure_images(const char *path, const char *title, const float *images, int count, int channels, int height,
                         int width, const char *const *captions, int scale_each);
/* A square matrix of values in [-1, 1] (cosines between prototypes), diverging colours, with a colour bar. */
hff_status figure_matrix(const char *path, const char *title, const double *values, int n);
/* Horizontal bars with their values, unit behind the number ("images/s"). */
hff_status figure_bars(const char *path, const char *title, const char *const *names, const double *values, int count,
                       const char *unit);

/* ---- TensorBoard (tensorboard.c): events.out.tfevents.* with scalar summaries ---- */
struct tensorboard;
hff_status tensorboard_open(struct tensorboard **out, const char *folder);
hff_status tensorboard_scalar(struct tensorboard *board, const char *tag, int64_t step, double value);
hff_status tensorboard_flush(struct tensorboard *board);
void tensorboard_close(struct tensorboard *board);

#endif
