/* JSON: limits of the reader, precision and order of the writer. */
#include "base/json.h"

#include "fixture.h"

#include <math.h>

static hff_status parse(const char *text, json_t **out)
{
    return json_parse("x.json", text, strlen(text), out);
}

static void bad_text_is_refused(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"", "not valid JSON"},
        {"   ", "not valid JSON"},
        {"{\"a\": 1} x", "not valid JSON"},
        {"{\"a\": 1}{", "not valid JSON"},
        {"{\"a\": 1, \"a\": 2}", "duplicate"},
        {"{\"o\": {\"b\": 1, \"b\": 1}}", "duplicate"},
        {"{\"a\": }", "not valid JSON"},
        {"{'a': 1}", "not valid JSON"},
        {"[1, 2", "not valid JSON"},
        {"]", "not valid JSON"},
        {"\"open", "not valid JSON"},
        {"\"open\\", "not valid JSON"},
        {"[NaN]", "not valid JSON"},
        {"[1e999]", "not valid JSON"},
        {"[123456789012345678901234567890]", "not valid JSON"},
        {"[\"\xff\"]", "not valid JSON"},
        {"[\"\\u0000\"]", "not valid JSON"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *value;
        assert_fails(parse(rows[i][0], &value), HFF_E_FORMAT, rows[i][1]);
        assert_non_null(strstr(hff_error_message(), "x.json"));
        assert_null(value);
    }
    json_t *value;
    assert_fails(json_parse("x.json", "{}\0 ", 4, &value), HFF_E_FORMAT, "x.json");
    assert_fails(parse("{\"a\": 1,\n \"b\": ?}", &value), HFF_E_FORMAT, "x.json:2:");
}

static char *nested(int depth)
{
    char *text = calloc(1, 2 * (size_t)depth + 1);
    memset(text, '[', (size_t)depth);
    memset(text + depth, ']', (size_t)depth);
    return text;
}

static void depth_is_limited(void **state)
{
    (void)state;
    json_t *value;
    char *fits = nested(64), *deep = nested(65), *huge = nested(1 << 20);
    assert_ok(parse(fits, &value));
    json_decref(value);
    assert_fails(parse(deep, &value), HFF_E_FORMAT, "deeper than 64");
    assert_fails(parse(huge, &value), HFF_E_FORMAT, "deeper than 64");
    free(fits);
    free(deep);
    free(huge);
    char *text = calloc(1, 1000); /* brackets in strings do not count, also behind an escaped quote */
    strcpy(text, "\"\\\"\\\\\\\"");
    memset(text + strlen(text), '[', 200);
    strcat(text, "\"");
    assert_ok(parse(text, &value));
    json_decref(value);
    free(text);
    char wide[4096] = "[";
    for (int i = 0; i < 500; i++) strcat(wide, "[],{},"); /* wide is not deep */
    strcat(wide, "1]");
    assert_ok(parse(wide, &value));
    assert_int_equal(json_array_size(value), 1001);
    json_decref(value);
}

static void size_counts_not_the_end_mark(void **state)
{
    (void)state;
    json_t *value;
    assert_ok(json_parse("x.json", "[1, 2]garbage", 6, &value));
    assert_int_equal(json_array_size(value), 2);
    json_decref(value);
}

static void reals_survive(void **state)
{
    (void)state;
    static const double rows[] = {0.1, 1.0 / 3.0, 2.5e-308, 1.7976931348623157e308, -0.0, 12345678901234567.0, 5e-324};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *real = json_number(rows[i]), *back;
        char *text = json_text(real, 0);
        if (parse(text, &back) != HFF_OK) fail_msg("%s: %s", text, hff_error_message());
        double found = json_real_value(back);
        assert_memory_equal(&found, &rows[i], sizeof found);
        free(text);
        json_decref(real);
        json_decref(back);
    }
    assert_true(json_is_null(json_number(NAN)));
    assert_true(json_is_null(json_number(INFINITY)));
    assert_true(json_is_null(json_number(-INFINITY)));
}

static void keys_keep_their_order_or_are_sorted(void **state)
{
    (void)state;
    json_t *object = json_object();
    static const char *const keys[] = {"zebra", "apple", "mango", "b", "a"};
    for (int i = 0; i < 5; i++) json_object_set_new(object, keys[i], json_integer(i));
    char *text = json_text(object, 0), *again = json_text(object, 0);
    assert_string_equal(text, "{\"zebra\": 0, \"apple\": 1, \"mango\": 2, \"b\": 3, \"a\": 4}");
    assert_string_equal(text, again);
    assert_null(strchr(text, '\n'));
    free(text);
    free(again);
    text = json_text(object, 2);
    assert_non_null(strstr(text, "\n  \"apple\": 1,\n"));
    free(text);
    json_t *inner = json_pack("{s: {s: i, s: i}}", "x", "q", 1, "p", 2);
    json_object_update(inner, object);
    text = json_text_sorted(inner);
    assert_string_equal(text,
                        "{\"a\": 4, \"apple\": 1, \"b\": 3, \"mango\": 2, \"x\": {\"p\": 2, \"q\": 1}, \"zebra\": 0}");
    free(text);
    json_decref(inner);
    json_decref(object);
}

static void files_round_trip(void **state)
{
    struct fixture *fixture = *state;
    const char *path = in_folder(fixture, "a.json");
    json_t *object =
        json_pack("{s:i, s:f, s:s, s:[i,i]}", "int", 7, "real", 0.25, "text", "caf\xc3\xa9 \"x\"\n", "list", 1, 2);
    assert_ok(json_write(path, object));
    json_t *back;
    assert_ok(json_read(path, &back));
    assert_true(json_equal(object, back));
    unsigned char *bytes;
    size_t size;
    assert_ok(file_read(path, 1000, &bytes, &size));
    assert_int_equal(bytes[size - 1], '\n');
    free(bytes);
    json_decref(object);
    json_decref(back);
    assert_fails(json_read(in_folder(fixture, "none.json"), &back), HFF_E_IO, "none.json");
    assert_null(back);
    assert_ok(file_write(path, "{\"a\": 1", 7));
    assert_fails(json_read(path, &back), HFF_E_FORMAT, "a.json:1:");
    json_t *number = json_integer(3);
    assert_fails(json_write(in_folder(fixture, "no/such/a.json"), number), HFF_E_IO, "no/such/a.json");
    json_decref(number);
}

static void members_are_checked(void **state)
{
    (void)state;
    json_t *object;
    assert_ok(parse("{\"i\": -9, \"r\": 0.5, \"t\": \"text\", \"n\": null, \"l\": []}", &object));
    int64_t i = 0;
    double r = 0;
    const char *t = NULL;
    assert_ok(json_member_int(object, "state.json", "i", &i));
    assert_int_equal(i, -9);
    assert_ok(json_member_real(object, "state.json", "r", &r));
    assert_true(r == 0.5);
    assert_ok(json_member_real(object, "state.json", "i", &r)); /* an integer is a number too */
    assert_true(r == -9);
    assert_ok(json_member_text(object, "state.json", "t", &t));
    assert_string_equal(t, "text");
    assert_fails(json_member_int(object, "state.json", "r", &i), HFF_E_FORMAT, "state.json: \"r\" is not an integer");
    assert_fails(json_member_int(object, "state.json", "gone", &i), HFF_E_FORMAT, "state.json: \"gone\" is missing");
    assert_fails(json_member_real(object, "state.json", "t", &r), HFF_E_FORMAT, "\"t\" is not a number");
    assert_fails(json_member_real(object, "state.json", "n", &r), HFF_E_FORMAT, "\"n\" is not a number");
    assert_fails(json_member_text(object, "state.json", "l", &t), HFF_E_FORMAT, "\"l\" is not a text");
    assert_fails(json_member_text(json_object_get(object, "l"), "state.json", "t", &t), HFF_E_FORMAT,
                 "not a JSON object");
    assert_fails(json_member_int(NULL, "state.json", "t", &i), HFF_E_FORMAT, "state.json");
    json_decref(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_text_is_refused),
        cmocka_unit_test(depth_is_limited),
        cmocka_unit_test(size_counts_not_the_end_mark),
        cmocka_unit_test(reals_survive),
        cmocka_unit_test(keys_keep_their_order_or_are_sorted),
        cmocka_unit_test_setup_teardown(files_round_trip, fixture_open, fixture_close),
        cmocka_unit_test(members_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
