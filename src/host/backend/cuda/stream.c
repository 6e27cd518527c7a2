/* Streams, events, copies and capture of the cuda backend. */
#include "stream.h"

#include "base/clock.h"
#include "cuda.h"

#include <stdlib.h>

/* The device tells milliseconds as f32: 0.1 us of a second or two. */
static const double clock_good_for = 2;

struct event {
    struct cuda_backend *backend;
    void *handle;
};

struct capture {
    struct cuda_backend *backend;
    void *graph;
};

static hff_status use(const struct cuda_backend *backend)
{
    return cuda_calls.use(backend->device.index);
}

hff_status cuda_stream_create(struct backend *base, struct stream **out)
{
    *out = NULL;
    struct cuda_backend *backend = (struct cuda_backend *)base;
    struct stream *stream = calloc(1, sizeof *stream);
    if (!stream) return fail(HFF_E_MEMORY, "no memory for a stream");
    stream->backend = backend;
    void *tickets = NULL;
    hff_status status;
    TRY_GOTO(status, use(backend), destroy);
    TRY_GOTO(status, cuda_calls.stream_create(&stream->handle), destroy);
    TRY_GOTO(status, cuda_calls.alloc(KERNEL_TICKETS * sizeof *stream->tickets, &tickets), destroy);
    stream->tickets = tickets;
    TRY_GOTO(status, cuda_calls.lane_open(backend->library, stream->handle, &stream->lane), destroy);
    *out = stream;
    return HFF_OK;
destroy:
    cuda_stream_destroy(stream);
    return status;
}

void cuda_stream_destroy(struct stream *stream)
{
    if (!stream) return;
    if (use(stream->backend) == HFF_OK) {
        if (stream->handle) cuda_calls.stream_wait(stream->handle);
        cuda_calls.lane_close(stream->lane);
        if (stream->tickets) cuda_calls.free(stream->tickets);
        if (stream->handle) cuda_calls.stream_destroy(stream->handle);
    }
    free(stream);
}

hff_status cuda_stream_wait(struct stream *stream)
{
    TRY(use(stream->backend));
    return cuda_calls.stream_wait(stream->handle);
}

hff_status cuda_copy_in(struct stream *stream, void *device, const void *host, size_t bytes)
{
    TRY(use(stream->backend));
    return cuda_staging_send(stream->backend->staging, stream, device, host, bytes);
}

hff_status cuda_copy_out(struct stream *stream, void *host, const void *device, size_t bytes)
{
    TRY(use(stream->backend));
    return bytes ? cuda_calls.copy(host, device, bytes, stream->handle) : HFF_OK;
}

hff_status cuda_clear(struct stream *stream, void *device, size_t bytes)
{
    TRY(use(stream->backend));
    return bytes ? cuda_calls.zero(device, bytes, stream->handle) : HFF_OK;
}

hff_status cuda_event_create(struct backend *base, struct event **out)
{
    struct cuda_backend *backend = (struct cuda_backend *)base;
    *out = NULL;
    TRY(use(backend));
    struct event *event = calloc(1, sizeof *event);
    if (!event) return fail(HFF_E_MEMORY, "no memory for an event");
    event->backend = backend;
    hff_status status = cuda_calls.event_create(&event->handle);
    if (status == HFF_OK)
        *out = event;
    else
        free(event);
    return status;
}

void cuda_event_destroy(struct event *event)
{
    if (!event) return;
    if (use(event->backend) == HFF_OK) cuda_calls.event_destroy(event->handle);
    free(event);
}

hff_status cuda_event_record(struct event *event, struct stream *stream)
{
    TRY(use(stream->backend));
    return cuda_calls.event_record(event->handle, stream->handle);
}

hff_status cuda_stream_wait_event(struct stream *stream, struct event *event)
{
    TRY(use(stream->backend));
    return cuda_calls.stream_wait_event(stream->handle, event->handle);
}

hff_status cuda_clock_open(struct cuda_backend *backend)
{
    TRY(cuda_calls.stream_create(&backend->clock.stream));
    return cuda_calls.event_create(&backend->clock.event);
}

void cuda_clock_close(struct cuda_backend *backend)
{
    if (backend->clock.event) cuda_calls.event_destroy(backend->clock.event);
    if (backend->clock.stream) cuda_calls.stream_destroy(backend->clock.stream);
}

/* The host sees an event some microseconds late: by so much are all times late until the clock is set again. */
static hff_status set_clock(struct cuda_clock *clock)
{
    TRY(cuda_calls.event_record(clock->event, clock->stream));
    TRY(cuda_calls.event_wait(clock->event));
    clock->seconds = clock_seconds();
    return HFF_OK;
}

hff_status cuda_event_seconds(struct event *event, double *seconds)
{
    struct cuda_clock *clock = &event->backend->clock;
    double apart;
    TRY(use(event->backend));
    if (clock->seconds == 0 || clock_seconds() - clock->seconds > clock_good_for) TRY(set_clock(clock));
    TRY(cuda_calls.event_seconds(clock->event, event->handle, &apart));
    *seconds = clock->seconds + apart;
    return HFF_OK;
}

hff_status cuda_capture_begin(struct stream *stream)
{
    TRY(use(stream->backend));
    return cuda_calls.capture_begin(stream->handle);
}

hff_status cuda_capture_end(struct stream *stream, struct capture **out)
{
    *out = NULL;
    TRY(use(stream->backend));
    struct capture *capture = calloc(1, sizeof *capture);
    void *graph = NULL;
    hff_status status = cuda_calls.capture_end(stream->handle, &graph);
    if (status == HFF_OK && !capture) {
        cuda_calls.graph_destroy(graph);
        status = fail(HFF_E_MEMORY, "no memory for a captured step");
    }
    if (status != HFF_OK) {
        free(capture);
        return status;
    }
    *capture = (struct capture){stream->backend, graph};
    *out = capture;
    return HFF_OK;
}

hff_status cuda_replay(struct capture *capture, struct stream *stream)
{
    TRY(use(stream->backend));
    return cuda_calls.replay(capture->graph, stream->handle);
}

void cuda_capture_destroy(struct capture *capture)
{
    if (!capture) return;
    if (use(capture->backend) == HFF_OK) cuda_calls.graph_destroy(capture->graph);
    free(capture);
}
