/* The words of the progress display, and what to leave out where there is little room. */
#include "progress_text.h"
#include "text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum style { STYLE_PLAIN, STYLE_BOLD, STYLE_DIM, STYLE_GREEN, STYLE_CYAN };
/* Of the basic colours these can be read on dark and on light backgrounds. */
static const char *const style_codes[] = {"", "\x1b[1m", "\x1b[2m", "\x1b[32m", "\x1b[36m"};
enum { BAR_LEAST = 5, BAR_MOST = 40, BRACKETS = 2, GAP = 2 };

/* Adds text (without control characters), cut at the line's limit. */
static void line_add(struct line *line, enum style style, const char *format, ...) PRINTF_LIKE(3, 4);

static void line_add(struct line *line, enum style style, const char *format, ...)
{
    char piece[256];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(piece, sizeof piece, format, args);
    va_end(args);
    int room = line->limit - line->columns;
    if (size > (int)sizeof piece - 1) size = (int)sizeof piece - 1;
    if (size > room) size = room;
    if (size <= 0 || line->used + (size_t)size + 16 > sizeof line->text) return;
    const char *code = line->color ? style_codes[style] : "", *reset = *code ? "\x1b[0m" : "";
    line->used += (size_t)sprintf(line->text + line->used, "%s%.*s%s", code, size, piece, reset);
    line->columns += size;
}

/* "2m13s", "1h02m", "3d04h"; "" when nobody knows. */
static void say_duration(char *out, size_t capacity, double seconds)
{
    *out = 0;
    if (!isfinite(seconds) || seconds < 0 || seconds > 1e9) return;
    long s = lround(seconds), m = s / 60, h = m / 60;
    if (s < 60)
        snprintf(out, capacity, "%lds", s);
    else if (m < 60)
        snprintf(out, capacity, "%ldm%02lds", m, s % 60);
    else if (h < 24)
        snprintf(out, capacity, "%ldh%02ldm", h, m % 60);
    else
        snprintf(out, capacity, "%ldd%02ldh", h / 24, h % 24);
}

/* Epochs are counted from 1 while one is running; a run of a fraction of epochs is counted in fractions. */
static void say_epoch(char *out, size_t capacity, const struct progress_state *state)
{
    double whole = floor(state->epochs);
    if (whole != state->epochs || whole < 1)
        snprintf(out, capacity, "epoch %.2f/%g", state->epoch, state->epochs);
    else
        snprintf(out, capacity, "epoch %.0f/%.0f", fmin(floor(state->epoch) + 1, whole), whole);
}

/* The pieces of the first line in their order. A narrow line keeps those of low rank; an empty text is left out. */
struct piece {
    char text[64];
    int rank;
    enum style style;
};
enum { PIECE_BAR = 1, PIECES = 6, RANKS = 6 };

static void say_pieces(struct piece pieces[PIECES], const struct progress_state *state)
{
    static const int ranks[PIECES] = {0, 2, 4, 3, 5, 1};
    for (int i = 0; i < PIECES; i++) pieces[i] = (struct piece){.rank = ranks[i], .style = STYLE_PLAIN};
    char number[48];
    say_epoch(pieces[0].text, sizeof pieces[0].text, state);
    pieces[0].style = STYLE_BOLD;
    snprintf(pieces[2].text, sizeof pieces[2].text, "step %lld/%lld", (long long)state->step, (long long)state->steps);
    if (state->images_per_s > 0) {
        text_thousands(number, sizeof number, state->images_per_s);
        snprintf(pieces[3].text, sizeof pieces[3].text, "%s img/s", number);
    }
    if (isfinite(state->data_wait)) {
        snprintf(pieces[4].text, sizeof pieces[4].text, "data %.0f%%", 100 * state->data_wait);
        pieces[4].style = state->data_wait >= 0.2 ? STYLE_BOLD : STYLE_DIM; /* the loader holds the run up */
    }
    say_duration(number, sizeof number, state->seconds_left);
    if (*number) snprintf(pieces[5].text, sizeof pieces[5].text, "%s left", number);
    pieces[5].style = STYLE_CYAN;
}

static int piece_columns(const struct piece *piece, int index)
{
    return index == PIECE_BAR ? BRACKETS + BAR_LEAST : (int)strlen(piece->text);
}

/* The columns of the pieces of a rank below ranks, with gaps. */
static int columns_of(const struct piece pieces[PIECES], int ranks)
{
    int columns = -GAP;
    for (int i = 0; i < PIECES; i++) {
        int size = piece_columns(&pieces[i], i);
        if (pieces[i].rank < ranks && size > 0) columns += size + GAP;
    }
    return columns;
}

static void add_bar(struct line *line, const struct progress_state *state, int cells)
{
    char full[BAR_MOST + 1] = "", rest[BAR_MOST + 1] = "";
    double share = state->steps > 0 ? (double)state->step / (double)state->steps : 0;
    int done = (int)(cells * fmax(0, fmin(1, share)));
    memset(full, '#', (size_t)done);
    memset(rest, '.', (size_t)(cells - done));
    line_add(line, STYLE_DIM, "[");
    line_add(line, STYLE_GREEN, "%s", full);
    line_add(line, STYLE_DIM, "%s]", rest);
}

void progress_line_run(struct line *line, const struct progress_state *state)
{
    struct piece pieces[PIECES];
    say_pieces(pieces, state);
    int ranks = RANKS;
    while (ranks > 1 && columns_of(pieces, ranks) > line->limit) ranks--;
    int cells = BAR_LEAST + line->limit - columns_of(pieces, ranks);
    if (cells > BAR_MOST) cells = BAR_MOST;
    for (int i = 0; i < PIECES; i++) {
        if (pieces[i].rank >= ranks || piece_columns(&pieces[i], i) == 0) continue;
        if (line->columns > 0) line_add(line, STYLE_PLAIN, "%*s", GAP, "");
        if (i == PIECE_BAR)
            add_bar(line, state, cells);
        else
            line_add(line, pieces[i].style, "%s", pieces[i].text);
    }
}

/* The last stage's, which is the one that decides. The C library may write "-nan", which tells nobody anything. */
static double last_loss(const struct progress_state *state)
{
    double loss = state->loss[state->stages - 1];
    return isnan(loss) ? (double)NAN : loss;
}

/* The forms of the second line, from wide to narrow. */
struct form {
    const char *head, *gap, *unit;
    int numbered, digits;
};
static const struct form forms[] = {
    {"stage ", "  ", "%", 1, 1},
    {"", "  ", "", 1, 1},
    {"acc ", " ", "", 0, 1},
    {"acc ", " ", "", 0, 0},
};
enum { FORMS = sizeof forms / sizeof *forms };

static void say_stage(char *out, size_t capacity, const struct form *form, int stage, double accuracy)
{
    char number[32] = "-";
    if (isfinite(accuracy)) snprintf(number, sizeof number, "%.*f%s", form->digits, 100 * accuracy, form->unit);
    if (form->numbered)
        snprintf(out, capacity, "%d %s", stage + 1, number);
    else
        snprintf(out, capacity, "%s", number);
}

/* The columns of a form with the first stage and those from last on ("91 .. 95 96"); last 1 means all. */
static int form_columns(const struct form *form, const struct progress_state *state, int last)
{
    char text[64];
    int columns = (int)strlen(form->head), gap = (int)strlen(form->gap);
    for (int s = 0; s < state->stages; s = s ? s + 1 : last) {
        say_stage(text, sizeof text, form, s, state->accuracy[s]);
        columns += (int)strlen(text) + (s ? gap : 0);
    }
    return columns + (last > 1 ? 2 + gap : 0);
}

void progress_line_stages(struct line *line, const struct progress_state *state)
{
    if (state->stages <= 0) return;
    int form = 0, last = 1, best = 0;
    while (form < FORMS - 1 && form_columns(&forms[form], state, 1) > line->limit) form++;
    while (last < state->stages - 1 && form_columns(&forms[form], state, last) > line->limit) last++;
    for (int s = 1; s < state->stages; s++)
        if (state->accuracy[s] > state->accuracy[best]) best = s;
    line_add(line, STYLE_DIM, "%s", forms[form].head);
    for (int s = 0; s < state->stages; s = s ? s + 1 : last) {
        char text[64];
        say_stage(text, sizeof text, &forms[form], s, state->accuracy[s]);
        if (s) line_add(line, STYLE_PLAIN, "%s", forms[form].gap);
        if (s == last && last > 1) line_add(line, STYLE_DIM, "..%s", forms[form].gap);
        line_add(line, s == best ? STYLE_GREEN : STYLE_PLAIN, "%s", text);
    }
    char rest[96];
    int size = snprintf(rest, sizeof rest, "   loss %.3f  lr %.3g", last_loss(state), state->lr);
    if (line->columns + size <= line->limit) line_add(line, STYLE_DIM, "%s", rest);
}

void progress_print_plain(FILE *out, const struct progress_state *state)
{
    char text[2048], left[32];
    int used = snprintf(text, sizeof text, "epoch %.2f/%g step %lld/%lld", state->epoch, state->epochs,
                        (long long)state->step, (long long)state->steps);
    if (state->stages > 0) {
        used += snprintf(text + used, sizeof text - (size_t)used, " loss %.3f acc", last_loss(state));
        for (int s = 0; s < state->stages && used < (int)sizeof text - 32; s++) {
            double accuracy = state->accuracy[s];
            if (isfinite(accuracy))
                used += snprintf(text + used, 16, " %.1f", 100 * accuracy);
            else
                used += snprintf(text + used, 16, " -");
        }
    }
    fprintf(out, "%s", text);
    if (state->images_per_s > 0) fprintf(out, " %.0f images/s", state->images_per_s);
    if (isfinite(state->data_wait)) fprintf(out, " data %.0f%%", 100 * state->data_wait);
    say_duration(left, sizeof left, state->seconds_left);
    if (*left) fprintf(out, " left %s", left);
    fprintf(out, "\n");
}
