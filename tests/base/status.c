/* Messages, the trail, and that both belong to the thread. */
#include "fixture.h"

#include <errno.h>
#include <pthread.h>

static void fail_sets_the_message_and_empties_the_trail(void **state)
{
    (void)state;
    assert_int_equal(fail(HFF_E_DATA, "file %d", 1), HFF_E_DATA);
    assert_int_equal(trail_add(HFF_E_DATA, "while reading %s", "x"), HFF_E_DATA);
    assert_int_equal(trail_add(HFF_E_DATA, "while training"), HFF_E_DATA);
    assert_string_equal(hff_error_message(), "file 1");
    assert_int_equal(trail_current()->count, 2);
    assert_string_equal(trail_current()->line[0], "while reading x");
    assert_string_equal(trail_current()->line[1], "while training");
    assert_int_equal(fail(HFF_E_IO, "other"), HFF_E_IO);
    assert_string_equal(hff_error_message(), "other");
    assert_int_equal(trail_current()->count, 0);
}

static void fail_may_quote_the_old_message(void **state)
{
    (void)state;
    fail(HFF_E_DATA, "inner");
    fail(HFF_E_DATA, "outer(%s)", hff_error_message());
    assert_string_equal(hff_error_message(), "outer(inner)");
}

static void fail_errno_adds_the_reason(void **state)
{
    (void)state;
    assert_int_equal(fail_errno(HFF_E_IO, ENOSPC, "a.bin: cannot be written"), HFF_E_IO);
    assert_string_equal(hff_error_message(), "a.bin: cannot be written: No space left on device");
}

static void long_messages_are_cut(void **state)
{
    (void)state;
    char *text = malloc(5000);
    memset(text, 'x', 4999);
    text[4999] = 0;
    fail(HFF_E_DATA, "%s", text);
    assert_int_equal(strlen(hff_error_message()), TRAIL_TEXT - 1);
    fail_errno(HFF_E_IO, ENOENT, "%s", text);
    assert_int_equal(strlen(hff_error_message()), TRAIL_TEXT - 1);
    for (int i = 0; i < 3 * TRAIL_MAX; i++) trail_add(HFF_E_DATA, "%d %s", i, text);
    assert_int_equal(trail_current()->count, TRAIL_MAX);
    assert_int_equal(strncmp(trail_current()->line[0], "0 x", 3), 0);
    free(text);
}

struct exchange {
    struct trail trail;
    char seen[TRAIL_TEXT];
};

static void *other_thread(void *argument)
{
    struct exchange *exchange = argument;
    snprintf(exchange->seen, sizeof exchange->seen, "%s", hff_error_message());
    trail_add(fail(HFF_E_DATA, "theirs"), "their context");
    trail_take(&exchange->trail);
    return NULL;
}

static void messages_belong_to_the_thread(void **state)
{
    (void)state;
    struct exchange exchange;
    pthread_t thread;
    fail(HFF_E_DATA, "mine");
    assert_int_equal(pthread_create(&thread, NULL, other_thread, &exchange), 0);
    pthread_join(thread, NULL);
    assert_string_equal(exchange.seen, "");
    assert_string_equal(hff_error_message(), "mine");
    trail_give(&exchange.trail);
    assert_string_equal(hff_error_message(), "theirs");
    assert_int_equal(trail_current()->count, 1);
    assert_string_equal(trail_current()->line[0], "their context");
}

static hff_status counted(int *calls, hff_status status)
{
    ++*calls;
    return status;
}

static hff_status tries(int *calls)
{
    TRY(counted(calls, HFF_OK));
    TRY(counted(calls, HFF_E_NUMBERS));
    return counted(calls, HFF_E_INTERNAL);
}

static hff_status tries_with_label(int *calls)
{
    hff_status status;
    TRY_GOTO(status, counted(calls, HFF_OK), end);
    TRY_GOTO(status, counted(calls, HFF_E_LIMIT), end);
    status = counted(calls, HFF_E_INTERNAL);
end:
    return status;
}

static void try_returns_at_the_first_error(void **state)
{
    (void)state;
    int calls = 0;
    assert_int_equal(tries(&calls), HFF_E_NUMBERS);
    assert_int_equal(calls, 2);
    assert_int_equal(tries_with_label(&calls), HFF_E_LIMIT);
    assert_int_equal(calls, 4);
}

/* CONTRACT: 1 while running, 2 asked wrongly, 3 a comparison, 130 and 143 the signals. */
static void statuses_have_exits_and_texts(void **state)
{
    (void)state;
    static const struct {
        hff_status status;
        int exit_status;
    } rows[] = {{HFF_OK, 0},        {HFF_E_USAGE, 2}, {HFF_E_CONFIG, 2},        {HFF_E_DATA, 1},
                {HFF_E_FORMAT, 1},  {HFF_E_IO, 1},    {HFF_E_NUMBERS, 1},       {HFF_E_DEVICE, 1},
                {HFF_E_MEMORY, 1},  {HFF_E_LIMIT, 3}, {HFF_E_INTERRUPTED, 130}, {HFF_E_TERMINATED, 143},
                {HFF_E_INTERNAL, 1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(status_exit(rows[i].status), rows[i].exit_status);
        assert_true(strlen(hff_status_text(rows[i].status)) > 0);
    }
    assert_string_equal(hff_status_text(HFF_E_MEMORY), "out of memory");
}

static void version_matches_the_header(void **state)
{
    (void)state;
    char text[32];
    snprintf(text, sizeof text, "%d.%d.%d", HFF_VERSION_MAJOR, HFF_VERSION_MINOR, HFF_VERSION_PATCH);
    assert_string_equal(hff_version(), text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fail_sets_the_message_and_empties_the_trail),
        cmocka_unit_test(fail_may_quote_the_old_message),
        cmocka_unit_test(fail_errno_adds_the_reason),
        cmocka_unit_test(long_messages_are_cut),
        cmocka_unit_test(messages_belong_to_the_thread),
        cmocka_unit_test(try_returns_at_the_first_error),
        cmocka_unit_test(statuses_have_exits_and_texts),
        cmocka_unit_test(version_matches_the_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
