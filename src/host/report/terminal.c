/* What a stream can show: colours and width. */
#include "report.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

int terminal_color(FILE *stream, enum color_mode mode)
{
    if (mode != COLOR_AUTO) return mode == COLOR_ALWAYS;
    const char *no_color = getenv("NO_COLOR"); /* no-color.org: present and not empty */
    if (no_color && *no_color) return 0;
    return terminal_moves(stream);
}

int terminal_moves(FILE *stream)
{
    const char *kind = getenv("TERM");
    return kind && *kind && strcmp(kind, "dumb") != 0 && isatty(fileno(stream));
}

int terminal_width(FILE *stream)
{
    struct winsize size = {0};
    if (ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
    return 80;
}
