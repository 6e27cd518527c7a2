/* The queued backend: streams are rings of items that a thread each works off in order. */
#include "queue.h"

#include "base/clock.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { QUEUE_ITEMS = 1024 };

struct queue {
    struct backend base;
    struct backend *inner;
};

/* Every record has a number, counted by the host when it enqueues it; a wait is for the last number of its time. */
struct event {
    uint64_t recorded; /* the host's */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint64_t reached;
    double seconds;
};

enum item_kind { ITEM_OP, ITEM_COPY, ITEM_CLEAR, ITEM_RECORD, ITEM_WAIT, ITEM_END };

struct item {
    enum item_kind kind;
    struct op *op; /* op, with args as pointers that outlive the item, and workspace */
    void *const *args;
    void *workspace;
    void *to; /* copy, clear */
    const void *from;
    size_t bytes;
    struct event *event; /* record, wait */
    uint64_t number;
};

struct stream {
    struct backend *inner;
    struct stream *below; /* the inner backend's */
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t filled, worked;
    uint64_t given, done; /* items; the ring holds those between */
    hff_status status;    /* of the first item that failed */
    struct trail trail;
    struct item item[QUEUE_ITEMS];
};

/* ---- the worker ---- */

static void reach(struct event *event, uint64_t number)
{
    double now = clock_seconds();
    pthread_mutex_lock(&event->mutex);
    event->reached = number;
    event->seconds = now;
    pthread_cond_broadcast(&event->changed);
    pthread_mutex_unlock(&event->mutex);
}

static void await(struct event *event, uint64_t number)
{
    pthread_mutex_lock(&event->mutex);
    while (event->reached < number) pthread_cond_wait(&event->changed, &event->mutex);
    pthread_mutex_unlock(&event->mutex);
}

static hff_status work(struct stream *stream, const struct item *item)
{
    switch (item->kind) {
    case ITEM_OP: return stream->inner->api->op_run(item->op, stream->below, item->args, item->workspace);
    case ITEM_COPY:
        if (item->bytes) memcpy(item->to, item->from, item->bytes);
        return HFF_OK;
    case ITEM_CLEAR:
        if (item->bytes) memset(item->to, 0, item->bytes);
        return HFF_OK;
    case ITEM_RECORD: reach(item->event, item->number); return HFF_OK;
    case ITEM_WAIT: await(item->event, item->number); return HFF_OK;
    case ITEM_END: return HFF_OK;
    }
    return HFF_OK;
}

static int computes(enum item_kind kind)
{
    return kind == ITEM_OP || kind == ITEM_COPY || kind == ITEM_CLEAR;
}

static void *worker_main(void *argument)
{
    struct stream *stream = argument;
    for (enum item_kind kind = ITEM_OP; kind != ITEM_END;) {
        pthread_mutex_lock(&stream->mutex);
        while (stream->done == stream->given) pthread_cond_wait(&stream->filled, &stream->mutex);
        struct item item = stream->item[stream->done % QUEUE_ITEMS];
        hff_status status = stream->status;
        pthread_mutex_unlock(&stream->mutex);
        kind = item.kind;
        hff_status now = status != HFF_OK && computes(kind) ? HFF_OK : work(stream, &item);
        pthread_mutex_lock(&stream->mutex);
        if (now != HFF_OK) {
            stream->status = now;
            trail_take(&stream->trail);
        }
        stream->done++;
        pthread_cond_broadcast(&stream->worked);
        pthread_mutex_unlock(&stream->mutex);
    }
    return NULL;
}

/* ---- the host ---- */

/* Returns the number of items given so far. When the ring is full it waits for the worker, who never waits for
 * anything that is not enqueued yet. */
static uint64_t give(struct stream *stream, struct item item)
{
    pthread_mutex_lock(&stream->mutex);
    while (stream->given - stream->done == QUEUE_ITEMS) pthread_cond_wait(&stream->worked, &stream->mutex);
    stream->item[stream->given % QUEUE_ITEMS] = item;
    uint64_t given = ++stream->given;
    pthread_cond_signal(&stream->filled);
    pthread_mutex_unlock(&stream->mutex);
    return given;
}

static hff_status wait_until(struct stream *stream, uint64_t number)
{
    pthread_mutex_lock(&stream->mutex);
    while (stream->done < number) pthread_cond_wait(&stream->worked, &stream->mutex);
    hff_status status = stream->status;
    if (status != HFF_OK) trail_give(&stream->trail);
    pthread_mutex_unlock(&stream->mutex);
    return status;
}

static hff_status start(struct stream *stream)
{
    pthread_mutex_init(&stream->mutex, NULL);
    pthread_cond_init(&stream->filled, NULL);
    pthread_cond_init(&stream->worked, NULL);
    int error = pthread_create(&stream->thread, NULL, worker_main, stream);
    if (!error) return HFF_OK;
    return fail_errno(HFF_E_MEMORY, error, "cannot start a stream's thread; use a smaller engine.pipeline");
}

static hff_status make_stream(struct backend *backend, int part, int parts, struct stream **out)
{
    struct backend *inner = ((struct queue *)backend)->inner;
    struct stream *stream = calloc(1, sizeof *stream);
    *out = NULL;
    if (!stream) return fail(HFF_E_MEMORY, "no memory for a stream");
    stream->inner = inner;
    hff_status status = parts > 0 && inner->api->stream_create_part
                            ? inner->api->stream_create_part(inner, part, parts, &stream->below)
                            : inner->api->stream_create(inner, &stream->below);
    if (status == HFF_OK) {
        status = start(stream);
        if (status != HFF_OK) inner->api->stream_destroy(stream->below);
    }
    if (status != HFF_OK) {
        free(stream);
        return status;
    }
    *out = stream;
    return HFF_OK;
}

static hff_status queue_stream_create(struct backend *backend, struct stream **out)
{
    return make_stream(backend, 0, 0, out);
}

static void queue_stream_destroy(struct stream *stream)
{
    if (!stream) return;
    give(stream, (struct item){.kind = ITEM_END});
    pthread_join(stream->thread, NULL);
    stream->inner->api->stream_destroy(stream->below);
    pthread_mutex_destroy(&stream->mutex);
    pthread_cond_destroy(&stream->filled);
    pthread_cond_destroy(&stream->worked);
    free(stream);
}

static hff_status queue_stream_wait(struct stream *stream)
{
    return wait_until(stream, stream->given);
}

static hff_status queue_copy_in(struct stream *stream, void *device, const void *host, size_t bytes)
{
    return wait_until(stream,
                      give(stream, (struct item){.kind = ITEM_COPY, .to = device, .from = host, .bytes = bytes}));
}

static hff_status queue_copy_out(struct stream *stream, void *host, const void *device, size_t bytes)
{
    give(stream, (struct item){.kind = ITEM_COPY, .to = host, .from = device, .bytes = bytes});
    return HFF_OK;
}

static hff_status queue_clear(struct stream *stream, void *device, size_t bytes)
{
    give(stream, (struct item){.kind = ITEM_CLEAR, .to = device, .bytes = bytes});
    return HFF_OK;
}

static hff_status queue_op_run(struct op *op, struct stream *stream, void *const *args, void *workspace)
{
    give(stream, (struct item){.kind = ITEM_OP, .op = op, .args = args, .workspace = workspace});
    return HFF_OK;
}

/* ---- events ---- */

static hff_status queue_event_create(struct backend *backend, struct event **out)
{
    (void)backend;
    *out = calloc(1, sizeof **out);
    if (!*out) return fail(HFF_E_MEMORY, "no memory for an event");
    pthread_mutex_init(&(*out)->mutex, NULL);
    pthread_cond_init(&(*out)->changed, NULL);
    return HFF_OK;
}

static void queue_event_destroy(struct event *event)
{
    if (!event) return;
    pthread_mutex_destroy(&event->mutex);
    pthread_cond_destroy(&event->changed);
    free(event);
}

static hff_status queue_event_record(struct event *event, struct stream *stream)
{
    give(stream, (struct item){.kind = ITEM_RECORD, .event = event, .number = ++event->recorded});
    return HFF_OK;
}

static hff_status queue_stream_wait_event(struct stream *stream, struct event *event)
{
    give(stream, (struct item){.kind = ITEM_WAIT, .event = event, .number = event->recorded});
    return HFF_OK;
}

static hff_status queue_event_seconds(struct event *event, double *seconds)
{
    pthread_mutex_lock(&event->mutex);
    *seconds = event->seconds;
    pthread_mutex_unlock(&event->mutex);
    return HFF_OK;
}

/* ---- what the inner backend does; an op knows its backend ---- */

static struct backend *inner_of(struct backend *backend)
{
    return ((struct queue *)backend)->inner;
}

static const char *queue_describe(struct backend *backend)
{
    return inner_of(backend)->api->describe(inner_of(backend));
}

static hff_status queue_alloc(struct backend *backend, size_t bytes, void **out)
{
    return inner_of(backend)->api->alloc(inner_of(backend), bytes, out);
}

static void queue_free(struct backend *backend, void *memory)
{
    inner_of(backend)->api->free(inner_of(backend), memory);
}

static int queue_computes(struct backend *backend, enum dtype dtype)
{
    return inner_of(backend)->api->computes(inner_of(backend), dtype);
}

static struct tensor queue_activation(struct backend *backend, enum dtype dtype, int rank, const int64_t *dim)
{
    return inner_of(backend)->api->activation(inner_of(backend), dtype, rank, dim);
}

static hff_status queue_op_create(struct backend *backend, const struct op_desc *desc, struct op **out)
{
    return inner_of(backend)->api->op_create(inner_of(backend), desc, out);
}

static void queue_op_destroy(struct op *op)
{
    if (op) op->backend->api->op_destroy(op);
}

static size_t queue_op_workspace(const struct op *op)
{
    return op->backend->api->op_workspace(op);
}

static void queue_close(struct backend *backend)
{
    free(backend);
}

static const struct backend_api backend_queue = {
    .name = "queue",
    .help = "another backend with work in flight",
    .close = queue_close,
    .describe = queue_describe,
    .alloc = queue_alloc,
    .free = queue_free,
    .computes = queue_computes,
    .activation = queue_activation,
    .op_create = queue_op_create,
    .op_destroy = queue_op_destroy,
    .op_workspace = queue_op_workspace,
    .op_run = queue_op_run,
    .asynchronous = 1,
    .stream_create = queue_stream_create,
    .stream_create_part = make_stream,
    .stream_destroy = queue_stream_destroy,
    .stream_wait = queue_stream_wait,
    .copy_in = queue_copy_in,
    .copy_out = queue_copy_out,
    .clear = queue_clear,
    .event_create = queue_event_create,
    .event_destroy = queue_event_destroy,
    .event_record = queue_event_record,
    .stream_wait_event = queue_stream_wait_event,
    .event_seconds = queue_event_seconds,
};

hff_status queue_open(struct backend *inner, struct backend **out)
{
    struct queue *queue = calloc(1, sizeof *queue);
    *out = NULL;
    if (!queue) return fail(HFF_E_MEMORY, "no memory for streams");
    *queue = (struct queue){.base = {&backend_queue, inner->threads}, .inner = inner};
    *out = &queue->base;
    return HFF_OK;
}
