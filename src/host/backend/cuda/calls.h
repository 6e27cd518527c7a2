/* Everything that the cuda backend asks of the CUDA runtime, cuDNN and cuBLASLt, as one table of functions. device/ fills
 * it with the libraries; tests/fake fills it with a device that is played on the CPU and writes down what it was asked.
 * No header of CUDA is needed to read this.
 *
 * A function that fails has said what (fail), with a hint, and has cleared the runtime's error. What is enqueued on a
 * stream may fail later: the next call that the runtime tells of it says so. */
#ifndef HFF_BACKEND_CUDA_CALLS_H
#define HFF_BACKEND_CUDA_CALLS_H

#include "../backend.h"
#include "kernels/kernels.h"

struct cuda_device {
    char name[96], versions[96]; /* "NVIDIA H200"; "CUDA 13.0, cuDNN 9.19" */
    int index, capability;       /* 90: compute capability 9.0 */
    int multiprocessors;
    size_t memory;
};

/* What convolutions and products of one backend share: handles, plans made so far. */
struct cuda_library;
/* What they need on a stream of their own (cuDNN's handle). */
struct cuda_lane;

enum cuda_conv_kind { CUDA_CONV, CUDA_CONV_DATA, CUDA_CONV_WEIGHT };

/* A convolution on channels-last tensors: x (batch, height, width, in), w (out, kernel, kernel, in),
 * y (batch, out_height, out_width, out), all aligned to 16 bytes; sums in f32. x, w and y are of `dtype`; the weight's
 * gradient of `result`. */
struct cuda_conv_desc {
    enum cuda_conv_kind kind;
    enum dtype dtype, result;
    enum precision precision; /* of f32 */
    int bias;                 /* CUDA_CONV: y = x * w + bias; bias (out) f32, aligned to 4 bytes */
    int64_t batch, in, height, width, out, out_height, out_width;
    int kernel, stride, pad;
};
enum { CUDA_LATE = 1000 };
struct cuda_conv; /* a plan and what one op needs to run it */

/* c (m, n) = op(a) op(b), row-major with rows of lda, ldb, ldc elements, all aligned to 16 bytes; op(a) is (m, k), op(b)
 * (k, n); sums in f32. */
struct cuda_product_desc {
    int64_t m, n, k, lda, ldb, ldc;
    int transpose_a, transpose_b; /* a lies as (k, m); b as (n, k) */
    int add;                      /* c += */
    int bias;                     /* + bias (n) f32, aligned to 16 bytes */
    enum dtype dtype, result;     /* of a and b; of c */
    enum precision precision;     /* of f32 */
};
struct cuda_product;

struct cuda_calls {
    /* The device to use: the first visible one. HFF_E_DEVICE with the reason: no driver, no device, too old. */
    hff_status (*find)(struct cuda_device *out);
    /* Makes it this host thread's. */
    hff_status (*use)(int index);
    hff_status (*memory_left)(size_t *bytes);

    hff_status (*alloc)(size_t bytes, void **out); /* zeroed; HFF_E_MEMORY */
    void (*free)(void *memory);
    hff_status (*pinned_alloc)(size_t bytes, void **out); /* host memory that copies read without the host */
    void (*pinned_free)(void *memory);

    hff_status (*stream_create)(kernel_stream *out);
    void (*stream_destroy)(kernel_stream stream);
    hff_status (*stream_wait)(kernel_stream stream); /* the host waits */
    hff_status (*event_create)(void **out);
    void (*event_destroy)(void *event);
    hff_status (*event_record)(void *event, kernel_stream stream);
    hff_status (*event_wait)(void *event); /* the host waits */
    hff_status (*stream_wait_event)(kernel_stream stream, void *event);
    /* From one event to another (less than 0: it came first); both were reached. */
    hff_status (*event_seconds)(void *from, void *to, double *seconds);
    hff_status (*copy)(void *to, const void *from, size_t bytes, kernel_stream stream); /* between any two memories */
    hff_status (*zero)(void *at, size_t bytes, kernel_stream stream);
    hff_status (*capture_begin)(kernel_stream stream);
    hff_status (*capture_end)(kernel_stream stream, void **graph);
    hff_status (*replay)(void *graph, kernel_stream stream);
    void (*graph_destroy)(void *graph);
    /* What a kernel's launcher returned, if not KERNEL_OK, as a status. */
    hff_status (*kernel_failed)(int returned, const char *kernel);

    hff_status (*library_open)(const struct cuda_device *device, struct cuda_library **out);
    void (*library_close)(struct cuda_library *library);
    hff_status (*lane_open)(struct cuda_library *library, kernel_stream stream, struct cuda_lane **out);
    void (*lane_close)(struct cuda_lane *lane);

    /* The first plan that gives the same bits every time, of those that are proposed from number `from` on; HFF_E_CONFIG when
     * there is none. Numbers from CUDA_LATE on are those of plans that are compiled in every process, taken with from 0 only
     * where there is no other. The run's arguments are those of the op: x w y, dy w dx, x dy dw; bias NULL without. A run
     * with pointers that an earlier one had allocates nothing. */
    hff_status (*conv_plan)(struct cuda_library *library, const struct cuda_conv_desc *desc, int from,
                            struct cuda_conv **out);
    int (*conv_number)(const struct cuda_conv *conv);
    size_t (*conv_workspace)(const struct cuda_conv *conv);
    hff_status (*conv_run)(struct cuda_conv *conv, struct cuda_lane *lane, void *const args[3], const void *bias,
                           void *workspace);
    void (*conv_destroy)(struct cuda_conv *conv);

    hff_status (*product_plan)(struct cuda_library *library, const struct cuda_product_desc *desc,
                               struct cuda_product **out);
    size_t (*product_workspace)(const struct cuda_product *product);
    hff_status (*product_run)(struct cuda_product *product, kernel_stream stream, const void *a, const void *b, void *c,
                              const void *bias, void *workspace);
    void (*product_destroy)(struct cuda_product *product);
};

extern const struct cuda_calls cuda_calls;

#endif
