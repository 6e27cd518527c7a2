/* Backends with work in flight, for tests: the cpu backend behind queues, made late, careless, or able to capture. */
#ifndef TESTS_SUPPORT_FLIGHT_H
#define TESTS_SUPPORT_FLIGHT_H

#include "backend/backend.h"

/* The cpu backend, in which each op begins after a random while: none, or up to most microseconds. */
struct backend *flight_late(int threads, int most);

/* The cpu backend of those threads with queues in front. */
enum flight_kind {
    FLIGHT_ORDERED,
    FLIGHT_CARELESS, /* streams wait for no event */
    FLIGHT_CAPTURES, /* with capture and replay; whatever else touches a stream that captures fails */
    FLIGHT_REFUSES,  /* the same, but the third capture fails */
};
struct flight {
    struct backend *inner, *backend;
};
/* most: as in flight_late. One of the last two at a time. Closing: backend_close both, backend first. */
struct flight flight_open(enum flight_kind kind, int threads, int most);

/* Of these since it was opened: what was captured and replayed, and ops that were run one by one. */
struct flight_counts {
    int captures, replays, ops;
};
struct flight_counts flight_counts(void);

#endif
