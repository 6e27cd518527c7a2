/* augment: src/kernels/augment.cu. */
#include "cuda.h"

struct augment_op {
    struct cuda_op base;
    struct kernel_augment_args args;
};

static hff_status augment_run(struct cuda_op *base, struct stream *stream, void *const *args, void *workspace)
{
    (void)workspace;
    struct kernel_augment_args a = ((struct augment_op *)base)->args;
    a.images = args[0];
    a.table = args[1];
    a.sample = args[2];
    a.partner = base->op.desc.arg[3].rank ? args[3] : NULL;
    a.share = args[4];
    a.epoch = args[5];
    a.x = args[6];
    return cuda_launched(kernel_augment(&a, stream->handle), "augment");
}

CUDA_CREATE(augment)
{
    const struct tensor *images = &desc->arg[0], *x = &desc->arg[6];
    struct augment_op *op;
    struct cuda_view view = {.dtype = x->dtype};
    TRY(cuda_op_new(backend, desc, sizeof *op, augment_run, &op));
    *out = &op->base;
    if (x->layout != LAYOUT_PLAIN) TRY(cuda_view(desc, 6, &view));
    TRY(cuda_countable(desc, images->dim[0]));
    TRY(cuda_countable(desc, x->dim[0]));
    TRY(cuda_countable(desc, tensor_area(x)));
    op->args = (struct kernel_augment_args){.rule = desc->attr.augment,
                                            .batch = (int)x->dim[0],
                                            .channels = (int)x->dim[1],
                                            .height = (int)x->dim[2],
                                            .width = (int)x->dim[3],
                                            .dtype = x->dtype,
                                            .pitch = view.pitch};
    return HFF_OK;
}
