/* Measuring in turns. */
#include "turns.h"

#include "evaluate.h"

#include "base/arena.h"
#include "base/clock.h"

#include <stdlib.h>

/* A round's calls of one thing take about this long, or are one call. */
static const double round_seconds = 0.2;
/* A turn of calls that take less begins with one that does not count: it finds caches and memory as others left them. */
static const double rewarmed_seconds = 1;
enum { CALLS_MOST = 100 };

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct spread spread_of(double *seconds, int runs)
{
    qsort(seconds, (size_t)runs, sizeof *seconds, ascending);
    return (struct spread){.median = seconds[runs / 2],
                           .p99 = seconds[(int)(0.99 * (runs - 1) + 0.5)],
                           .min = seconds[0],
                           .max = seconds[runs - 1],
                           .runs = runs};
}

static double median(double *seconds, int count)
{
    qsort(seconds, (size_t)count, sizeof *seconds, ascending);
    return count % 2 ? seconds[count / 2] : 0.5 * (seconds[count / 2 - 1] + seconds[count / 2]);
}

hff_status turns_open(struct turns *turns, hff_status (*run)(void *what), void *what, int rounds)
{
    *turns = (struct turns){.run = run, .what = what, .room = rounds * CALLS_MOST};
    turns->seconds = calloc((size_t)turns->room, sizeof *turns->seconds);
    turns->round = calloc((size_t)rounds, sizeof *turns->round);
    return turns->seconds && turns->round ? HFF_OK : fail(HFF_E_MEMORY, "no memory for the times of %d rounds", rounds);
}

void turns_close(struct turns *turns)
{
    free(turns->seconds);
    free(turns->round);
    *turns = (struct turns){0};
}

static hff_status timed(const struct turns *turns, double *seconds)
{
    double start = clock_seconds();
    TRY(turns->run(turns->what));
    *seconds = clock_seconds() - start;
    return HFF_OK;
}

/* A warm-up, which also says how many calls make a round. */
static hff_status warm_up(struct turns *turns)
{
    double first;
    TRY(timed(turns, &first));
    if (first < round_seconds) TRY(timed(turns, &first));
    double calls = round_seconds / (first > 1e-6 ? first : 1e-6);
    turns->rewarm = first < rewarmed_seconds;
    turns->each = calls < 1 ? 1 : calls > CALLS_MOST ? CALLS_MOST : (int)calls;
    return HFF_OK;
}

hff_status turns_time(struct turns *const *turns, int count, int rounds, const volatile sig_atomic_t *stop)
{
    for (int i = 0; i < count; i++) TRY(warm_up(turns[i]));
    for (int r = 0; r < rounds; r++)
        for (int i = 0; i < count; i++) {
            struct turns *t = turns[i];
            double *seconds = t->seconds + t->calls;
            if (t->rewarm) TRY(t->run(t->what));
            for (int k = 0; k < t->each; k++) {
                TRY(timed(t, &t->seconds[t->calls++]));
                TRY(stop_asked(stop, "a measurement"));
            }
            t->round[r] = median(seconds, t->each);
        }
    return HFF_OK;
}

double turns_ratio(const struct turns *turns, const struct turns *by, int rounds)
{
    struct arena arena = {0};
    double *ratio = ARENA_NEW(&arena, double, rounds);
    for (int r = 0; r < rounds; r++) ratio[r] = turns->round[r] / by->round[r];
    double middle = median(ratio, rounds);
    arena_free(&arena);
    return middle;
}
