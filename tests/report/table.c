/* Tables: alignment, and no line wider than asked at any width. */
#include "report/report.h"
#include "report/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *print(const char *const *cells, int rows, int columns, int width, int color)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    table_print(out, cells, rows, columns, width, color);
    fclose(out);
    return text;
}

static const char *const runs[] = {
    "run",    "accuracy", "loss",  "note",                                 /**/
    "a",      "91.2%",    "0.123", "größte Klasse von allen, die es gibt", /**/
    "日本語", "9.1%",     "-",     NULL,                                   /**/
    "third",  "100.0%",   "12.25", "x",
};

static void aligned(void **state)
{
    (void)state;
    char *text = print(runs, 4, 4, 0, 0);
    assert_string_equal(text, "run     accuracy   loss  note\n"
                              "------  --------  -----  ------------------------------------\n"
                              "a          91.2%  0.123  größte Klasse von allen, die es gibt\n"
                              "日本語      9.1%      -\n"
                              "third     100.0%  12.25  x\n");
    free(text);
    text = print(runs, 4, 4, 45, 0);
    assert_string_equal(text, "run     accuracy   loss  note\n"
                              "------  --------  -----  --------------------\n"
                              "a          91.2%  0.123  größte Klasse von...\n"
                              "日本語      9.1%      -\n"
                              "third     100.0%  12.25  x\n");
    free(text);
}

static void never_wider(void **state)
{
    (void)state;
    for (int width = 1; width < 90; width++) {
        char *text = print(runs, 4, 4, width, 0);
        int lines = 0;
        for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
            *end = 0;
            assert_true(text_columns(line) <= width);
            assert_true(end == line || end[-1] != ' ');
            lines++;
        }
        assert_int_equal(lines, 5);
        free(text);
    }
}

/* A number that is cut says something else, so it is shown whole or not at all. */
static void numbers_are_whole(void **state)
{
    (void)state;
    static const char *const cells[] = {"name", "images", "run", "123456", "other", "654321"};
    for (int width = 10; width < 20; width++) {
        char *text = print(cells, 3, 2, width, 0);
        int whole = strstr(text, "123456") && strstr(text, "654321"), none = !strpbrk(text, "0123456789");
        assert_true(whole || none);
        free(text);
    }
}

static void colors_and_controls(void **state)
{
    (void)state;
    static const char *const cells[] = {"h", "\x1b[31m"};
    char *text = print(cells, 2, 1, 80, 1);
    assert_string_equal(text, "\x1b[1mh\x1b[0m\n\x1b[2m-----\x1b[0m\n?[31m\n");
    free(text);
    text = print(cells, 0, 1, 80, 1);
    assert_string_equal(text, "");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(aligned), cmocka_unit_test(never_wider),
                                       cmocka_unit_test(numbers_are_whole), cmocka_unit_test(colors_and_controls)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
