/* Ops of the cuda backend in general: making and refusing them, activations as rows of channels. */
#include "cuda.h"

#include <limits.h>
#include <stdlib.h>

hff_status cuda_op_new(struct cuda_backend *backend, const struct op_desc *desc, size_t size,
                       hff_status (*run)(struct cuda_op *, struct stream *, void *const *, void *), void *out)
{
    struct cuda_op *op = calloc(1, size);
    *(void **)out = op;
    if (!op) return fail(HFF_E_MEMORY, "no memory for an op");
    op->op.backend = &backend->base;
    op->op.desc = *desc;
    op->run = run;
    return HFF_OK;
}

void cuda_op_destroy(struct op *base)
{
    struct cuda_op *op = (struct cuda_op *)base;
    if (!op) return;
    if (op->destroy) op->destroy(op);
    free(op);
}

hff_status cuda_refuse(const struct op_desc *desc, const char *what)
{
    char text[512];
    return fail(HFF_E_CONFIG, "op %s: %s", op_text(desc, text, sizeof text), what);
}

hff_status cuda_countable(const struct op_desc *desc, int64_t size)
{
    return size <= INT_MAX ? HFF_OK : cuda_refuse(desc, "a dimension is too large for the cuda backend");
}

hff_status cuda_view(const struct op_desc *desc, int arg, struct cuda_view *out)
{
    const struct tensor *t = &desc->arg[arg];
    int64_t area = t->rank > 2 ? tensor_row(t) / t->dim[1] : 1;
    if (t->layout != LAYOUT_CHANNELS_LAST && area > 1)
        return cuda_refuse(desc, "the cuda backend wants these activations channels last");
    int64_t channels = t->rank > 1 ? t->dim[1] : 1;
    int64_t pitch = t->layout == LAYOUT_CHANNELS_LAST ? (channels + t->block - 1) / t->block * t->block : channels;
    TRY(cuda_countable(desc, pitch));
    TRY(cuda_countable(desc, area));
    *out = (struct cuda_view){.dtype = t->dtype,
                              .batch = t->dim[0],
                              .height = t->rank == 4 ? (int)t->dim[2] : 1,
                              .width = t->rank == 4 ? (int)t->dim[3] : 1,
                              .channels = (int)channels,
                              .pitch = (int)pitch};
    return HFF_OK;
}

int64_t cuda_view_rows(const struct cuda_view *view)
{
    return view->batch * view->height * view->width;
}
