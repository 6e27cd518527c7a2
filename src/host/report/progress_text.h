/* How a progress state is said in so many columns. Private to the room. */
#ifndef HFF_REPORT_PROGRESS_TEXT_H
#define HFF_REPORT_PROGRESS_TEXT_H

#include "report.h"

#include <stddef.h>

/* A line of a terminal: bytes with colours, and the columns that are seen of it, never more than limit. */
struct line {
    char text[4096];
    size_t used;
    int columns, limit, color;
};

/* "epoch 3/20  [#####.....]  step 1404/9380  12,345 img/s  data 1%  2m13s left" */
void progress_line_run(struct line *line, const struct progress_state *state);
/* "stage 1 91.2%  2 95.3%  3 96.1%" */
void progress_line_stages(struct line *line, const struct progress_state *state);
/* The plain line of an interval, without colours or limit; printed with its newline. */
void progress_print_plain(FILE *out, const struct progress_state *state);

#endif
