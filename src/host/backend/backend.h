/* The only door to computing. A backend owns memory, streams and ops; nothing outside this room knows which one it is.
 *
 *     backend_open("cpu", 2, &b);
 *     b->api->op_create(b, &desc, &op);      plans everything; fills the layouts that desc left open
 *     b->api->op_workspace(op);              bytes of scratch that op_run wants
 *     b->api->op_run(op, stream, args, ws);  never allocates, never plans; may return before the work is done
 *     b->api->stream_wait(stream);           now it is done
 *
 * Memory arguments are the backend's own (alloc), 64-byte aligned at the start of each arena; op arguments need the
 * alignment of their element type only (see alignment below), and overlap only where op.h says so. */
#ifndef HFF_BACKEND_BACKEND_H
#define HFF_BACKEND_BACKEND_H

#include "base/status.h"
#include "op.h"

struct backend;
struct stream;
struct event;
struct capture;

/* An op that is ready to run. Backends put their own fields behind this one. */
struct op {
    struct backend *backend;
    struct op_desc desc; /* as asked, with every LAYOUT_ANY (and its type) replaced by what the op reads or writes */
};

/* How operands of products that are f32 may be rounded before they are multiplied; sums are f32 always. BF16: those of
 * op hff alone, TF32 elsewhere. */
enum precision { PRECISION_F32, PRECISION_TF32, PRECISION_BF16 };

struct backend_api {
    const char *name, *help;

    /* HFF_OK when it can be used on this machine, else HFF_E_DEVICE with the reason. */
    hff_status (*available)(void);
    hff_status (*open)(struct backend **out, int threads);
    void (*close)(struct backend *backend);
    /* One line about the device: "2 threads, AVX-512, oneDNN 2.6.3". */
    const char *(*describe)(struct backend *backend);

    /* Bytes to which op arguments and workspaces are aligned, beyond their element type's; 0: no more than that.
     * Parameters, their gradients and moments, which lie side by side in groups, never need more. */
    int alignment;

    /* For ops created from now on; a backend opens with PRECISION_F32. NULL where there is no other. */
    hff_status (*set_precision)(struct backend *backend, enum precision precision);

    /* tune: of several ways to do an op that is created from now on, which may differ in their rounding, the quickest on this
     * device is found by trying them, unless choices, a text that chosen gave, has it (NULL: nothing is known; another
     * device's are not taken, which is logged). HFF_E_FORMAT: it is no such text. chosen: what was taken so far, as JSON, to be
     * freed; NULL without tune. Both NULL where there is nothing to choose. */
    hff_status (*tune)(struct backend *backend, const char *choices);
    char *(*chosen)(struct backend *backend);

    /* Bytes that alloc can still give. NULL: the host's (base/memory.h). */
    hff_status (*memory_left)(struct backend *backend, size_t *bytes);
    /* Zeroed memory. HFF_E_MEMORY names the bytes. */
    hff_status (*alloc)(struct backend *backend, size_t bytes, void **out);
    void (*free)(struct backend *backend, void *memory);

    /* Whether ops work on this element type; bf16: on activations of it, and faster than on f32. */
    int (*computes)(struct backend *backend, enum dtype dtype);
    /* The layout in which this backend wants an activation of that shape. */
    struct tensor (*activation)(struct backend *backend, enum dtype dtype, int rank, const int64_t *dim);

    /* Whether ops that join several (norm_pool, norm_pool_eval, norm_pool_back, act_apool, act_apool_back) take less time
     * than those, so that graphs are rewritten to have them (net/rewrite.h). 0: it need not have them. */
    int joins;

    /* Whether convolutions want the host's images, which lie in planes, in the layout of activations, so that they are moved
     * once for all of them. 0: they read them as they are. */
    int moves_images;

    /* Whether weights that ops want packed stay so from step to step, in memory of their own, and several are moved by one
     * op (program/pack.c): where launching an op takes long beside moving a weight. 0: it need not have reorders. */
    int keeps_packed;

    /* HFF_E_CONFIG when the backend has no way to do this op with these attributes and types. ARG_OPEN arguments may
     * be LAYOUT_ANY; everything else has its layout. */
    hff_status (*op_create)(struct backend *backend, const struct op_desc *desc, struct op **out);
    void (*op_destroy)(struct op *op);
    size_t (*op_workspace)(const struct op *op);
    hff_status (*op_run)(struct op *op, struct stream *stream, void *const *args, void *workspace);

    /* 0: op_run and copies have done their work when they return, so that reading a result back costs nothing.
     * 1: they enqueue it and return; stream_wait waits for the device, and a step should do without it. Work of one
     * stream is done in its order, of two streams in any, unless an event joins them. */
    int asynchronous;

    hff_status (*stream_create)(struct backend *backend, struct stream **out);
    /* A stream that gets part number part, from 0, of the backend's threads cut in parts, so that as many streams can
     * work side by side. NULL: streams share the device by themselves. */
    hff_status (*stream_create_part)(struct backend *backend, int part, int parts, struct stream **out);
    void (*stream_destroy)(struct stream *stream);
    hff_status (*stream_wait)(struct stream *stream);
    /* host may be changed as soon as copy_in returns; after copy_out it is filled when stream_wait has returned. */
    hff_status (*copy_in)(struct stream *stream, void *device, const void *host, size_t bytes);
    hff_status (*copy_out)(struct stream *stream, void *host, const void *device, size_t bytes);
    hff_status (*clear)(struct stream *stream, void *device, size_t bytes); /* to zeros */

    /* An event is a point in a stream's work: event_record puts it behind all that was given to stream so far (again
     * and again, as often as wanted), stream_wait_event lets what is given to stream from then on begin after the
     * point last recorded (at once where none was). Neither waits on the host. Without work in flight
     * (asynchronous 0) they do nothing. */
    hff_status (*event_create)(struct backend *backend, struct event **out);
    void (*event_destroy)(struct event *event);
    hff_status (*event_record)(struct event *event, struct stream *stream);
    hff_status (*stream_wait_event)(struct stream *stream, struct event *event);
    /* When the point last recorded was reached, as clock_seconds counts; only after a stream_wait that covers it. NULL
     * where that is not known. */
    hff_status (*event_seconds)(struct event *event, double *seconds);

    /* NULL where there is no capture. From capture_begin to capture_end what is given to stream, and to streams that
     * wait for an event recorded in it since, is not done but noted; all of them must have been joined back to stream
     * by events. No copies of host memory, no stream_wait inside. replay gives all of it to stream once more, with the
     * pointers of then. On an error inside, capture_end must still be called: it returns the error. */
    hff_status (*capture_begin)(struct stream *stream);
    hff_status (*capture_end)(struct stream *stream, struct capture **out);
    hff_status (*replay)(struct capture *capture, struct stream *stream);
    void (*capture_destroy)(struct capture *capture);
};

struct backend {
    const struct backend_api *api;
    int threads;
};

/* All backends of this build, in the order in which "auto" tries them; ended by NULL. */
extern const struct backend_api *const backends[];

/* name: a backend's name, or "auto" for the first that is available (the choice is logged). threads 0: all
 * processors. */
hff_status backend_open(const char *name, int threads, struct backend **out);
void backend_close(struct backend *backend);

extern const struct backend_api backend_ref, backend_cpu, backend_cuda;

#endif
