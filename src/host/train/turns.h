/* Several things measured in turns, so that what else happens on the machine meets all of them alike. */
#ifndef HFF_TRAIN_TURNS_H
#define HFF_TRAIN_TURNS_H

#include "base/status.h"

#include <signal.h>

/* Seconds of several runs of one thing. */
struct spread {
    double median, p99, min, max;
    int runs;
};
struct spread spread_of(double *seconds, int runs); /* sorts them */

/* One thing to measure, and its times. */
struct turns {
    hff_status (*run)(void *what);
    void *what;
    double *seconds;       /* of every call, (room) */
    double *round;         /* median of each round's calls, (rounds) */
    int calls, room, each; /* each: calls of a round */
    int rewarm;            /* a round begins with a call that does not count */
};

hff_status turns_open(struct turns *turns, hff_status (*run)(void *what), void *what, int rounds);
void turns_close(struct turns *turns);

/* rounds in which each of them runs, the slow ones once, the quick ones several times. stop: as in stop_asked. */
hff_status turns_time(struct turns *const *turns, int count, int rounds, const volatile sig_atomic_t *stop);

/* How many times as long as by takes: the median over rounds. */
double turns_ratio(const struct turns *turns, const struct turns *by, int rounds);

#endif
