/* The users' reference: complete, within the width, and helpful about keys that are not there. */
#include "rows.h" /* before cmocka.h, which has a macro named fail */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *help(const char *key, int width, hff_status *status)
{
    char *text;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    assert_non_null(stream);
    *status = config_help(all_rows, key, width, stream);
    assert_int_equal(fclose(stream), 0);
    return text;
}

static void test_subtree(void **state)
{
    (void)state;
    hff_status status;
    char *text = help("net", 80, &status);
    assert_int_equal(status, HFF_OK);
    assert_string_equal(text, "net: the network [required]\n"
                              "  between         normalisation of what a stage passes on: l2 scales each sample\n"
                              "                  to root mean square 1; auto: none after batch norm, else l2\n"
                              "                  [auto | l2 | none, default auto]\n"
                              "  stages:         the stages, first to last; each learns alone [list, required]\n"
                              "    - linear:     a fully connected layer\n"
                              "        units     outputs [whole number from 1 to 1048576, required]\n"
                              "        act       activation [none | relu | gelu, default relu]\n"
                              "    - conv:       a convolution, then norm, activation and pool\n"
                              "        channels  output channels [whole number from 1 to 1048576, required]\n"
                              "        kernel    side of the window\n"
                              "                  [whole number from 1 to 31 pixels, default 3]\n"
                              "        pool:     pooling after the activation\n"
                              "          max     side of the window of a max pool; 0: none\n"
                              "                  [whole number from 0 to 16 pixels, default 0]\n"
                              "      beside each of them:\n"
                              "      repeat      this many equal stages in a row\n"
                              "                  [whole number from 1 to 1000, default 1]\n"
                              "      objective:  objective keys that differ in this stage\n"
                              "                  [map with keys of objective, optional]\n"
                              "      optimizer:  optimizer keys that differ in this stage\n"
                              "                  [map with keys of optimizer, optional]\n");
    free(text);
}

static void test_one_key(void **state)
{
    (void)state;
    static const char *const ways[] = {"net.stages[].conv.kernel", "net.stages.conv.kernel",
                                       "net.stages[3].conv.kernel"};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        hff_status status;
        char *text = help(ways[i], 100, &status);
        assert_int_equal(status, HFF_OK);
        assert_string_equal(text,
                            "net.stages[].conv.kernel: side of the window [whole number from 1 to 31 pixels, default "
                            "3]\n");
        free(text);
    }
}

/* Every row's last name and help stand in the whole page; no line is longer than asked, whatever is asked. */
static void test_all(void **state)
{
    (void)state;
    static const int widths[] = {40, 60, 80, 132, 10000};
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
        hff_status status;
        char *text = help(NULL, widths[w], &status);
        assert_int_equal(status, HFF_OK);
        for (const char *line = text; *line; line += strcspn(line, "\n") + 1) {
            assert_in_range(strcspn(line, "\n"), 0, widths[w]);
            assert_true(line[0] == '\n' || line[strcspn(line, "\n") - 1] != ' ');
        }
        for (size_t t = 0; all_rows[t]; t++)
            for (const struct config_row *row = all_rows[t]; row->key; row++) {
                const char *name = strrchr(row->key, '.') ? strrchr(row->key, '.') + 1 : row->key;
                assert_non_null(strstr(text, name));
                if (widths[w] == 10000) assert_non_null(strstr(text, row->help + (row->help[0] == '+')));
            }
        free(text);
    }
}

static void test_unknown(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"run.epoch", "there is no config key \"run.epoch\"; did you mean \"run.epochs\"?"},
        {"kernel", "there is no config key \"kernel\"; did you mean \"net.stages.conv.kernel\"?"},
        {"batchs", "there is no config key \"batchs\"; did you mean \"run.batch\"?"},
        {"optimiser", "there is no config key \"optimiser\"; did you mean \"optimizer\"?"},
        {"xyzzyxyzzy", "there is no config key \"xyzzyxyzzy\"; without a key, all are listed"},
        {"net.", "there is no config key \"net.\"; did you mean \"net\"?"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        hff_status status;
        char *text = help(pairs[i][0], 80, &status);
        assert_int_equal(status, HFF_E_USAGE);
        assert_string_equal(hff_error_message(), pairs[i][1]);
        assert_string_equal(text, "");
        free(text);
    }
}

static void test_markdown(void **state)
{
    (void)state;
    char *text;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    assert_non_null(stream);
    assert_int_equal(config_help_markdown(all_rows, stream), HFF_OK);
    assert_int_equal(fclose(stream), 0);
    assert_non_null(
        strstr(text, "## optimizer\n\nhow parameters are updated\n\n| key | value | default | meaning |\n"));
    assert_non_null(
        strstr(text, "| `optimizer.kind` | adamw \\| sgd | `adamw` | adamw: decoupled decay; sgd: momentum |\n"));
    assert_non_null(strstr(text, "| `run.epochs` | number from 0.001 to 100000 epochs | required | passes over"));
    for (size_t t = 0; all_rows[t]; t++)
        for (const struct config_row *row = all_rows[t]; row->key; row++) assert_non_null(strstr(text, row->key));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_subtree), cmocka_unit_test(test_one_key),  cmocka_unit_test(test_all),
        cmocka_unit_test(test_unknown), cmocka_unit_test(test_markdown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
