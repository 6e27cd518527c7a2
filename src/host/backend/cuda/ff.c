/* FF's ops: negatives, overlay, columns, goodness, goodness_eval: src/kernels, files of the same names. */
#include "cuda.h"

/* Scores of a sample that a block has room for, in f64. */
enum { NEGATIVES_MOST = 20480 };

struct negatives_op {
    struct cuda_op base;
    struct kernel_negatives_args args;
};

struct overlay_op {
    struct cuda_op base;
    struct kernel_overlay_args args;
};

struct columns_op {
    struct cuda_op base;
    struct kernel_columns_args args;
};

struct goodness_op {
    struct cuda_op base;
    struct kernel_goodness_args args;
};

struct goodness_eval_op {
    struct cuda_op base;
    struct kernel_goodness_eval_args args;
};

static hff_status negatives_run(struct cuda_op *base, struct stream *stream, void *const *args, void *workspace)
{
    (void)workspace;
    struct kernel_negatives_args a = ((struct negatives_op *)base)->args;
    a.y = args[0];
    a.tick = args[1];
    a.score = base->op.desc.arg[2].rank ? args[2] : NULL;
    a.labels = args[3];
    return cuda_launched(kernel_negatives(&a, stream->handle), "negatives");
}

static hff_status overlay_run(struct cuda_op *base, struct stream *stream, void *const *args, void *workspace)
{
    (void)workspace;
    struct kernel_overlay_args a = ((struct overlay_op *)base)->args;
    const struct tensor *given = base->op.desc.arg;
    a.x = given[0].rank ? args[0] : NULL;
    a.on = args[1];
    a.labels = given[2].rank ? args[2] : NULL;
    a.tick = given[3].rank ? args[3] : NULL;
    a.y = args[4];
    return cuda_launched(kernel_overlay(&a, stream->handle), "overlay");
}

static hff_status columns_run(struct cuda_op *base, struct stream *stream, void *const *args, void *workspace)
{
    (void)workspace;
    struct kernel_columns_args a = ((struct columns_op *)base)->args;
    a.w = args[0];
    a.on = args[1];
    a.tick = args[2];
    a.t = args[3];
    return cuda_launched(kernel_columns(&a, stream->handle), "columns");
}

static hff_status goodness_run(struct cuda_op *base, struct stream *stream, void *const *args, void *workspace)
{
    struct kernel_goodness_args a = ((struct goodness_op *)base)->args;
    a.h = args[0];
    a.dh = args[1];
    a.metrics = args[2];
    a.workspace = workspace;
    a.tickets = stream->tickets;
    return cuda_launched(kernel_goodness(&a, stream->handle), "goodness");
}

static hff_status goodness_eval_run(struct cuda_op *base, struct stream *stream, void *const *args, void *workspace)
{
    struct kernel_goodness_eval_args a = ((struct goodness_eval_op *)base)->args;
    a.h = args[0];
    a.y = args[1];
    a.weight = args[2];
    a.tick = args[3];
    a.scores = args[4];
    a.metrics = args[5];
    a.workspace = workspace;
    a.tickets = stream->tickets;
    return cuda_launched(kernel_goodness_eval(&a, stream->handle), "goodness_eval");
}

CUDA_CREATE(negatives)
{
    struct negatives_op *op;
    TRY(cuda_op_new(backend, desc, sizeof *op, negatives_run, &op));
    *out = &op->base;
    TRY(cuda_countable(desc, desc->arg[0].dim[0]));
    if (desc->arg[2].rank && desc->attr.negatives.classes > NEGATIVES_MOST)
        return fail(HFF_E_CONFIG,
                    "the cuda backend does not do op negatives for hard ones of more than %d classes yet; use "
                    "run.backend cpu",
                    NEGATIVES_MOST);
    op->args = (struct kernel_negatives_args){.batch = (int)desc->arg[0].dim[0],
                                              .classes = desc->attr.negatives.classes,
                                              .seed = desc->attr.negatives.seed,
                                              .from = desc->attr.negatives.from};
    return HFF_OK;
}

CUDA_CREATE(overlay)
{
    struct overlay_op *op;
    const struct tensor *x = &desc->arg[0], *y = &desc->arg[4];
    TRY(cuda_op_new(backend, desc, sizeof *op, overlay_run, &op));
    *out = &op->base;
    if (y->layout != LAYOUT_PLAIN) return cuda_refuse(desc, "the cuda backend writes labels into plain images");
    op->args = (struct kernel_overlay_args){.kind = desc->attr.overlay.kind,
                                            .rows = y->dim[0],
                                            .width = tensor_row(y),
                                            .batch = x->rank ? x->dim[0] : 0,
                                            .image = x->rank ? tensor_row(x) : 0,
                                            .area = desc->attr.overlay.area,
                                            .classes = desc->attr.overlay.classes,
                                            .rest = desc->attr.overlay.rest};
    return HFF_OK;
}

CUDA_CREATE(columns)
{
    struct columns_op *op;
    const struct tensor *w = &desc->arg[0], *t = &desc->arg[3];
    TRY(cuda_op_new(backend, desc, sizeof *op, columns_run, &op));
    *out = &op->base;
    TRY(cuda_countable(desc, t->dim[0]));
    TRY(cuda_countable(desc, t->dim[1]));
    op->args = (struct kernel_columns_args){.dtype = t->dtype,
                                            .rows = (int)t->dim[0],
                                            .classes = desc->attr.columns.classes,
                                            .out = (int)t->dim[1],
                                            .pitch = (int)t->dim[1],
                                            .in = w->dim[1],
                                            .first = desc->attr.columns.first,
                                            .span = desc->attr.columns.span};
    return HFF_OK;
}

static int64_t stored(const struct tensor *h)
{
    return (int64_t)(tensor_row_bytes(h) / dtype_bytes(h->dtype));
}

CUDA_CREATE(goodness)
{
    struct goodness_op *op;
    const struct tensor *h = &desc->arg[0], *dh = &desc->arg[1];
    TRY(cuda_op_new(backend, desc, sizeof *op, goodness_run, &op));
    *out = &op->base;
    if (h->layout != dh->layout || h->block != dh->block)
        return cuda_refuse(desc, "its activations lie in different ways");
    op->args = (struct kernel_goodness_args){.dtype = h->dtype,
                                             .batch = h->dim[0],
                                             .elements = stored(h),
                                             .n = tensor_row(h),
                                             .mean = desc->attr.goodness.mean,
                                             .theta = desc->attr.goodness.theta,
                                             .alpha = desc->attr.goodness.alpha,
                                             .global_batch = desc->attr.goodness.global_batch};
    op->base.workspace = kernel_goodness_workspace(&op->args);
    return HFF_OK;
}

CUDA_CREATE(goodness_eval)
{
    struct goodness_eval_op *op;
    const struct tensor *h = &desc->arg[0], *scores = &desc->arg[4];
    TRY(cuda_op_new(backend, desc, sizeof *op, goodness_eval_run, &op));
    *out = &op->base;
    TRY(cuda_countable(desc, h->dim[0]));
    TRY(cuda_countable(desc, scores->dim[1]));
    op->args = (struct kernel_goodness_eval_args){.dtype = h->dtype,
                                                  .batch = scores->dim[0],
                                                  .rows = (int)(h->dim[0] / scores->dim[0]),
                                                  .classes = (int)scores->dim[1],
                                                  .mean = desc->attr.goodness.mean,
                                                  .elements = stored(h),
                                                  .n = tensor_row(h)};
    op->base.workspace = kernel_goodness_eval_workspace(&op->args);
    return HFF_OK;
}
