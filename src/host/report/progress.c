/* The progress display: two lines redrawn in place on a terminal, plain lines elsewhere.
 *
 * The cursor rests on the line below the two, so that whatever else is printed (a shell's prompt after kill -9, too)
 * begins on a line of its own, and it is never hidden, so that nothing needs to be put right. */
#include "base/clock.h"
#include "progress_text.h"

#include <stdlib.h>
#include <unistd.h>

struct progress {
    FILE *out;
    int quiet, live, color;
    int drawn;      /* the two lines are on the screen */
    int columns[2]; /* as wide as they were drawn */
    double drawn_at;
};

static const double redraw_seconds = 0.1;

struct progress *progress_open(FILE *out, enum color_mode mode, int quiet)
{
    struct progress *progress = calloc(1, sizeof *progress);
    if (!progress) return NULL; /* a run without a display is better than none: all functions take NULL */
    progress->out = out;
    progress->quiet = quiet;
    progress->live = !quiet && terminal_moves(out);
    progress->color = terminal_color(out, mode);
    return progress;
}

/* The lines from the display's first to the cursor. Terminals that became narrower have wrapped the two lines. */
static int lines_up(const struct progress *progress, int width)
{
    int lines = 0;
    for (int i = 0; i < 2; i++) lines += progress->columns[i] > width ? (progress->columns[i] + width - 1) / width : 1;
    return lines;
}

static void compose(struct line lines[2], int width, int color, const struct progress_state *state)
{
    int limit = width > 1 ? width - 1 : 1; /* the last column makes terminals wrap, each in its own way */
    for (int i = 0; i < 2; i++) lines[i] = (struct line){.limit = limit, .color = color};
    progress_line_run(&lines[0], state);
    progress_line_stages(&lines[1], state);
}

/* In one write, so that no half-drawn state is seen; every line clears its own rest, so that nothing flickers. */
static void draw(struct progress *progress, const struct progress_state *state)
{
    int width = terminal_width(progress->out);
    struct line lines[2];
    compose(lines, width, progress->color, state);
    char frame[2 * sizeof lines[0].text + 64], up[16] = "";
    if (progress->drawn) snprintf(up, sizeof up, "\x1b[%dA", lines_up(progress, width));
    int size = snprintf(frame, sizeof frame, "\r%s%s\x1b[K\n%s\x1b[K\n\x1b[J", up, lines[0].text, lines[1].text);
    fwrite(frame, 1, (size_t)size, progress->out);
    fflush(progress->out);
    progress->drawn = 1;
    for (int i = 0; i < 2; i++) progress->columns[i] = lines[i].columns;
    progress->drawn_at = clock_seconds();
}

void progress_live(struct progress *progress, const struct progress_state *state)
{
    if (!progress || !progress->live) return;
    if (progress->drawn && clock_seconds() - progress->drawn_at < redraw_seconds) return;
    draw(progress, state);
}

void progress_interval(struct progress *progress, const struct progress_state *state)
{
    if (!progress || progress->quiet) return;
    if (progress->live) {
        draw(progress, state);
        return;
    }
    if (isatty(fileno(progress->out))) {
        struct line lines[2];
        compose(lines, terminal_width(progress->out), 0, state);
        fprintf(progress->out, "%s\n%s\n", lines[0].text, lines[1].text);
    } else {
        progress_print_plain(progress->out, state);
    }
    fflush(progress->out);
}

void progress_clear(struct progress *progress)
{
    if (!progress || !progress->drawn) return;
    fprintf(progress->out, "\r\x1b[%dA\x1b[J", lines_up(progress, terminal_width(progress->out)));
    fflush(progress->out);
    progress->drawn = 0;
}

void progress_close(struct progress *progress)
{
    progress_clear(progress);
    free(progress);
}
