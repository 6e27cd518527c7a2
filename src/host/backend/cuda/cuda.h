/* The cuda backend's inside. Activations of rank 4 lie channels last, the channels rounded up to a multiple of
 * CUDA_CHANNELS; everything else lies plain. Convolutions are cuDNN's, products cuBLASLt's, the rest is in src/kernels;
 * this folder's files say which op is which of them, one row of table.c each.
 *
 * Exactness: a device's sums are one slice, whatever desc.slices says; every kernel, plan and algorithm used gives the
 * same bits for the same inputs, on any stream. */
#ifndef HFF_BACKEND_CUDA_CUDA_H
#define HFF_BACKEND_CUDA_CUDA_H

#include "calls.h"

/* Channels of an activation lie in multiples of this: tensor cores read 16 bytes of bf16 at a time. */
enum { CUDA_CHANNELS = 8 };
/* Activations, labels, statistics and workspaces lie on so many bytes; parameters and their gradients, which lie side by
 * side in groups, on 4. */
enum { CUDA_ALIGN = 16 };

struct cuda_filter;

/* An event whose time the host knows; others are told from it. */
struct cuda_clock {
    kernel_stream stream;
    void *event;
    double seconds; /* as clock_seconds counts; 0: not yet */
};

struct cuda_backend {
    struct backend base;
    struct cuda_device device;
    struct cuda_library *library;
    enum precision precision;
    struct cuda_filter *filters; /* what the opaque pointers of packed weights point to; one for equal ones */
    struct cuda_staging *staging;
    struct cuda_clock clock;
    struct cuda_tuning *tuning; /* NULL: plans are those that cuDNN proposes first */
    char description[256];
};

struct stream {
    struct cuda_backend *backend;
    kernel_stream handle;
    struct cuda_lane *lane;
    unsigned *tickets; /* KERNEL_TICKETS, for the kernels that end with a sum */
};

struct cuda_op {
    struct op op;
    size_t workspace;
    /* Gives the op's work to the stream and returns. */
    hff_status (*run)(struct cuda_op *op, struct stream *stream, void *const *args, void *workspace);
    void (*destroy)(struct cuda_op *op); /* frees what the op holds besides itself; NULL: nothing */
};

/* Makes a cuda_op of a description that op_check has passed. */
typedef hff_status (*cuda_create)(struct cuda_backend *backend, const struct op_desc *desc, struct cuda_op **out);
extern const cuda_create cuda_table[OP_KINDS]; /* table.c: one row an op; NULL: no way to do it yet */

/* A zeroed cuda_op of size bytes (the op's own struct, whose first member is struct cuda_op) with desc and run filled
 * in. HFF_E_MEMORY. */
hff_status cuda_op_new(struct cuda_backend *backend, const struct op_desc *desc, size_t size,
                       hff_status (*run)(struct cuda_op *, struct stream *, void *const *, void *), void *out);
void cuda_op_destroy(struct op *op);

/* "op ...: what" with HFF_E_CONFIG. */
hff_status cuda_refuse(const struct op_desc *desc, const char *what);

/* HFF_E_CONFIG for a size that kernels cannot count. */
hff_status cuda_countable(const struct op_desc *desc, int64_t size);

/* A launcher's return value as a status. */
static inline hff_status cuda_launched(int returned, const char *kernel)
{
    return returned == KERNEL_OK ? HFF_OK : cuda_calls.kernel_failed(returned, kernel);
}

/* How own kernels make products. */
static inline enum kernel_math cuda_math(const struct cuda_backend *backend)
{
    return backend->precision == PRECISION_BF16   ? MATH_BF16
           : backend->precision == PRECISION_TF32 ? MATH_TF32
                                                  : MATH_F32;
}

/* An activation as rows of channels: (batch height width, pitch). */
struct cuda_view {
    enum dtype dtype;
    int64_t batch;
    int height, width, channels, pitch;
};
/* HFF_E_CONFIG for one whose channels do not lie side by side. */
hff_status cuda_view(const struct op_desc *desc, int arg, struct cuda_view *out);
int64_t cuda_view_rows(const struct cuda_view *view);

/* reorder.c: a convolution's weight as cuDNN reads it, (out_pitch, area, in_pitch), what is added being 0. */
struct cuda_filter {
    int64_t out, in, area, out_pitch, in_pitch;
    struct cuda_filter *next;
};
/* w (O, I, k, k) packed, in dtype. HFF_E_MEMORY. */
hff_status cuda_filter_tensor(struct cuda_backend *backend, const struct tensor *w, enum dtype dtype,
                              struct tensor *out);
void cuda_filters_free(struct cuda_backend *backend);

/* Rows of elements in another place on the device, (batch, channels, area); the tail of packed weights is zeroed. */
struct cuda_move {
    struct kernel_reorder_args reorder;
    size_t tail, tail_at; /* bytes behind dst to zero, and where */
};
/* HFF_E_CONFIG for layouts between which there is no way. */
hff_status cuda_move_plan(const struct op_desc *desc, const struct tensor *src, const struct tensor *dst,
                          struct cuda_move *out);
hff_status cuda_move_run(const struct cuda_move *move, struct stream *stream, const void *src, void *dst);

/* staging.c: pinned memory that copies from the host go through, so that the host's memory is free at once. */
hff_status cuda_staging_open(struct cuda_staging **out);
void cuda_staging_close(struct cuda_staging *staging);
hff_status cuda_staging_send(struct cuda_staging *staging, struct stream *stream, void *device, const void *host,
                             size_t bytes);

/* tuning.c: plans of convolutions, chosen by trying them. backend.h's tune and chosen. */
hff_status cuda_tune(struct backend *backend, const char *choices);
char *cuda_chosen(struct backend *backend);
/* The plan to use: the first one, or, with tuning, the quickest. */
hff_status cuda_tuned_conv(struct cuda_backend *backend, const struct cuda_conv_desc *desc, struct cuda_conv **out);
void cuda_tuning_close(struct cuda_tuning *tuning);

static inline size_t cuda_round(size_t bytes)
{
    return (bytes + 255) / 256 * 256;
}

#define CUDA_CREATE(name)                                                                                              \
    hff_status cuda_##name##_create(struct cuda_backend *backend, const struct op_desc *desc, struct cuda_op **out)
CUDA_CREATE(reorder);
CUDA_CREATE(reorders);
CUDA_CREATE(linear);
CUDA_CREATE(linear_data);
CUDA_CREATE(linear_weight);
CUDA_CREATE(conv);
CUDA_CREATE(conv_data);
CUDA_CREATE(conv_weight);
CUDA_CREATE(norm);
CUDA_CREATE(norm_eval);
CUDA_CREATE(norm_back);
CUDA_CREATE(act);
CUDA_CREATE(act_back);
CUDA_CREATE(pool);
CUDA_CREATE(pool_back);
CUDA_CREATE(norm_pool);
CUDA_CREATE(norm_pool_eval);
CUDA_CREATE(norm_pool_back);
CUDA_CREATE(apool);
CUDA_CREATE(apool_back);
CUDA_CREATE(act_apool);
CUDA_CREATE(act_apool_back);
CUDA_CREATE(add);
CUDA_CREATE(unit);
CUDA_CREATE(unit_back);
CUDA_CREATE(energy);
CUDA_CREATE(energy_back);
CUDA_CREATE(deviation);
CUDA_CREATE(deviation_back);
CUDA_CREATE(augment);
CUDA_CREATE(hff);
CUDA_CREATE(hff_eval);
CUDA_CREATE(negatives);
CUDA_CREATE(overlay);
CUDA_CREATE(columns);
CUDA_CREATE(spread);
CUDA_CREATE(goodness);
CUDA_CREATE(goodness_eval);
CUDA_CREATE(readout);
CUDA_CREATE(cross_entropy);
CUDA_CREATE(cross_entropy_eval);
CUDA_CREATE(similarity);
CUDA_CREATE(grad_norm);
CUDA_CREATE(adamw);
CUDA_CREATE(sgd);
CUDA_CREATE(retract);
CUDA_CREATE(clamp);

#endif
