/* The only door to computing. A backend owns memory, streams and ops; nothing outside this room knows which one it is.
 *
 *     backend_open("cpu", 2, &b);
 *     b->api->op_create(b, &desc, &op);      plans everything; fills the layouts that desc left open
 *     b->api->op_workspace(op);              bytes of scratch that op_run wants
 *     b->api->op_run(op, stream, args, ws);  never allocates, never plans; may return before the work is done
 *     b->api->stream_wait(stream);           now it is done
 *
 * Memory arguments are the backend's own (alloc), 64-byte aligned at the start of each arena; op arguments need the
 * alignment of their element type only, and overlap only where op.h says so. */
#ifndef HFF_BACKEND_BACKEND_H
#define HFF_BACKEND_BACKEND_H

#include "base/status.h"
#include "op.h"

struct backend;
struct stream;

/* An op that is ready to run. Backends put their own fields behind this one. */
struct op {
    struct backend *backend;
    struct op_desc desc; /* as asked, with every LAYOUT_ANY (and its type) replaced by what the op reads or writes */
};

struct backend_api {
    const char *name, *help;

    /* HFF_OK when it can be used on this machine, else HFF_E_DEVICE with the reason. */
    hff_status (*available)(void);
    hff_status (*open)(struct backend **out, int threads);
    void (*close)(struct backend *backend);
    /* One line about the device: "2 threads, AVX-512, oneDNN 2.6.3". */
    const char *(*describe)(struct backend *backend);

    /* Zeroed memory. HFF_E_MEMORY names the bytes. */
    hff_status (*alloc)(struct backend *backend, size_t bytes, void **out);
    void (*free)(struct backend *backend, void *memory);

    /* Whether ops work on this element type; bf16: on activations of it, and faster than on f32. */
    int (*computes)(struct backend *backend, enum dtype dtype);
    /* The layout in which this backend wants an activation of that shape. */
    struct tensor (*activation)(struct backend *backend, enum dtype dtype, int rank, const int64_t *dim);

    /* HFF_E_CONFIG when the backend has no way to do this op with these attributes and types. ARG_OPEN arguments may
     * be LAYOUT_ANY; everything else has its layout. */
    hff_status (*op_create)(struct backend *backend, const struct op_desc *desc, struct op **out);
    void (*op_destroy)(struct op *op);
    size_t (*op_workspace)(const struct op *op);
    hff_status (*op_run)(struct op *op, struct stream *stream, void *const *args, void *workspace);

    hff_status (*stream_create)(struct backend *backend, struct stream **out);
    void (*stream_destroy)(struct stream *stream);
    hff_status (*stream_wait)(struct stream *stream);
    hff_status (*copy_in)(struct stream *stream, void *device, const void *host, size_t bytes);
    hff_status (*copy_out)(struct stream *stream, void *host, const void *device, size_t bytes);
    hff_status (*clear)(struct stream *stream, void *device, size_t bytes); /* to zeros */
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

extern const struct backend_api backend_ref, backend_cpu;

#endif
