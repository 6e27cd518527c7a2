/* Backends with work in flight: api tables of the cpu backend and of queues with some functions replaced. */
#include "flight.h"

#include "backend/queue.h"
#include "base/philox.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

/* ---- late ---- */

static atomic_uint drawn;
static atomic_int longest;

static hff_status late_op_run(struct op *op, struct stream *stream, void *const *args, void *workspace)
{
    struct rng rng;
    rng_open(&rng, 11, RNG_TEST, atomic_fetch_add(&drawn, 1), 0);
    int most = atomic_load(&longest);
    if (most > 0 && rng_below(&rng, 2)) {
        struct timespec pause = {.tv_nsec = 1000L * (long)rng_below(&rng, (uint32_t)most)};
        nanosleep(&pause, NULL);
    }
    return backend_cpu.op_run(op, stream, args, workspace);
}

struct backend *flight_late(int threads, int most)
{
    static struct backend_api late;
    struct backend *backend = NULL;
    late = backend_cpu;
    late.op_run = late_op_run;
    atomic_store(&longest, most);
    if (backend_open("cpu", threads, &backend) == HFF_OK) backend->api = &late;
    return backend;
}

/* ---- careless ---- */

static hff_status no_wait(struct stream *stream, struct event *event)
{
    (void)stream;
    (void)event;
    return HFF_OK;
}

/* ---- capturing ---- */

struct noted {
    struct op *op;
    void *const *args;
    void *workspace;
};

struct capture {
    struct noted *noted;
    int count;
};

static const struct backend_api *queue_api;
static struct stream *capturing;
static struct capture *current;
static struct flight_counts counts;

static hff_status noting_op_run(struct op *op, struct stream *stream, void *const *args, void *workspace)
{
    if (stream != capturing) {
        counts.ops++;
        return queue_api->op_run(op, stream, args, workspace);
    }
    struct noted *noted = realloc(current->noted, (size_t)(current->count + 1) * sizeof *noted);
    if (!noted) return fail(HFF_E_MEMORY, "no memory for a capture");
    current->noted = noted;
    noted[current->count++] = (struct noted){op, args, workspace};
    return HFF_OK;
}

static hff_status refuse(const struct stream *stream, const char *what)
{
    return stream == capturing ? fail(HFF_E_INTERNAL, "%s while its stream captures", what) : HFF_OK;
}

static hff_status strict_wait(struct stream *stream)
{
    TRY(refuse(stream, "a wait"));
    return queue_api->stream_wait(stream);
}

static hff_status strict_copy_in(struct stream *stream, void *device, const void *host, size_t bytes)
{
    TRY(refuse(stream, "a copy"));
    return queue_api->copy_in(stream, device, host, bytes);
}

static hff_status strict_copy_out(struct stream *stream, void *host, const void *device, size_t bytes)
{
    TRY(refuse(stream, "a copy"));
    return queue_api->copy_out(stream, host, device, bytes);
}

static hff_status strict_clear(struct stream *stream, void *device, size_t bytes)
{
    TRY(refuse(stream, "clearing"));
    return queue_api->clear(stream, device, bytes);
}

static hff_status strict_record(struct event *event, struct stream *stream)
{
    TRY(refuse(stream, "an event"));
    return queue_api->event_record(event, stream);
}

static hff_status strict_wait_event(struct stream *stream, struct event *event)
{
    TRY(refuse(stream, "an event"));
    return queue_api->stream_wait_event(stream, event);
}

static int captures_most; /* 0: any number */

static hff_status capture_begin(struct stream *stream)
{
    TRY(refuse(stream, "a capture"));
    current = calloc(1, sizeof *current);
    if (!current) return fail(HFF_E_MEMORY, "no memory for a capture");
    capturing = stream;
    return HFF_OK;
}

static hff_status capture_end(struct stream *stream, struct capture **out)
{
    (void)stream;
    *out = current;
    capturing = NULL;
    current = NULL;
    counts.captures++;
    if (captures_most == 0 || counts.captures <= captures_most) return HFF_OK;
    free((*out)->noted);
    free(*out);
    *out = NULL;
    return fail(HFF_E_DEVICE, "no third capture");
}

static hff_status replay(struct capture *capture, struct stream *stream)
{
    TRY(refuse(stream, "a replay"));
    counts.replays++;
    for (int i = 0; i < capture->count; i++) {
        const struct noted *n = &capture->noted[i];
        TRY(queue_api->op_run(n->op, stream, n->args, n->workspace));
    }
    return HFF_OK;
}

static void capture_destroy(struct capture *capture)
{
    free(capture->noted);
    free(capture);
}

struct flight_counts flight_counts(void)
{
    return counts;
}

/* ---- all ---- */

struct flight flight_open(enum flight_kind kind, int threads, int most)
{
    static struct backend_api careless, captures;
    struct flight flight = {.inner = flight_late(threads, most)};
    if (!flight.inner || queue_open(flight.inner, &flight.backend) != HFF_OK) return flight;
    if (kind == FLIGHT_CARELESS) {
        careless = *flight.backend->api;
        careless.stream_wait_event = no_wait;
        flight.backend->api = &careless;
    }
    captures_most = kind == FLIGHT_REFUSES ? 2 : 0;
    if (kind == FLIGHT_CAPTURES || kind == FLIGHT_REFUSES) {
        queue_api = flight.backend->api;
        counts = (struct flight_counts){0};
        captures = *queue_api;
        captures.op_run = noting_op_run;
        captures.stream_wait = strict_wait;
        captures.copy_in = strict_copy_in;
        captures.copy_out = strict_copy_out;
        captures.clear = strict_clear;
        captures.event_record = strict_record;
        captures.stream_wait_event = strict_wait_event;
        captures.capture_begin = capture_begin;
        captures.capture_end = capture_end;
        captures.replay = replay;
        captures.capture_destroy = capture_destroy;
        flight.backend->api = &captures;
    }
    return flight;
}
