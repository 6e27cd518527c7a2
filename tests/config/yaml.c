/* YAML as strangers write it: broken, huge, deep, binary. Everything is refused with a place and a reason, or read. */
#include "rows.h" /* before cmocka.h, which has a macro named fail */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define RUN "run: {epochs: 1}\n"
#define NET "net: {stages: [linear: {units: 5}]}\n"

/* Parses text; its message must begin with start, and end with it unless start ends in *. */
static void refused(const char *text, const char *start)
{
    struct config *config = NULL;
    const char *star = strchr(start, '*');
    size_t length = star ? (size_t)(star - start) : strlen(start);
    hff_status status = config_parse(&config, all_rows, "a.yaml", text, NULL, 0);
    const char *got = hff_error_message();
    if (status != HFF_E_CONFIG || strncmp(got, start, length) != 0 || (!star && strlen(got) != length))
        fail_msg("status %d for\n%.200s\nexpected: %s\n     got: %s", status, text, start, got);
    assert_null(config);
}

static void test_syntax(void **state)
{
    (void)state;
    refused("run: {epochs: 1\n",
            "a.yaml:2:1: did not find expected ',' or '}' (while parsing a flow mapping from line 1)");
    refused("run:\n\tepochs: 1\n", "a.yaml:2:1: a tab; YAML is indented with spaces");
    refused("run:\n  epochs: 1\n bad: 2\n", "a.yaml:3:2: did not find expected key (while parsing a block mapping*");
    refused("run: \"abc\n", "a.yaml:2:1: found unexpected end of stream (while scanning a quoted scalar from line 1)");
    refused("- a\n- b\n", "a.yaml:1:1: a config is a map of keys, such as run: and net:");
    refused("hello\n", "a.yaml:1:1: a config is a map of keys, such as run: and net:");
    refused(RUN NET "---\n" RUN, "a.yaml:3:1: a second document; a config is one");
    refused("? [a]\n: 1\n", "a.yaml:1:3: a key must be a word, not a list or a map");
    refused("? {a: 1}\n: 1\n", "a.yaml:1:3: a key must be a word, not a list or a map");
}

static void test_empty(void **state)
{
    (void)state;
    static const char *const empty[] = {"", "\n", "# nothing\n", "---\n", "--- {}\n", "null\n", "{}\n"};
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        struct config *config;
        assert_int_equal(config_parse(&config, all_rows, "a.yaml", empty[i], NULL, 0), HFF_E_CONFIG);
        assert_non_null(strstr(hff_error_message(), "run.epochs is missing"));
    }
}

static void test_no_magic(void **state)
{
    (void)state;
    refused("run: &a {epochs: 1}\n",
            "a.yaml:1:6: anchors (&name) are not supported; write the value out, or use include");
    refused("run: {epochs: &a 1}\n", "a.yaml:1:15: anchors (&name)*");
    refused("net: {stages: &a []}\n", "a.yaml:1:15: anchors (&name)*");
    refused("run: *a\n", "a.yaml:1:6: aliases (*");
    refused("run: {epochs: !!str 1}\n", "a.yaml:1:15: tags (!name) are not supported");
    refused("run: !x {epochs: 1}\n", "a.yaml:1:6: tags (!name) are not supported");
    refused("<<: {epochs: 1}\n", "a.yaml:1:1: \"<<\" is not a key; there are run, data,*");
    refused("include: other.yaml\n", "a.yaml:1:1: include works in files only");
    refused("a: &a [x,x,x,x]\nb: &b [*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\n", "a.yaml:1:4: anchors*"); /* a bomb */
}

static void test_texts(void **state)
{
    (void)state;
    refused("run: {name: \"a\\nb\"}\n", "a.yaml:1:13: a text with a line break or another control character*");
    refused("run: {name: \"a\\0b\"}\n", "a.yaml:1:13: a text with a line break*");
    refused("run: {name: \"\\e[31m\"}\n", "a.yaml:1:13: a text with a line break*");
    refused("run: {name: \"\\u0085\"}\n", "a.yaml:1:13: a text with a line break*");
    refused("run: {name: \"\\u2028\"}\n", "a.yaml:1:13: a text with a line break*");
    refused("run: {name: \"\\uD800\"}\n", "a.yaml:1:16: found invalid Unicode character escape code (while parsing*");
    refused("run:\n  name: |\n    a\n    b\n", "a.yaml:2:9: a text with a line break*");
    refused("\"\\x1b\": 1\n", "a.yaml:1:1: a text with a line break*");
    refused("run: {name: \x01}\n", "a.yaml: not a text in UTF-8: control characters are not allowed at byte 12");
    refused("run: {name: \xff\xfe}\n", "a.yaml: not a text in UTF-8: invalid leading UTF-8 octet at byte 12");
    refused("run: {name: a\xC3}\n", "a.yaml: not a text in UTF-8: invalid trailing UTF-8 octet at byte 14");
    const char *set = "run.name=Z\xC3\xBCrich \xE6\x97\xA5\xE6\x9C\xAC";
    struct config *config;
    assert_int_equal(config_parse(&config, all_rows, "a.yaml", RUN NET, &set, 1), HFF_OK);
    assert_string_equal(config_text(config_root(config), "run.name"), "Z\xC3\xBCrich \xE6\x97\xA5\xE6\x9C\xAC");
    config_free(config);
}

/* count times piece, malloc'ed */
static char *repeated(const char *start, const char *piece, size_t count)
{
    size_t length = strlen(piece), before = strlen(start);
    char *text = malloc(before + count * length + 1);
    assert_non_null(text);
    memcpy(text, start, before);
    for (size_t i = 0; i < count; i++) memcpy(text + before + i * length, piece, length);
    text[before + count * length] = 0;
    return text;
}

static void refused_repeated(const char *start, const char *piece, size_t count, const char *message)
{
    char *text = repeated(start, piece, count);
    refused(text, message);
    free(text);
}

static void test_sizes(void **state)
{
    (void)state;
    refused_repeated("run: ", "[", 100000, "a.yaml:1:69: nested deeper than 64 levels");
    refused_repeated("", "{a: ", 100000, "a.yaml:1:254: nested deeper than 64 levels");
    refused_repeated("", "- ", 100000, "a.yaml:1:129: nested deeper than 64 levels");
    refused_repeated("run: ", "x", 4097, "a.yaml:1:6: a text of 4097 bytes; at most 4096 are read");
    refused_repeated("run: ", "x", 4096, "a.yaml:1:6: run is \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx*");
    refused_repeated("run: ", "x", 1 << 20, "a.yaml: 1048581 bytes; a config has at most 1048576");
    refused_repeated("run: [", "1,", 140000, "a.yaml:1:*: more than 131072 values");
    char *many = repeated("run: {", "", 0), number[32];
    many = realloc(many, 1 << 16);
    assert_non_null(many);
    for (int i = 0; i < 1100; i++) {
        snprintf(number, sizeof number, "k%d: 1, ", i);
        strcat(many, number);
    }
    refused(many, "a.yaml:1:*");
    assert_non_null(strstr(hff_error_message(), "a map of more than 1024 keys"));
    free(many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_syntax), cmocka_unit_test(test_empty), cmocka_unit_test(test_no_magic),
        cmocka_unit_test(test_texts),  cmocka_unit_test(test_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
