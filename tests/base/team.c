/* The thread team: every task once, results visible after team_run, many small phases, several teams. */
#include "base/team.h"

#include "base/clock.h"
#include "fixture.h"

#include <math.h>
#include <stdatomic.h>

enum { ITEMS = 10007, PHASES = 100000 };

static const int sizes[] = {1, 2, 4};

struct sum {
    int tasks;
    int64_t *partial; /* one of each task */
    atomic_int *runs;
    atomic_int bad_thread;
    int team_size;
};

static void sum_task(void *context, int task, int thread)
{
    struct sum *sum = context;
    if (thread < 0 || thread >= sum->team_size) atomic_store(&sum->bad_thread, 1);
    atomic_fetch_add(&sum->runs[task], 1);
    int64_t total = 0;
    for (int i = task; i < ITEMS; i += sum->tasks) total += (int64_t)i * i;
    sum->partial[task] = total;
}

static void sums_are_the_same_on_any_team(void **state)
{
    (void)state;
    for (int s = 0; s < 3; s++) {
        struct team *team;
        assert_ok(team_open(&team, sizes[s], NULL));
        assert_int_equal(team_size(team), sizes[s]);
        for (int tasks = 0; tasks < 40; tasks++) {
            int64_t partial[40] = {0}, total = 0, expected = 0;
            atomic_int runs[40];
            for (int i = 0; i < 40; i++) atomic_init(&runs[i], 0);
            struct sum sum = {.tasks = tasks, .partial = partial, .runs = runs, .team_size = sizes[s]};
            team_run(team, tasks, sum_task, &sum);
            for (int i = 0; i < 40; i++) assert_int_equal(atomic_load(&runs[i]), i < tasks);
            for (int i = 0; i < tasks; i++) total += partial[i];
            for (int64_t i = 0; i < ITEMS && tasks > 0; i++) expected += i * i;
            assert_true(total == expected);
            assert_int_equal(atomic_load(&sum.bad_thread), 0);
        }
        team_close(team);
    }
}

enum { CELLS = 5 };
struct chain {
    uint32_t from[CELLS], to[CELLS];
};

/* Reads what all tasks of the phase before wrote, so that a phase that begins too early changes the result. */
static void chain_task(void *context, int task, int thread)
{
    (void)thread;
    struct chain *chain = context;
    uint32_t mix = (uint32_t)task;
    for (int i = 0; i < CELLS; i++) mix = mix * 31 + chain->from[i];
    chain->to[task] = mix;
}

/* Returns the number of phases that were run: phases, or as many (but at least 1000) as fit into the seconds. */
static int run_chain(struct chain *chain, int threads, int phases, double seconds)
{
    struct team *team;
    assert_ok(team_open(&team, threads, NULL));
    *chain = (struct chain){{1, 2, 3, 4, 5}, {0}};
    double end = clock_seconds() + seconds;
    int phase = 0;
    for (; phase < phases && (phase < 1000 || clock_seconds() < end); phase++) {
        team_run(team, CELLS, chain_task, chain);
        memcpy(chain->from, chain->to, sizeof chain->from);
    }
    team_close(team);
    return phase;
}

/* Each phase waits for every thread, so on a busy machine it may take as long as the system's turns: hence the
 * seconds. */
static void many_small_phases_follow_each_other(void **state)
{
    (void)state;
    for (int s = 1; s < 3; s++) {
        struct chain expected, chain;
        int phases = run_chain(&chain, sizes[s], PHASES, 1.5);
        assert_int_equal(run_chain(&expected, 1, phases, INFINITY), phases);
        assert_memory_equal(&chain, &expected, sizeof chain);
    }
}

static atomic_int started;
static _Thread_local int mine;

static void note_start(void)
{
    atomic_fetch_add(&started, 1);
    mine = 1;
}

static void need_start(void *context, int task, int thread)
{
    (void)task, (void)thread;
    if (!mine) atomic_fetch_add((atomic_int *)context, 1);
}

static void every_thread_starts_with_the_hook(void **state)
{
    (void)state;
    atomic_store(&started, 0);
    mine = 0;
    struct team *team;
    atomic_int without;
    atomic_init(&without, 0);
    assert_ok(team_open(&team, 4, note_start));
    assert_int_equal(mine, 1);
    for (int i = 0; i < 100; i++) team_run(team, 16, need_start, &without);
    team_close(team);
    assert_int_equal(atomic_load(&without), 0);
    assert_int_equal(atomic_load(&started), 4);
}

static void zero_threads_means_all_processors(void **state)
{
    (void)state;
    assert_true(team_processors() >= 1);
    struct team *team;
    assert_ok(team_open(&team, 0, NULL));
    assert_int_equal(team_size(team), team_processors());
    team_close(team);
    team_close(NULL);
}

static void add_task(void *context, int task, int thread)
{
    (void)thread;
    atomic_fetch_add((atomic_int *)context, task);
}

static void two_teams_do_not_meet(void **state)
{
    (void)state;
    struct team *a, *b;
    assert_ok(team_open(&a, 2, NULL));
    assert_ok(team_open(&b, 3, NULL));
    atomic_int sum_a, sum_b;
    atomic_init(&sum_a, 0);
    atomic_init(&sum_b, 0);
    for (int i = 0; i < 200; i++) {
        team_run(a, 10, add_task, &sum_a);
        team_run(b, 20, add_task, &sum_b);
    }
    team_close(a);
    team_run(b, 20, add_task, &sum_b);
    team_close(b);
    assert_int_equal(atomic_load(&sum_a), 200 * 45);
    assert_int_equal(atomic_load(&sum_b), 201 * 190);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_the_same_on_any_team),
        cmocka_unit_test(many_small_phases_follow_each_other),
        cmocka_unit_test(every_thread_starts_with_the_hook),
        cmocka_unit_test(zero_threads_means_all_processors),
        cmocka_unit_test(two_teams_do_not_meet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
