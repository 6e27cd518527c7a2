/* conv, conv_data, conv_weight: cuDNN on channels-last activations and packed weights.
 *
 * A bias goes with the convolution where cuDNN has a plan for that (padded, in the workspace, where its channels are); else
 * a kernel adds it, and a y in bf16 is then rounded twice. */
#include "cuda.h"

struct conv_op {
    struct cuda_op base;
    struct cuda_conv *conv;
    int fused;         /* cuDNN adds the bias */
    size_t conv_bytes; /* of the workspace: cuDNN's, then what the bias gradient wants */
    size_t bias_at;    /* of the workspace: the padded bias, 0: there is none */
    struct kernel_bias_args bias;
};

static void conv_destroy(struct cuda_op *base)
{
    struct conv_op *op = (struct conv_op *)base;
    if (op->conv) cuda_calls.conv_destroy(op->conv);
}

/* The bias with zeros for the added channels. */
static hff_status pad_bias(const struct conv_op *op, struct stream *stream, void **bias, void *workspace)
{
    char *padded = (char *)workspace + op->bias_at;
    size_t there = (size_t)op->bias.channels * sizeof(float), all = (size_t)op->bias.pitch * sizeof(float);
    TRY(cuda_calls.copy(padded, *bias, there, stream->handle));
    TRY(cuda_calls.zero(padded + there, all - there, stream->handle));
    *bias = padded;
    return HFF_OK;
}

static hff_status conv_run(struct cuda_op *base, struct stream *stream, void *const *args, void *workspace)
{
    struct conv_op *op = (struct conv_op *)base;
    void *bias = base->op.desc.arg[2].rank ? args[2] : NULL;
    if (op->bias_at) TRY(pad_bias(op, stream, &bias, workspace));
    void *const pointers[3] = {args[0], args[1], args[3]};
    TRY(cuda_calls.conv_run(op->conv, stream->lane, pointers, op->fused ? bias : NULL, workspace));
    if (!bias || op->fused) return HFF_OK;
    struct kernel_bias_args add = op->bias;
    add.y = args[3];
    add.bias = bias;
    return cuda_launched(kernel_bias(&add, stream->handle), "bias");
}

static hff_status conv_data_run(struct cuda_op *base, struct stream *stream, void *const *args, void *workspace)
{
    struct conv_op *op = (struct conv_op *)base;
    return cuda_calls.conv_run(op->conv, stream->lane, args, NULL, workspace);
}

static hff_status conv_weight_run(struct cuda_op *base, struct stream *stream, void *const *args, void *workspace)
{
    struct conv_op *op = (struct conv_op *)base;
    TRY(cuda_calls.conv_run(op->conv, stream->lane, args, NULL, workspace));
    if (base->op.desc.arg[3].rank == 0) return HFF_OK;
    struct kernel_bias_args sum = op->bias;
    sum.dy = args[1];
    sum.dbias = args[3];
    sum.workspace = (char *)workspace + op->conv_bytes;
    sum.tickets = stream->tickets;
    return cuda_launched(kernel_bias_grad(&sum, stream->handle), "bias gradient");
}

/* The plan for arguments x, w and y of desc. */
static hff_status make_plan(struct cuda_backend *backend, struct conv_op *op, enum cuda_conv_kind kind,
                            const struct op_desc *desc, const int arg[3], enum dtype result, int bias)
{
    struct cuda_view x, y;
    TRY(cuda_view(desc, arg[0], &x));
    TRY(cuda_view(desc, arg[2], &y));
    enum precision precision = backend->precision == PRECISION_F32 ? PRECISION_F32 : PRECISION_TF32;
    struct cuda_conv_desc want = {.kind = kind,
                                  .dtype = x.dtype,
                                  .result = result,
                                  .precision = x.dtype == DTYPE_F32 ? precision : PRECISION_F32,
                                  .bias = bias,
                                  .batch = x.batch,
                                  .in = x.pitch,
                                  .height = x.height,
                                  .width = x.width,
                                  .out = y.pitch,
                                  .out_height = y.height,
                                  .out_width = y.width,
                                  .kernel = desc->attr.conv.kernel,
                                  .stride = desc->attr.conv.stride,
                                  .pad = desc->attr.conv.pad};
    op->bias = (struct kernel_bias_args){
        .dtype = y.dtype, .act = ACT_NONE, .rows = cuda_view_rows(&y), .channels = y.channels, .pitch = y.pitch};
    TRY(cuda_tuned_conv(backend, &want, &op->conv));
    op->conv_bytes = cuda_round(cuda_calls.conv_workspace(op->conv));
    return HFF_OK;
}

CUDA_CREATE(conv)
{
    static const int arg[3] = {0, 1, 3};
    struct conv_op *op;
    TRY(cuda_op_new(backend, desc, sizeof *op, conv_run, &op));
    *out = &op->base;
    op->base.destroy = conv_destroy;
    TRY(cuda_filter_tensor(backend, &desc->arg[1], desc->arg[0].dtype, &op->base.op.desc.arg[1]));
    if (desc->arg[2].rank > 0) {
        hff_status status = make_plan(backend, op, CUDA_CONV, desc, arg, desc->arg[0].dtype, 1);
        op->fused = status == HFF_OK;
        if (status != HFF_E_CONFIG) TRY(status);
    }
    if (!op->fused) TRY(make_plan(backend, op, CUDA_CONV, desc, arg, desc->arg[0].dtype, 0));
    op->base.workspace = op->conv_bytes;
    if (op->fused && op->bias.channels < op->bias.pitch) {
        op->bias_at = op->base.workspace;
        op->base.workspace += cuda_round((size_t)op->bias.pitch * sizeof(float));
    }
    return HFF_OK;
}

CUDA_CREATE(conv_data)
{
    static const int arg[3] = {2, 1, 0};
    struct conv_op *op;
    TRY(cuda_op_new(backend, desc, sizeof *op, conv_data_run, &op));
    *out = &op->base;
    op->base.destroy = conv_destroy;
    TRY(cuda_filter_tensor(backend, &desc->arg[1], desc->arg[0].dtype, &op->base.op.desc.arg[1]));
    TRY(make_plan(backend, op, CUDA_CONV_DATA, desc, arg, desc->arg[0].dtype, 0));
    op->base.workspace = op->conv_bytes;
    return HFF_OK;
}

/* The gradient in f32 where there is such a plan, else in the activations' type. */
CUDA_CREATE(conv_weight)
{
    static const int arg[3] = {0, 2, 1};
    struct conv_op *op;
    TRY(cuda_op_new(backend, desc, sizeof *op, conv_weight_run, &op));
    *out = &op->base;
    op->base.destroy = conv_destroy;
    enum dtype result = DTYPE_F32;
    hff_status status = make_plan(backend, op, CUDA_CONV_WEIGHT, desc, arg, result, 0);
    if (status == HFF_E_CONFIG && desc->arg[0].dtype != DTYPE_F32) {
        result = desc->arg[0].dtype;
        status = make_plan(backend, op, CUDA_CONV_WEIGHT, desc, arg, result, 0);
    }
    TRY(status);
    TRY(cuda_filter_tensor(backend, &desc->arg[2], result, &op->base.op.desc.arg[2]));
    size_t sums = desc->arg[3].rank ? cuda_round(kernel_bias_grad_workspace(&op->bias)) : 0;
    op->base.workspace = op->conv_bytes + sums;
    return HFF_OK;
}
