/* norm, norm_eval, norm_back, and the three with pooling: src/kernels/norm.cu. */
#include "cuda.h"

struct norm_op {
    struct cuda_op base;
    struct kernel_norm_args args;
};

/* Where an op with pooling has its index, last of all; NULL where it is absent or the op has none. */
static void *index_of(const struct cuda_op *op, void *const *args, int at)
{
    return at < op_table[op->op.desc.kind].args && op->op.desc.arg[at].rank ? args[at] : NULL;
}

static hff_status norm_run(struct cuda_op *base, struct stream *stream, void *const *args, void *workspace)
{
    struct kernel_norm_args a = ((struct norm_op *)base)->args;
    a.x = args[0];
    a.gamma = args[1];
    a.beta = args[2];
    a.mean = args[3];
    a.invstd = args[4];
    a.run_mean = args[5];
    a.run_var = args[6];
    a.y = args[7];
    a.index = index_of(base, args, 8);
    a.workspace = workspace;
    a.tickets = stream->tickets;
    return cuda_launched(kernel_norm(&a, stream->handle), "norm");
}

static hff_status norm_eval_run(struct cuda_op *base, struct stream *stream, void *const *args, void *workspace)
{
    (void)workspace;
    struct kernel_norm_args a = ((struct norm_op *)base)->args;
    a.x = args[0];
    a.gamma = args[1];
    a.beta = args[2];
    a.run_mean = args[3];
    a.run_var = args[4];
    a.y = args[5];
    a.index = index_of(base, args, 6);
    return cuda_launched(kernel_norm_eval(&a, stream->handle), "norm_eval");
}

static hff_status norm_back_run(struct cuda_op *base, struct stream *stream, void *const *args, void *workspace)
{
    struct kernel_norm_args a = ((struct norm_op *)base)->args;
    a.x = args[0];
    a.gamma = args[1];
    a.beta = args[2];
    a.mean = args[3];
    a.invstd = args[4];
    a.dy = args[5];
    a.dx = args[6];
    a.dgamma = args[7];
    a.dbeta = args[8];
    a.index = index_of(base, args, 9);
    a.workspace = workspace;
    a.tickets = stream->tickets;
    return cuda_launched(kernel_norm_back(&a, stream->handle), "norm_back");
}

static hff_status create(struct cuda_backend *backend, const struct op_desc *desc, struct cuda_op **out,
                         hff_status (*run)(struct cuda_op *, struct stream *, void *const *, void *))
{
    struct norm_op *op;
    struct cuda_view x;
    TRY(cuda_op_new(backend, desc, sizeof *op, run, &op));
    *out = &op->base;
    TRY(cuda_view(desc, 0, &x));
    op->args = (struct kernel_norm_args){.dtype = x.dtype,
                                         .batch = x.batch,
                                         .height = x.height,
                                         .width = x.width,
                                         .channels = x.channels,
                                         .pitch = x.pitch,
                                         .act = desc->attr.norm.act,
                                         .eps = desc->attr.norm.eps,
                                         .momentum = desc->attr.norm.momentum};
    int eval = desc->kind == OP_NORM_EVAL || desc->kind == OP_NORM_POOL_EVAL;
    op->base.workspace = eval ? 0 : kernel_norm_workspace(&op->args);
    return HFF_OK;
}

/* pooled: the argument behind the windows; index: of their places. */
static hff_status create_pool(struct cuda_backend *backend, const struct op_desc *desc, struct cuda_op **out,
                              int pooled, int index,
                              hff_status (*run)(struct cuda_op *, struct stream *, void *const *, void *))
{
    struct cuda_view y, places;
    TRY(create(backend, desc, out, run));
    struct kernel_norm_args *args = &((struct norm_op *)*out)->args;
    args->pool.kind = desc->attr.norm.pool.kind;
    args->pool.kernel = desc->attr.norm.pool.kernel;
    args->pool.stride = desc->attr.norm.pool.stride;
    TRY(cuda_view(desc, pooled, &y));
    if (y.pitch != args->pitch) return cuda_refuse(desc, "its activations lie in different ways");
    if (desc->arg[index].rank == 0) return HFF_OK;
    TRY(cuda_view(desc, index, &places));
    return places.pitch == args->pitch ? HFF_OK
                                       : cuda_refuse(desc, "the index lies in another way than the activations");
}

CUDA_CREATE(norm)
{
    return create(backend, desc, out, norm_run);
}

CUDA_CREATE(norm_eval)
{
    return create(backend, desc, out, norm_eval_run);
}

CUDA_CREATE(norm_back)
{
    return create(backend, desc, out, norm_back_run);
}

CUDA_CREATE(norm_pool)
{
    return create_pool(backend, desc, out, 7, 8, norm_run);
}

CUDA_CREATE(norm_pool_eval)
{
    return create_pool(backend, desc, out, 5, 6, norm_eval_run);
}

CUDA_CREATE(norm_pool_back)
{
    return create_pool(backend, desc, out, 5, 9, norm_back_run);
}
