/* Measuring in turns: every thing's warm-up first, then round after round in the same order, each turn after a call that
 * does not count unless calls are long; spread and ratios of known times. */
#include "train/turns.h"

#include "support/small_net.h"

#include <string.h>
#include <unistd.h>

struct thing {
    char name, *log;
    int fails_at, calls;
};

static hff_status slow(void *what)
{
    struct thing *thing = what;
    thing->calls++;
    size_t used = strlen(thing->log);
    thing->log[used] = thing->name;
    usleep(201000); /* more than a round: one call of it */
    return thing->calls == thing->fails_at ? fail(HFF_E_DATA, "thing %c", thing->name) : HFF_OK;
}

static void rounds_alternate(void **state)
{
    (void)state;
    char log[32] = "";
    struct thing thing[3] = {{'a', log, 0, 0}, {'b', log, 0, 0}, {'c', log, 0, 0}};
    struct turns turns[3], *all[3];
    for (int i = 0; i < 3; i++) {
        SMALL_OK(turns_open(&turns[i], slow, &thing[i], 2));
        all[i] = &turns[i];
    }
    SMALL_OK(turns_time(all, 3, 2, NULL));
    assert_string_equal(log, "abcaabbccaabbcc");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(turns[i].calls, 2);
        assert_true(turns[i].seconds[0] >= 0.2 && turns[i].round[1] == turns[i].seconds[1]);
        turns_close(&turns[i]);
    }
}

static void errors_and_signals_end_it(void **state)
{
    (void)state;
    char log[32] = "";
    struct thing thing = {'a', log, 2, 0};
    struct turns turns, *all = &turns;
    SMALL_OK(turns_open(&turns, slow, &thing, 5));
    assert_int_equal(turns_time(&all, 1, 5, NULL), HFF_E_DATA);
    assert_string_equal(log, "aa");
    turns_close(&turns);
    volatile sig_atomic_t stop = SIGINT;
    SMALL_OK(turns_open(&turns, slow, &thing, 5));
    assert_int_equal(turns_time(&all, 1, 5, &stop), HFF_E_INTERRUPTED);
    assert_string_equal(log, "aaaaa");
    turns_close(&turns);
}

static hff_status long_call(void *what)
{
    usleep(1001000);
    ++*(int *)what;
    return HFF_OK;
}

static void long_calls_all_count(void **state)
{
    (void)state;
    int calls = 0;
    struct turns turns, *all = &turns;
    SMALL_OK(turns_open(&turns, long_call, &calls, 1));
    SMALL_OK(turns_time(&all, 1, 1, NULL));
    assert_int_equal(calls, 2);
    assert_int_equal(turns.calls, 1);
    turns_close(&turns);
}

static void known_times(void **state)
{
    (void)state;
    double seconds[] = {5, 1, 4, 2, 3};
    struct spread s = spread_of(seconds, 5);
    assert_true(s.median == 3 && s.min == 1 && s.max == 5 && s.p99 == 5 && s.runs == 5);
    enum { ROUNDS = 100 };
    double round[ROUNDS], by[ROUNDS];
    for (int r = 0; r < ROUNDS; r++) {
        by[r] = 1 + r;
        round[r] = by[r] * (r < 40 ? 9 : r < 70 ? 2 : 1); /* medians of times and ratios differ */
    }
    struct turns a = {.round = round}, b = {.round = by};
    assert_true(turns_ratio(&a, &b, ROUNDS) == 2);
    assert_true(turns_ratio(&b, &b, ROUNDS) == 1);
    assert_true(turns_ratio(&a, &b, 1) == 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rounds_alternate),
        cmocka_unit_test(errors_and_signals_end_it),
        cmocka_unit_test(long_calls_all_count),
        cmocka_unit_test(known_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
