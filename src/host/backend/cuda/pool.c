/* pool, pool_back, apool, apool_back, act_apool, act_apool_back: src/kernels/pool.cu, apool.cu. */
#include "cuda.h"

struct pool_op {
    struct cuda_op base;
    struct kernel_pool_args args;
};

static hff_status pool_run(struct cuda_op *base, struct stream *stream, void *const *args, void *workspace)
{
    (void)workspace;
    struct kernel_pool_args a = ((struct pool_op *)base)->args;
    a.x = args[0];
    a.y = args[1];
    a.index = base->op.desc.arg[2].rank ? args[2] : NULL;
    return cuda_launched(kernel_pool(&a, stream->handle), "pool");
}

static hff_status pool_back_run(struct cuda_op *base, struct stream *stream, void *const *args, void *workspace)
{
    (void)workspace;
    struct kernel_pool_args a = ((struct pool_op *)base)->args;
    a.index = base->op.desc.arg[0].rank ? args[0] : NULL;
    a.dy = args[1];
    a.dx = args[2];
    return cuda_launched(kernel_pool_back(&a, stream->handle), "pool_back");
}

static hff_status apool_run(struct cuda_op *base, struct stream *stream, void *const *args, void *workspace)
{
    (void)workspace;
    struct kernel_pool_args a = ((struct pool_op *)base)->args;
    a.x = args[0];
    a.y = args[1];
    return cuda_launched(kernel_apool(&a, stream->handle), "apool");
}

static hff_status apool_back_run(struct cuda_op *base, struct stream *stream, void *const *args, void *workspace)
{
    (void)workspace;
    struct kernel_pool_args a = ((struct pool_op *)base)->args;
    a.dy = args[0];
    a.dx = args[1];
    return cuda_launched(kernel_apool_back(&a, stream->handle), "apool_back");
}

struct act_apool_op {
    struct cuda_op base;
    struct kernel_act_apool_args args;
};

static hff_status act_apool_run(struct cuda_op *base, struct stream *stream, void *const *args, void *workspace)
{
    (void)workspace;
    struct kernel_act_apool_args a = ((struct act_apool_op *)base)->args;
    a.x = args[0];
    a.y = args[1];
    return cuda_launched(kernel_act_apool(&a, stream->handle), "act_apool");
}

static hff_status act_apool_back_run(struct cuda_op *base, struct stream *stream, void *const *args, void *workspace)
{
    (void)workspace;
    struct kernel_act_apool_args a = ((struct act_apool_op *)base)->args;
    a.x = args[0];
    a.dy = args[1];
    a.dx = args[2];
    return cuda_launched(kernel_act_apool_back(&a, stream->handle), "act_apool_back");
}

/* large, small: the arguments before and behind the windows. */
static hff_status create(struct cuda_backend *backend, const struct op_desc *desc, struct cuda_op **out, int large,
                         int small, hff_status (*run)(struct cuda_op *, struct stream *, void *const *, void *))
{
    struct pool_op *op;
    struct cuda_view x, y;
    TRY(cuda_op_new(backend, desc, sizeof *op, run, &op));
    *out = &op->base;
    TRY(cuda_view(desc, large, &x));
    TRY(cuda_view(desc, small, &y));
    if (x.pitch != y.pitch) return cuda_refuse(desc, "its activations lie in different ways");
    op->args = (struct kernel_pool_args){.dtype = x.dtype,
                                         .batch = x.batch,
                                         .height = x.height,
                                         .width = x.width,
                                         .out_height = y.height,
                                         .out_width = y.width,
                                         .pitch = x.pitch};
    return HFF_OK;
}

static hff_status create_pool(struct cuda_backend *backend, const struct op_desc *desc, struct cuda_op **out, int large,
                              int small, int index,
                              hff_status (*run)(struct cuda_op *, struct stream *, void *const *, void *))
{
    TRY(create(backend, desc, out, large, small, run));
    struct kernel_pool_args *args = &((struct pool_op *)*out)->args;
    args->kind = desc->attr.pool.kind;
    args->kernel = desc->attr.pool.kernel;
    args->stride = desc->attr.pool.stride;
    struct cuda_view places;
    if (desc->arg[index].rank == 0) return HFF_OK;
    TRY(cuda_view(desc, index, &places));
    return places.pitch == args->pitch ? HFF_OK : cuda_refuse(desc, "the index lies in another way than y");
}

CUDA_CREATE(pool)
{
    return create_pool(backend, desc, out, 0, 1, 2, pool_run);
}

CUDA_CREATE(pool_back)
{
    return create_pool(backend, desc, out, 2, 1, 0, pool_back_run);
}

CUDA_CREATE(apool)
{
    return create(backend, desc, out, 0, 1, apool_run);
}

CUDA_CREATE(apool_back)
{
    return create(backend, desc, out, 1, 0, apool_back_run);
}

static hff_status create_act_apool(struct cuda_backend *backend, const struct op_desc *desc, struct cuda_op **out,
                                   int large,
                                   hff_status (*run)(struct cuda_op *, struct stream *, void *const *, void *))
{
    struct act_apool_op *op;
    struct cuda_view x;
    TRY(cuda_op_new(backend, desc, sizeof *op, run, &op));
    *out = &op->base;
    TRY(cuda_view(desc, large, &x));
    op->args = (struct kernel_act_apool_args){.dtype = x.dtype,
                                              .act = desc->attr.act_apool.act,
                                              .batch = x.batch,
                                              .height = x.height,
                                              .width = x.width,
                                              .channels = x.channels,
                                              .pitch = x.pitch,
                                              .rows = desc->attr.act_apool.rows,
                                              .columns = desc->attr.act_apool.columns};
    return HFF_OK;
}

CUDA_CREATE(act_apool)
{
    return create_act_apool(backend, desc, out, 0, act_apool_run);
}

CUDA_CREATE(act_apool_back)
{
    return create_act_apool(backend, desc, out, 2, act_apool_back_run);
}
