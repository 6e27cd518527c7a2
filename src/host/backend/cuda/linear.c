/* linear, linear_data, linear_weight: cuBLASLt.
 *
 * Parameters and their gradients lie on 4 bytes, its products want 16: one that lies in between is copied to the
 * workspace first, or from there at the end. */
#include "cuda.h"

#include <stdint.h>
#include <stdlib.h>

struct linear_op {
    struct cuda_op base;
    struct cuda_product *product;
    int fused;                          /* cuBLASLt adds the bias */
    size_t product_bytes, weight_bytes; /* of the workspace: its own, the weight's copy, then the bias's */
    struct kernel_bias_args bias;
};

static void linear_destroy(struct cuda_op *base)
{
    struct linear_op *op = (struct linear_op *)base;
    if (op->product) cuda_calls.product_destroy(op->product);
}

static int lies_between(const void *p)
{
    return (uintptr_t)p % CUDA_ALIGN != 0;
}

/* memory, or a copy of it at room where it lies in between. */
static hff_status readable(struct stream *stream, const void *memory, size_t bytes, void *room, const void **out)
{
    *out = memory;
    if (!lies_between(memory)) return HFF_OK;
    *out = room;
    return cuda_calls.copy(room, memory, bytes, stream->handle);
}

/* y in f32 in the workspace, its bias, then rounded once. */
static hff_status wide_run(struct cuda_op *base, struct stream *stream, void *const *args, void *workspace)
{
    struct linear_op *op = (struct linear_op *)base;
    const void *w;
    char *room = (char *)workspace + op->product_bytes;
    void *y = room + op->weight_bytes;
    TRY(readable(stream, args[1], tensor_bytes(&base->op.desc.arg[1]), room, &w));
    TRY(cuda_calls.product_run(op->product, stream->handle, args[0], w, y, NULL, workspace));
    struct kernel_bias_args add = op->bias;
    add.y = y;
    add.bias = args[2];
    TRY(cuda_launched(kernel_bias(&add, stream->handle), "bias"));
    struct kernel_reorder_args narrow = {.src = y,
                                         .dst = args[3],
                                         .src_dtype = DTYPE_F32,
                                         .dst_dtype = base->op.desc.arg[3].dtype,
                                         .batch = 1,
                                         .channels = 1,
                                         .area = tensor_count(&base->op.desc.arg[3])};
    return cuda_launched(kernel_reorder(&narrow, stream->handle), "reorder");
}

static hff_status forward_run(struct cuda_op *base, struct stream *stream, void *const *args, void *workspace)
{
    struct linear_op *op = (struct linear_op *)base;
    const struct op_desc *desc = &base->op.desc;
    const void *w, *bias = NULL;
    char *room = (char *)workspace + op->product_bytes;
    TRY(readable(stream, args[1], tensor_bytes(&desc->arg[1]), room, &w));
    if (op->fused) TRY(readable(stream, args[2], tensor_bytes(&desc->arg[2]), room + op->weight_bytes, &bias));
    TRY(cuda_calls.product_run(op->product, stream->handle, args[0], w, args[3], bias, workspace));
    if (desc->arg[2].rank == 0 || op->fused) return HFF_OK;
    struct kernel_bias_args add = op->bias;
    add.y = args[3];
    add.bias = args[2];
    return cuda_launched(kernel_bias(&add, stream->handle), "bias");
}

static hff_status data_run(struct cuda_op *base, struct stream *stream, void *const *args, void *workspace)
{
    struct linear_op *op = (struct linear_op *)base;
    const void *w;
    TRY(readable(stream, args[1], tensor_bytes(&base->op.desc.arg[1]), (char *)workspace + op->product_bytes, &w));
    return cuda_calls.product_run(op->product, stream->handle, args[0], w, args[2], NULL, workspace);
}

static hff_status weight_run(struct cuda_op *base, struct stream *stream, void *const *args, void *workspace)
{
    struct linear_op *op = (struct linear_op *)base;
    const struct op_desc *desc = &base->op.desc;
    char *room = (char *)workspace + op->product_bytes;
    void *dw = lies_between(args[2]) ? room : args[2];
    TRY(cuda_calls.product_run(op->product, stream->handle, args[1], args[0], dw, NULL, workspace));
    if (dw != args[2]) TRY(cuda_calls.copy(args[2], dw, tensor_bytes(&desc->arg[2]), stream->handle));
    if (desc->arg[3].rank == 0) return HFF_OK;
    struct kernel_bias_args sum = op->bias;
    sum.dy = args[1];
    sum.dbias = args[3];
    sum.workspace = room + op->weight_bytes;
    sum.tickets = stream->tickets;
    return cuda_launched(kernel_bias_grad(&sum, stream->handle), "bias gradient");
}

/* Plans want; weight: the number of the argument that is the weight or its gradient, more: bytes behind its copy. */
static hff_status plan(struct cuda_backend *backend, struct linear_op *op, struct cuda_product_desc want, int weight,
                       size_t more)
{
    want.precision = backend->precision == PRECISION_F32 ? PRECISION_F32 : PRECISION_TF32;
    if (want.dtype != DTYPE_F32) want.precision = PRECISION_F32;
    TRY(cuda_calls.product_plan(backend->library, &want, &op->product));
    op->product_bytes = cuda_round(cuda_calls.product_workspace(op->product));
    op->weight_bytes = cuda_round(tensor_bytes(&op->base.op.desc.arg[weight]));
    op->base.workspace = op->product_bytes + op->weight_bytes + cuda_round(more);
    return HFF_OK;
}

static hff_status new_op(struct cuda_backend *backend, const struct op_desc *desc,
                         hff_status (*run)(struct cuda_op *, struct stream *, void *const *, void *),
                         struct linear_op **out)
{
    TRY(cuda_op_new(backend, desc, sizeof **out, run, out));
    (*out)->base.destroy = linear_destroy;
    return HFF_OK;
}

/* The weight as the product reads it: plain, in the activations' type. */
static void open_weight(struct linear_op *op, enum dtype dtype)
{
    op->base.op.desc.arg[1].layout = LAYOUT_PLAIN;
    op->base.op.desc.arg[1].dtype = dtype;
}

CUDA_CREATE(linear)
{
    struct linear_op *op;
    TRY(new_op(backend, desc, forward_run, &op));
    *out = &op->base;
    int64_t batch = desc->arg[0].dim[0], ins = desc->arg[0].dim[1], outs = desc->arg[1].dim[0];
    enum dtype dtype = desc->arg[0].dtype;
    open_weight(op, dtype);
    struct cuda_product_desc want = {.m = batch,
                                     .n = outs,
                                     .k = ins,
                                     .lda = ins,
                                     .ldb = ins,
                                     .ldc = outs,
                                     .transpose_b = 1,
                                     .bias = desc->arg[2].rank > 0,
                                     .dtype = dtype,
                                     .result = dtype};
    op->bias = (struct kernel_bias_args){
        .dtype = dtype, .act = ACT_NONE, .rows = batch, .channels = (int)outs, .pitch = (int)outs};
    op->fused = want.bias && plan(backend, op, want, 1, tensor_bytes(&desc->arg[2])) == HFF_OK;
    if (op->fused) return HFF_OK;
    int wide = want.bias && dtype != DTYPE_F32;
    want.bias = 0;
    if (!wide) return plan(backend, op, want, 1, 0);
    op->base.run = wide_run;
    op->bias.dtype = want.result = DTYPE_F32;
    return plan(backend, op, want, 1, (size_t)(batch * outs) * sizeof(float));
}

CUDA_CREATE(linear_data)
{
    struct linear_op *op;
    TRY(new_op(backend, desc, data_run, &op));
    *out = &op->base;
    int64_t batch = desc->arg[0].dim[0], outs = desc->arg[1].dim[0], ins = desc->arg[1].dim[1];
    enum dtype dtype = desc->arg[0].dtype;
    open_weight(op, dtype);
    struct cuda_product_desc want = {
        .m = batch, .n = ins, .k = outs, .lda = outs, .ldb = ins, .ldc = ins, .dtype = dtype, .result = dtype};
    return plan(backend, op, want, 1, 0);
}

CUDA_CREATE(linear_weight)
{
    struct linear_op *op;
    TRY(new_op(backend, desc, weight_run, &op));
    *out = &op->base;
    int64_t batch = desc->arg[0].dim[0], ins = desc->arg[0].dim[1], outs = desc->arg[1].dim[1];
    enum dtype dtype = desc->arg[0].dtype;
    op->base.op.desc.arg[2].layout = LAYOUT_PLAIN;
    struct cuda_product_desc want = {.m = outs,
                                     .n = ins,
                                     .k = batch,
                                     .lda = outs,
                                     .ldb = ins,
                                     .ldc = ins,
                                     .transpose_a = 1,
                                     .dtype = dtype,
                                     .result = DTYPE_F32};
    op->bias = (struct kernel_bias_args){
        .dtype = dtype, .act = ACT_NONE, .rows = batch, .channels = (int)outs, .pitch = (int)outs};
    return plan(backend, op, want, 2, desc->arg[3].rank ? kernel_bias_grad_workspace(&op->bias) : 0);
}
