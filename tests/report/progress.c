/* The progress display: plain lines on a pipe; on a terminal, what a screen shows after every kind of call. */
#include "report/report.h"
#include "report/text.h"

#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

static const double accuracy[40] = {0.912, 0.953, 0.961}, loss[40] = {0.5, 0.2, 0.123};
static const struct progress_state third = {.epoch = 2.99,
                                            .epochs = 20,
                                            .step = 1404,
                                            .steps = 9380,
                                            .stages = 3,
                                            .accuracy = accuracy,
                                            .loss = loss,
                                            .images_per_s = 12345.4,
                                            .data_wait = 0.01,
                                            .seconds_left = 133,
                                            .lr = 0.001};

static char *to_memory(const struct progress_state *state, int quiet)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    struct progress *progress = progress_open(out, COLOR_AUTO, quiet);
    progress_live(progress, state);
    progress_interval(progress, state);
    progress_clear(progress);
    progress_close(progress);
    fclose(out);
    return text;
}

static void plain_lines(void **state)
{
    (void)state;
    char *text = to_memory(&third, 0);
    assert_string_equal(
        text, "epoch 2.99/20 step 1404/9380 loss 0.123 acc 91.2 95.3 96.1 12345 images/s data 1% left 2m13s\n");
    free(text);
    text = to_memory(&third, 1);
    assert_string_equal(text, "");
    free(text);
    double bad[1] = {NAN};
    struct progress_state unknown = {
        .epochs = 0.5, .steps = 10, .stages = 1, .accuracy = bad, .loss = bad, .data_wait = NAN, .seconds_left = NAN};
    text = to_memory(&unknown, 0);
    assert_string_equal(text, "epoch 0.00/0.5 step 0/10 loss nan acc -\n");
    free(text);
}

static void durations(void **state)
{
    (void)state;
    static const struct {
        double seconds;
        const char *end;
    } cases[] = {{0, " left 0s\n"},        {59.4, " left 59s\n"},   {59.6, " left 1m00s\n"},
                 {3599, " left 59m59s\n"}, {3720, " left 1h02m\n"}, {100 * 3600, " left 4d04h\n"},
                 {-1, " data 1%\n"},       {INFINITY, " data 1%\n"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct progress_state now = third;
        now.seconds_left = cases[i].seconds;
        char *text = to_memory(&now, 0);
        assert_true(strlen(text) > strlen(cases[i].end));
        assert_string_equal(text + strlen(text) - strlen(cases[i].end), cases[i].end);
        free(text);
    }
}

/* A terminal of so many columns, and the little of a screen that the display uses. */
enum { ROWS = 12, MOST = 400 };
struct screen {
    int master, columns, row, column;
    FILE *slave;
    char cell[ROWS][MOST];
    int colored;
};

static void resize(struct screen *screen, int columns)
{
    struct winsize size = {.ws_row = ROWS, .ws_col = (unsigned short)columns};
    screen->columns = columns;
    assert_int_equal(ioctl(screen->master, TIOCSWINSZ, &size), 0);
}

/* Skips the test where the system has no terminals to give: a root without /dev/pts. */
static void screen_open(struct screen *screen, int columns)
{
    memset(screen, 0, sizeof *screen);
    memset(screen->cell, ' ', sizeof screen->cell);
    screen->master = posix_openpt(O_RDWR | O_NOCTTY);
    if (screen->master < 0 && access("/dev/pts/ptmx", F_OK) != 0) {
        print_message("no /dev/pts here: not tried on a terminal\n");
        skip();
    }
    assert_true(screen->master >= 0);
    assert_int_equal(grantpt(screen->master), 0);
    assert_int_equal(unlockpt(screen->master), 0);
    int slave = open(ptsname(screen->master), O_RDWR | O_NOCTTY);
    assert_true(slave >= 0);
    screen->slave = fdopen(slave, "w");
    assert_non_null(screen->slave);
    resize(screen, columns);
}

static void screen_close(struct screen *screen)
{
    fclose(screen->slave);
    close(screen->master);
}

static char next_byte(struct screen *screen)
{
    char byte;
    assert_int_equal(read(screen->master, &byte, 1), 1);
    return byte;
}

static void escape(struct screen *screen)
{
    assert_int_equal(next_byte(screen), '[');
    int number = 0;
    char byte = next_byte(screen);
    for (; byte >= '0' && byte <= '9'; byte = next_byte(screen)) number = 10 * number + byte - '0';
    if (byte == 'm') {
        screen->colored = 1;
        return;
    }
    if (byte == 'A') {
        assert_in_range(number, 1, screen->row); /* never above what was drawn */
        screen->row -= number;
        return;
    }
    assert_true(byte == 'K' || byte == 'J');
    memset(&screen->cell[screen->row][screen->column], ' ', (size_t)(MOST - screen->column));
    for (int row = screen->row + 1; byte == 'J' && row < ROWS; row++) memset(screen->cell[row], ' ', MOST);
}

/* Takes in what was printed, up to a mark that is printed behind it. */
static void look(struct screen *screen)
{
    fputc('\a', screen->slave);
    fflush(screen->slave);
    for (char byte; (byte = next_byte(screen)) != '\a';) {
        if (byte == '\x1b') {
            escape(screen);
        } else if (byte == '\r') {
            screen->column = 0;
        } else if (byte == '\n') {
            screen->row++;
            assert_true(screen->row < ROWS);
        } else {
            assert_true(screen->column < screen->columns); /* nothing is wider than the terminal */
            screen->cell[screen->row][screen->column++] = byte;
        }
    }
}

static void expect(struct screen *screen, int row, const char *text)
{
    char line[MOST + 1];
    memcpy(line, screen->cell[row], MOST);
    int end = MOST;
    while (end > 0 && line[end - 1] == ' ') end--;
    line[end] = 0;
    assert_string_equal(line, text);
}

static void live(void **state)
{
    (void)state;
    struct screen screen;
    screen_open(&screen, 80);
    fputs("before\n", screen.slave);
    struct progress *progress = progress_open(screen.slave, COLOR_AUTO, 0);
    progress_live(progress, &third);
    look(&screen);
    expect(&screen, 0, "before");
    expect(&screen, 1, "epoch 3/20  [##............]  step 1404/9380  12,345 img/s  data 1%  2m13s left");
    expect(&screen, 2, "stage 1 91.2%  2 95.3%  3 96.1%   loss 0.123  lr 0.001");
    assert_true(screen.row == 3 && screen.column == 0 && screen.colored);
    struct progress_state last = third;
    last.epoch = 20, last.step = last.steps, last.seconds_left = 0;
    progress_interval(progress, &last);
    look(&screen);
    expect(&screen, 1, "epoch 20/20  [################]  step 9380/9380  12,345 img/s  data 1%  0s left");
    expect(&screen, 3, "");
    progress_clear(progress);
    progress_clear(progress);
    fputs("message\n", screen.slave);
    progress_live(progress, &third); /* at once, however little time has passed */
    look(&screen);
    expect(&screen, 1, "message");
    assert_memory_equal(screen.cell[2], "epoch 3/20", 10);
    progress_close(progress);
    look(&screen);
    for (int row = 2; row < ROWS; row++) expect(&screen, row, "");
    assert_int_equal(screen.row, 2);
    screen_close(&screen);
}

static void narrow(void **state)
{
    (void)state;
    struct screen screen;
    screen_open(&screen, 40);
    struct progress *progress = progress_open(screen.slave, COLOR_NEVER, 0);
    progress_interval(progress, &third);
    look(&screen);
    expect(&screen, 0, "epoch 3/20  [#............]  2m13s left");
    expect(&screen, 1, "stage 1 91.2%  2 95.3%  3 96.1%");
    resize(&screen, 28);
    progress_clear(progress); /* a terminal that became narrower has wrapped the lines: two and two */
    screen.row = 4;
    assert_false(screen.colored);
    progress_close(progress);
    screen_close(&screen);
}

/* Any width, any number of stages: look() watches the width. */
static void every_width(void **state)
{
    (void)state;
    static const int stages[] = {0, 1, 2, 3, 16, 40};
    for (size_t s = 0; s < sizeof stages / sizeof *stages; s++)
        for (int width = 1; width < 320; width = width < 100 ? width + 1 : width + 50) {
            struct screen screen;
            screen_open(&screen, width);
            struct progress *progress = progress_open(screen.slave, COLOR_ALWAYS, 0);
            struct progress_state now = third;
            now.stages = stages[s];
            progress_interval(progress, &now);
            look(&screen);
            assert_int_equal(screen.row, 2);
            progress_close(progress);
            look(&screen);
            assert_int_equal(screen.row, 0);
            screen_close(&screen);
        }
}

static void environment(void **state)
{
    (void)state;
    struct screen screen;
    screen_open(&screen, 80);
    assert_true(terminal_color(screen.slave, COLOR_AUTO));
    assert_false(terminal_color(screen.slave, COLOR_NEVER));
    assert_int_equal(terminal_width(screen.slave), 80);
    setenv("NO_COLOR", "1", 1);
    assert_false(terminal_color(screen.slave, COLOR_AUTO));
    assert_true(terminal_color(screen.slave, COLOR_ALWAYS));
    setenv("NO_COLOR", "", 1);
    assert_true(terminal_color(screen.slave, COLOR_AUTO));
    setenv("TERM", "dumb", 1);
    assert_false(terminal_color(screen.slave, COLOR_AUTO));
    struct progress *progress = progress_open(screen.slave, COLOR_AUTO, 0);
    progress_live(progress, &third); /* nothing: the cursor cannot be moved */
    progress_interval(progress, &third);
    progress_close(progress);
    look(&screen);
    assert_false(screen.colored);
    expect(&screen, 1, "stage 1 91.2%  2 95.3%  3 96.1%   loss 0.123  lr 0.001");
    assert_int_equal(screen.row, 2);
    screen_close(&screen);
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_false(terminal_color(file, COLOR_AUTO));
    assert_true(terminal_color(file, COLOR_ALWAYS));
    assert_int_equal(terminal_width(file), 80);
    fclose(file);
}

/* Each test begins with a terminal of the common kind, whatever the one that runs it is. */
static int setup(void **state)
{
    (void)state;
    unsetenv("NO_COLOR");
    return setenv("TERM", "xterm", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(plain_lines, setup), cmocka_unit_test_setup(durations, setup),
        cmocka_unit_test_setup(live, setup),        cmocka_unit_test_setup(narrow, setup),
        cmocka_unit_test_setup(every_width, setup), cmocka_unit_test_setup(environment, setup)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
