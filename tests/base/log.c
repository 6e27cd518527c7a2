/* The log: levels, prefixes, the hook; and clocks. */
#include "base/log.h"

#include "base/clock.h"
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static void say_all(void)
{
    log_error("one %d", 1);
    log_warn("two");
    log_info("three");
    log_debug("four");
}

/* What say_all writes on standard error at a level. */
static char *said(struct fixture *fixture, enum log_level level)
{
    const char *path = in_folder(fixture, "stderr");
    int saved = dup(STDERR_FILENO), out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    assert_true(saved >= 0 && out >= 0);
    log_set_level(level);
    fflush(stderr);
    dup2(out, STDERR_FILENO);
    say_all();
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(out);
    log_set_level(LOG_INFO);
    unsigned char *data;
    size_t size;
    assert_ok(file_read(path, 4096, &data, &size));
    char *text = arena_text(&fixture->arena, (char *)data);
    free(data);
    return text;
}

static void levels_choose_messages(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(log_get_level(), LOG_INFO);
    assert_string_equal(said(fixture, LOG_QUIET), "");
    assert_string_equal(said(fixture, LOG_ERROR), "error: one 1\n");
    assert_string_equal(said(fixture, LOG_WARN), "error: one 1\nwarning: two\n");
    assert_string_equal(said(fixture, LOG_INFO), "error: one 1\nwarning: two\nthree\n");
    assert_string_equal(said(fixture, LOG_DEBUG), "error: one 1\nwarning: two\nthree\ndebug: four\n");
}

static void count_call(void *context)
{
    ++*(int *)context;
}

static void the_hook_comes_before_each_message(void **state)
{
    struct fixture *fixture = *state;
    int calls = 0;
    log_set_hook(count_call, &calls);
    said(fixture, LOG_WARN);
    assert_int_equal(calls, 2);
    log_set_hook(NULL, NULL);
    said(fixture, LOG_WARN);
    assert_int_equal(calls, 2);
}

static void a_message_keeps_errno(void **state)
{
    (void)state;
    log_set_level(LOG_QUIET);
    errno = ENOSPC;
    log_error("nothing");
    assert_int_equal(errno, ENOSPC);
    log_set_level(LOG_INFO);
}

static void clocks_go_forward(void **state)
{
    (void)state;
    double wall = clock_seconds(), cpu = clock_cpu_seconds();
    volatile unsigned sum = 0;
    for (unsigned i = 0; i < 5000000; i++) sum += i;
    assert_true(clock_seconds() > wall);
    assert_true(clock_cpu_seconds() > cpu);
}

static void utc_is_written_in_full(void **state)
{
    (void)state;
    char text[22];
    memset(text, '#', sizeof text);
    clock_utc(text);
    assert_int_equal(strlen(text), 20);
    assert_int_equal(text[21], '#');
    static const char pattern[] = "0000-00-00T00:00:00Z";
    for (int i = 0; i < 20; i++) {
        if (pattern[i] == '0')
            assert_in_range(text[i], '0', '9');
        else
            assert_int_equal(text[i], pattern[i]);
    }
    assert_true(atoi(text) >= 2024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(levels_choose_messages, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(the_hook_comes_before_each_message, fixture_open, fixture_close),
        cmocka_unit_test(a_message_keeps_errno),
        cmocka_unit_test(clocks_go_forward),
        cmocka_unit_test(utc_is_written_in_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
