/* cross_entropy, cross_entropy_eval, similarity, readout: src/kernels/cross_entropy.cu, similarity.cu, readout.cu. */
#include "cuda.h"

struct cross_entropy_op {
    struct cuda_op base;
    struct kernel_cross_entropy_args args;
};

struct similarity_op {
    struct cuda_op base;
    struct kernel_similarity_args args;
};

struct readout_op {
    struct cuda_op base;
    struct kernel_readout_args args;
};

static hff_status cross_entropy_run(struct cuda_op *base, struct stream *stream, void *const *args, void *workspace)
{
    struct kernel_cross_entropy_args a = ((struct cross_entropy_op *)base)->args;
    a.scores = args[0];
    a.y1 = args[1];
    a.y2 = args[2];
    a.weight = args[3];
    a.dscores = args[4];
    a.metrics = args[5];
    a.workspace = workspace;
    a.tickets = stream->tickets;
    return cuda_launched(kernel_cross_entropy(&a, stream->handle), "cross_entropy");
}

static hff_status cross_entropy_eval_run(struct cuda_op *base, struct stream *stream, void *const *args,
                                         void *workspace)
{
    struct kernel_cross_entropy_args a = ((struct cross_entropy_op *)base)->args;
    a.scores = args[0];
    a.y1 = args[1];
    a.weight = args[2];
    a.metrics = args[3];
    a.workspace = workspace;
    a.tickets = stream->tickets;
    return cuda_launched(kernel_cross_entropy(&a, stream->handle), "cross_entropy_eval");
}

static hff_status similarity_run(struct cuda_op *base, struct stream *stream, void *const *args, void *workspace)
{
    struct kernel_similarity_args a = ((struct similarity_op *)base)->args;
    a.x = args[0];
    a.y1 = args[1];
    a.y2 = args[2];
    a.weight = args[3];
    a.dx = args[4];
    a.metrics = args[5];
    a.workspace = workspace;
    a.tickets = stream->tickets;
    return cuda_launched(kernel_similarity(&a, stream->handle), "similarity");
}

static hff_status readout_run(struct cuda_op *base, struct stream *stream, void *const *args, void *workspace)
{
    struct kernel_readout_args a = ((struct readout_op *)base)->args;
    const struct tensor *given = base->op.desc.arg;
    a.logits = args[0];
    a.y = args[1];
    a.weight = args[2];
    a.total = given[3].rank ? args[3] : NULL;
    a.dlogits = given[4].rank ? args[4] : NULL;
    a.metrics = given[5].rank ? args[5] : NULL;
    a.workspace = workspace;
    a.tickets = stream->tickets;
    return cuda_launched(kernel_readout(&a, stream->handle), "readout");
}

/* The first argument: samples and what there is of each. */
static hff_status rows(const struct op_desc *desc, int *batch, int *width)
{
    TRY(cuda_countable(desc, desc->arg[0].dim[0]));
    TRY(cuda_countable(desc, desc->arg[0].dim[1]));
    *batch = (int)desc->arg[0].dim[0];
    *width = (int)desc->arg[0].dim[1];
    return HFF_OK;
}

CUDA_CREATE(cross_entropy)
{
    struct cross_entropy_op *op;
    TRY(cuda_op_new(backend, desc, sizeof *op, cross_entropy_run, &op));
    *out = &op->base;
    TRY(rows(desc, &op->args.batch, &op->args.classes));
    op->args.smoothing = desc->attr.cross_entropy.smoothing;
    op->args.discount = desc->attr.cross_entropy.discount;
    op->args.global_batch = desc->attr.cross_entropy.global_batch;
    op->base.workspace = kernel_cross_entropy_workspace(&op->args);
    return HFF_OK;
}

CUDA_CREATE(cross_entropy_eval)
{
    struct cross_entropy_op *op;
    TRY(cuda_op_new(backend, desc, sizeof *op, cross_entropy_eval_run, &op));
    *out = &op->base;
    TRY(rows(desc, &op->args.batch, &op->args.classes));
    op->args.eval = 1;
    op->base.workspace = kernel_cross_entropy_workspace(&op->args);
    return HFF_OK;
}

CUDA_CREATE(similarity)
{
    struct similarity_op *op;
    TRY(cuda_op_new(backend, desc, sizeof *op, similarity_run, &op));
    *out = &op->base;
    TRY(rows(desc, &op->args.batch, &op->args.width));
    op->args.slices = desc->slices;
    op->args.math = cuda_math(backend);
    op->args.classes = desc->attr.similarity.classes;
    op->args.share = desc->attr.similarity.share;
    op->args.global_batch = desc->attr.similarity.global_batch;
    op->base.workspace = kernel_similarity_workspace(&op->args);
    return HFF_OK;
}

CUDA_CREATE(readout)
{
    struct readout_op *op;
    TRY(cuda_op_new(backend, desc, sizeof *op, readout_run, &op));
    *out = &op->base;
    TRY(rows(desc, &op->args.batch, &op->args.classes));
    op->args.first = desc->attr.readout.first;
    op->args.global_batch = desc->attr.readout.global_batch;
    op->base.workspace = kernel_readout_workspace(&op->args);
    return HFF_OK;
}
