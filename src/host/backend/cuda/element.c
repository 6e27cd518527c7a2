/* act, act_back, add, unit, unit_back, spread: element by element, the added channels too (they stay 0). */
#include "cuda.h"

struct act_op {
    struct cuda_op base;
    struct kernel_act_args args;
};

struct add_op {
    struct cuda_op base;
    struct kernel_add_args args;
};

struct unit_op {
    struct cuda_op base;
    struct kernel_unit_args args;
};

struct spread_op {
    struct cuda_op base;
    struct kernel_spread_args args;
};

static hff_status act_run(struct cuda_op *base, struct stream *stream, void *const *args, void *workspace)
{
    (void)workspace;
    struct kernel_act_args a = ((struct act_op *)base)->args;
    a.x = args[0];
    a.y = args[1];
    return cuda_launched(kernel_act(&a, stream->handle), "act");
}

static hff_status act_back_run(struct cuda_op *base, struct stream *stream, void *const *args, void *workspace)
{
    (void)workspace;
    struct kernel_act_args a = ((struct act_op *)base)->args;
    a.x = args[0];
    a.dy = args[1];
    a.y = args[2];
    return cuda_launched(kernel_act_back(&a, stream->handle), "act_back");
}

static hff_status add_run(struct cuda_op *base, struct stream *stream, void *const *args, void *workspace)
{
    (void)workspace;
    struct kernel_add_args a = ((struct add_op *)base)->args;
    a.a = args[0];
    a.b = args[1];
    a.y = args[2];
    return cuda_launched(kernel_add(&a, stream->handle), "add");
}

static hff_status unit_run(struct cuda_op *base, struct stream *stream, void *const *args, void *workspace)
{
    (void)workspace;
    struct kernel_unit_args a = ((struct unit_op *)base)->args;
    a.x = args[0];
    a.y = args[1];
    return cuda_launched(kernel_unit(&a, stream->handle), "unit");
}

static hff_status unit_back_run(struct cuda_op *base, struct stream *stream, void *const *args, void *workspace)
{
    (void)workspace;
    struct kernel_unit_args a = ((struct unit_op *)base)->args;
    a.x = args[0];
    a.dy = args[1];
    a.dx = args[2];
    return cuda_launched(kernel_unit_back(&a, stream->handle), "unit_back");
}

static hff_status spread_run(struct cuda_op *base, struct stream *stream, void *const *args, void *workspace)
{
    (void)workspace;
    struct kernel_spread_args a = ((struct spread_op *)base)->args;
    a.x = args[0];
    a.t = args[1];
    a.y = args[2];
    return cuda_launched(kernel_spread(&a, stream->handle), "spread");
}

/* Stored elements of a sample; all activations of the op must lie alike. */
static hff_status stored(const struct op_desc *desc, int args, int64_t *out)
{
    for (int i = 1; i < args; i++)
        if (desc->arg[i].layout != desc->arg[0].layout || desc->arg[i].block != desc->arg[0].block)
            return cuda_refuse(desc, "its activations lie in different ways");
    *out = (int64_t)(tensor_row_bytes(&desc->arg[0]) / dtype_bytes(desc->arg[0].dtype));
    return HFF_OK;
}

static hff_status create_act(struct cuda_backend *backend, const struct op_desc *desc, struct cuda_op **out, int args,
                             hff_status (*run)(struct cuda_op *, struct stream *, void *const *, void *))
{
    struct act_op *op;
    int64_t row = 0;
    TRY(cuda_op_new(backend, desc, sizeof *op, run, &op));
    *out = &op->base;
    TRY(stored(desc, args, &row));
    op->args = (struct kernel_act_args){
        .dtype = desc->arg[0].dtype, .act = desc->attr.act.act, .count = desc->arg[0].dim[0] * row};
    return HFF_OK;
}

CUDA_CREATE(act)
{
    return create_act(backend, desc, out, 2, act_run);
}

CUDA_CREATE(act_back)
{
    return create_act(backend, desc, out, 3, act_back_run);
}

CUDA_CREATE(add)
{
    struct add_op *op;
    int64_t row = 0;
    TRY(cuda_op_new(backend, desc, sizeof *op, add_run, &op));
    *out = &op->base;
    TRY(stored(desc, 3, &row));
    op->args = (struct kernel_add_args){.dtype = desc->arg[0].dtype, .count = desc->arg[0].dim[0] * row};
    return HFF_OK;
}

static hff_status create_unit(struct cuda_backend *backend, const struct op_desc *desc, struct cuda_op **out, int args,
                              hff_status (*run)(struct cuda_op *, struct stream *, void *const *, void *))
{
    struct unit_op *op;
    int64_t row = 0;
    TRY(cuda_op_new(backend, desc, sizeof *op, run, &op));
    *out = &op->base;
    TRY(stored(desc, args, &row));
    op->args = (struct kernel_unit_args){
        .dtype = desc->arg[0].dtype, .batch = desc->arg[0].dim[0], .elements = row, .n = tensor_row(&desc->arg[0])};
    return HFF_OK;
}

CUDA_CREATE(unit)
{
    return create_unit(backend, desc, out, 2, unit_run);
}

CUDA_CREATE(unit_back)
{
    return create_unit(backend, desc, out, 3, unit_back_run);
}

CUDA_CREATE(spread)
{
    struct spread_op *op;
    int64_t row = 0;
    TRY(cuda_op_new(backend, desc, sizeof *op, spread_run, &op));
    *out = &op->base;
    TRY(stored(desc, 3, &row));
    op->args = (struct kernel_spread_args){
        .dtype = desc->arg[0].dtype, .batch = desc->arg[0].dim[0], .rows = desc->arg[1].dim[0], .elements = row};
    return HFF_OK;
}
