/* A device that is played on the CPU, behind the table that the cuda backend calls (backend/cuda/calls.h): streams are
 * queues that are worked off only when the host waits, head by head in random order, so that a missing event shows; kernels
 * are those of src/kernels under the shim; convolutions and products are plain loops. Everything asked is written down. */
#ifndef TESTS_FAKE_DEVICE_H
#define TESTS_FAKE_DEVICE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum fake_kind {
    FAKE_ALLOC, /* device or pinned memory, a stream, an event, a plan: what takes time or may wait */
    FAKE_FREE,
    FAKE_LAUNCH, /* of a kernel */
    FAKE_CONV,
    FAKE_PRODUCT,
    FAKE_ZERO,
    FAKE_COPY_IN,    /* from memory that is pinned */
    FAKE_COPY_PAGED, /* from other host memory: the host would wait */
    FAKE_COPY_OUT,
    FAKE_COPY, /* inside the device */
    FAKE_RECORD,
    FAKE_WAIT_EVENT, /* a stream for an event */
    FAKE_SYNC,       /* the host for a stream or an event */
    FAKE_CAPTURE,
    FAKE_REPLAY,
    FAKE_KINDS
};
struct fake_call {
    enum fake_kind kind;
    int stream, event; /* numbers from 1; 0: none */
};

/* What was asked since the log was last cleared. */
int fake_log(const struct fake_call **out);
void fake_log_clear(void);
int fake_count(enum fake_kind kind);
/* Of each convolution there are so many plans. What one seems to take beyond its own time; how often it was run. */
enum { FAKE_PLANS = 3 };
void fake_plan_takes(int number, double seconds);
void fake_plan_fails(int number, int fails); /* whenever it is run */
int fake_plan_runs(int number);
/* Seeds the order in which streams are worked off. */
void fake_order(uint64_t seed);

#ifdef __cplusplus
}
#endif

#endif
