/* Text of any bytes: columns, cleaning, cutting. */
#include "report/text.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void columns(void **state)
{
    (void)state;
    assert_int_equal(text_columns(""), 0);
    assert_int_equal(text_columns("plain"), 5);
    assert_int_equal(text_columns("größte"), 6);
    assert_int_equal(text_columns("日本語"), 6);
    assert_int_equal(text_columns("e\xcc\x81"), 1);        /* e and a combining accent */
    assert_int_equal(text_columns("\xf0\x9f\x90\xb1"), 2); /* a cat's face */
}

static void cleaning(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"a\x1b[31mred", "a?[31mred"},
        {"tab\tnewline\n", "tab?newline?"},
        {"\xff\xc3", "??"},
        {"\xc0\x80", "??"},
        {"\xed\xa0\x80", "???"},
        {"\xf4\x90\x80\x80", "????"},
        {"\xe2\x80\xae"
         "abc",
         "?abc"},
        {"\xc2\x9b", "?"},
        {"cut \xe6\x97", "cut ??"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[32];
        text_fit(out, sizeof out, cases[i][0], 20);
        assert_string_equal(out, cases[i][1]);
    }
}

static void cutting(void **state)
{
    (void)state;
    char out[64];
    text_fit(out, sizeof out, "abcdefgh", 8);
    assert_string_equal(out, "abcdefgh");
    text_fit(out, sizeof out, "abcdefgh", 7);
    assert_string_equal(out, "abcd...");
    text_fit(out, sizeof out, "abcdefgh", 2);
    assert_string_equal(out, "..");
    text_fit(out, sizeof out, "abcdefgh", 0);
    assert_string_equal(out, "");
    text_fit(out, sizeof out, "日本語日本語", 8); /* a wide character that would stand half outside is left out */
    assert_string_equal(out, "日本...");
}

/* Neither the columns nor the capacity are ever passed, and no character is cut in two. */
static void every_size(void **state)
{
    (void)state;
    const char *text = "aß日\xf0\x9f\x90\xb1 e\xcc\x81\xff";
    for (size_t capacity = 1; capacity < 24; capacity++)
        for (int width = 0; width < 16; width++) {
            char out[32];
            memset(out, 'x', sizeof out);
            text_fit(out, capacity, text, width);
            assert_true(strlen(out) < capacity);
            assert_true(text_columns(out) <= width);
            assert_int_equal(out[capacity], 'x');
            const char *at = out;
            for (struct text_char c; text_next(&at, &c);) assert_true(c.bytes >= out && c.bytes < out + sizeof out);
        }
}

static void thousands(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0, "0"},    {999.4, "999"},          {1000, "1,000"}, {1234567.6, "1,234,568"}, {-12345, "-12,345"},
                 {-0.4, "0"}, {999999.7, "1,000,000"}, {INFINITY, "?"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[48];
        text_thousands(out, sizeof out, cases[i].value);
        assert_string_equal(out, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(columns), cmocka_unit_test(cleaning), cmocka_unit_test(cutting),
                                       cmocka_unit_test(every_size), cmocka_unit_test(thousands)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
