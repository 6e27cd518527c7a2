/* The resolved config: written as YAML or JSON and read back, it is the same; its texts are what other readers take for
 * the same texts. */
#include "rows.h" /* before cmocka.h, which has a macro named fail */

#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *written(const struct config *config)
{
    char *text;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    assert_non_null(stream);
    assert_int_equal(config_write_yaml(config, stream), HFF_OK);
    assert_int_equal(fclose(stream), 0);
    return text;
}

static struct config *parsed(const char *text, const char *const *sets, int set_count)
{
    struct config *config;
    if (config_parse(&config, all_rows, "a.yaml", text, sets, set_count) != HFF_OK)
        fail_msg("%s\n%s", hff_error_message(), text);
    return config;
}

/* Writes, reads and writes again, in both forms. */
static void round_trip(struct config *config)
{
    char *yaml = written(config);
    json_t *json = config_to_json(config);
    char *json_text = json_dumps(json, JSON_INDENT(2));
    struct config *from_yaml = parsed(yaml, NULL, 0), *from_json = parsed(json_text, NULL, 0);
    char *again = written(from_yaml);
    assert_string_equal(again, yaml);
    json_t *yaml_json = config_to_json(from_yaml), *json_json = config_to_json(from_json);
    assert_true(json_equal(yaml_json, json));
    assert_true(json_equal(json_json, json));
    json_decref(yaml_json);
    json_decref(json_json);
    json_decref(json);
    config_free(from_yaml);
    config_free(from_json);
    free(again);
    free(json_text);
    free(yaml);
}

static void test_page(void **state)
{
    (void)state;
    static const char *const sets[] = {"run.until={accuracy: 1}", "data.root=${HFF_DATA}/mnist", "data.augment=[]"};
    struct config *config = parsed(good, sets, 3);
    char *text = written(config);
    assert_string_equal(text, "run:\n"
                              "  epochs: 2.5\n"
                              "  name: \"first try\"\n"
                              "  until:\n"
                              "    accuracy: 1.0\n"
                              "    patience: 3\n"
                              "  seed: 1\n"
                              "  batch: 128\n"
                              "  backend: auto\n"
                              "  threads: 0\n"
                              "  out: runs\n"
                              "data:\n"
                              "  augment: []\n"
                              "  normalize: [0.5, 0.001]\n"
                              "  root: \"${HFF_DATA}/mnist\"\n"
                              "  source: digits\n"
                              "  holdout: 0.0\n"
                              "  shuffle: true\n"
                              "  limit:\n"
                              "    train: 0\n"
                              "    test: 0\n"
                              "net:\n"
                              "  stages:\n"
                              "    - linear:\n"
                              "        units: 1000\n"
                              "        act: relu\n"
                              "      repeat: 1\n"
                              "    - conv:\n"
                              "        channels: 96\n"
                              "        pool:\n"
                              "          max: 2\n"
                              "        kernel: 3\n"
                              "      repeat: 3\n"
                              "      objective:\n"
                              "        scale: 8.0\n"
                              "        prototypes:\n"
                              "          train: false\n"
                              "  between: auto\n"
                              "optimizer:\n"
                              "  lr: 0.01\n"
                              "  kind: adamw\n"
                              "  eps: 0.00000001\n"
                              "  schedule:\n"
                              "    kind: cosine\n"
                              "    warmup: 0.05\n"
                              "objective:\n"
                              "  kind: hff\n"
                              "  scale: 16.0\n"
                              "  prototypes:\n"
                              "    per_class: 1\n"
                              "    train: true\n"
                              "engine:\n"
                              "  pipeline: auto\n");
    free(text);
    round_trip(config);
    config_free(config);
}

static void test_texts(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "plain",       "\"\"",       "~",       "\"~\"",      "\"null\"", "\"true\"",      "\"No\"",
        "\"y\"",       "12",         "1e3",     "0x1F",       "1:30",     "2001-1-1",      "\"- a\"",
        "\"a: b\"",    "\"a #b\"",   "\"#a\"",  "\"{a}\"",    "\"[a]\"",  "\"*a\"",        "\"&a\"",
        "\"!a\"",      "\"@a\"",     "\"%a\"",  "\"a\\\\b\"", "'\"a\"'",  "'it''s'",       "\" a \"",
        "/a/b.c-d",    "~/x",        "${A}",    "\"<<\"",     "\"=\"",    "a,b",           "\".nan\"",
        "-.inf",       "\"?\"",      "\"? a\"", "a?",         "'`a'",     "Z\xC3\xBCrich", "\xF0\x9F\x98\x80",
        "\"\\u00e9\"", "\"\\ue000\""};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char text[64];
        snprintf(text, sizeof text, "run.name=%s", texts[i]);
        const char *set = text;
        struct config *config = parsed(good, &set, 1);
        round_trip(config);
        config_free(config);
    }
}

static void test_quotes(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"~/x", "  name: \"~/x\"\n"},         {"off-road", "  name: off-road\n"},
        {"\"off\"", "  name: \"off\"\n"},     {"\"12\"", "  name: \"12\"\n"},
        {"12", "  name: \"12\"\n"},           {"'a\"b\\c'", "  name: \"a\\\"b\\\\c\"\n"},
        {"/data/x.1", "  name: /data/x.1\n"}, {"\"\"", "  name: \"\"\n"},
        {"NULL2", "  name: NULL2\n"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char text[64];
        snprintf(text, sizeof text, "run.name=%s", pairs[i][0]);
        const char *set = text;
        struct config *config = parsed(good, &set, 1);
        char *yaml = written(config);
        if (!strstr(yaml, pairs[i][1])) fail_msg("%s not in\n%s", pairs[i][1], yaml);
        free(yaml);
        config_free(config);
    }
}

static void test_numbers(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {{"1e-3", "0.001"},
                                           {"0.1", "0.1"},
                                           {"100", "100.0"},
                                           {"1", "1.0"},
                                           {"-0.0", "-0.0"},
                                           {"0", "0.0"},
                                           {"12.5e-4", "0.00125"},
                                           {"1e15", "1000000000000000.0"},
                                           {"1e30", "1.0e+30"},
                                           {"1.25e-30", "1.25e-30"},
                                           {"-2.5", "-2.5"},
                                           {"0.30000000000000004", "0.30000000000000004"},
                                           {"123456.789", "123456.789"},
                                           {"5e-324", "5.0e-324"},
                                           {"1.7976931348623157e308", "1.7976931348623157e+308"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char text[64], line[64];
        snprintf(text, sizeof text, "optimizer.schedule.warmup=%s", pairs[i][0]);
        snprintf(line, sizeof line, "    warmup: %s\n", pairs[i][1]);
        const char *set = text;
        struct config *config = parsed(good, &set, 1);
        char *yaml = written(config);
        if (!strstr(yaml, line)) fail_msg("%s not in\n%s", line, yaml);
        free(yaml);
        round_trip(config);
        config_free(config);
    }
}

/* Any double comes back with all its bits; digits come from a fixed sequence. */
static void test_many_numbers(void **state)
{
    (void)state;
    uint64_t bits = 88172645463325252u;
    for (int i = 0; i < 300; i++) {
        double value, back;
        bits ^= bits << 13, bits ^= bits >> 7, bits ^= bits << 17;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value)) continue;
        char text[64];
        snprintf(text, sizeof text, "optimizer.schedule.warmup=%.17g", i % 2 ? value : (double)(bits >> 11) * 0x1p-53);
        const char *set = text;
        struct config *config = parsed(good, &set, 1);
        value = config_real(config_root(config), "optimizer.schedule.warmup");
        char *yaml = written(config);
        struct config *again = parsed(yaml, NULL, 0);
        back = config_real(config_root(again), "optimizer.schedule.warmup");
        assert_memory_equal(&value, &back, sizeof value);
        free(yaml);
        config_free(again);
        config_free(config);
    }
}

/* Where the decimal point is a comma; skipped where no such locale is installed. */
static void test_locale(void **state)
{
    (void)state;
    static const char *const locales[] = {"de_DE.UTF-8", "de_DE", "fr_FR.UTF-8", "nl_NL.UTF-8"};
    int found = 0;
    for (size_t i = 0; !found && i < sizeof locales / sizeof *locales; i++)
        found = setlocale(LC_ALL, locales[i]) != NULL;
    if (!found) skip();
    struct config *config = parsed(good, NULL, 0);
    assert_float_equal(config_real(config_root(config), "run.epochs"), 2.5, 0);
    char *yaml = written(config);
    assert_non_null(strstr(yaml, "epochs: 2.5\n"));
    free(yaml);
    round_trip(config);
    config_free(config);
    setlocale(LC_ALL, "C");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page),    cmocka_unit_test(test_texts),        cmocka_unit_test(test_quotes),
        cmocka_unit_test(test_numbers), cmocka_unit_test(test_many_numbers), cmocka_unit_test(test_locale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
