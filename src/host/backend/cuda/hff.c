/* hff, hff_eval: src/kernels/head*.cu. A head that fits makes its products itself; a larger one walks over the batch in
 * tiles and asks for each product, which cuBLASLt makes. Plans: three for whole tiles, three for the last one. */
#include "cuda.h"

#include <limits.h>
#include <stdlib.h>

enum { KINDS = PRODUCT_DP + 1, LIMIT = 64 << 20 };

struct hff_op {
    struct cuda_op base;
    struct kernel_hff_args args;
    struct kernel_hff_plan plan;
    struct cuda_product *product[KINDS][2]; /* of a whole tile; of the last one. DP: of the first tile; of later ones */
    struct cuda_product *last_dp;           /* of the last tile, where that is smaller than others */
    size_t tiled;                           /* bytes of the plan's part of the workspace; 0: the head fits */
};

/* What a product needs beside its own arguments. */
struct hff_run {
    struct hff_op *op;
    void *workspace; /* of the products */
};

static void hff_destroy(struct cuda_op *base)
{
    struct hff_op *op = (struct hff_op *)base;
    for (int i = 0; i < KINDS; i++)
        for (int k = 0; k < 2; k++)
            if (op->product[i][k]) cuda_calls.product_destroy(op->product[i][k]);
    if (op->last_dp) cuda_calls.product_destroy(op->last_dp);
}

static struct cuda_product *product_for(const struct hff_op *op, const struct kernel_product_args *p)
{
    if (p->kind == PRODUCT_DP && p->add && p->k < op->plan.tile) return op->last_dp;
    if (p->kind == PRODUCT_DP) return op->product[p->kind][p->add != 0];
    return op->product[p->kind][p->m < op->plan.tile && op->product[p->kind][1]];
}

static int run_product(void *context, const struct kernel_product_args *p, kernel_stream stream)
{
    const struct hff_run *run = context;
    return cuda_calls.product_run(product_for(run->op, p), stream, p->a, p->b, p->c, NULL, run->workspace) == HFF_OK
               ? KERNEL_OK
               : INT_MAX; /* said already */
}

static hff_status plan_product(struct hff_op *op, enum kernel_product kind, int samples, int add,
                               struct cuda_product **out)
{
    struct cuda_backend *backend = (struct cuda_backend *)op->base.op.backend;
    const struct kernel_hff_args *a = &op->args;
    int64_t rows = (int64_t)a->classes * a->per_class, width = a->width;
    struct cuda_product_desc want = {.add = add, .result = DTYPE_F32};
    want.dtype = a->math == MATH_BF16 ? DTYPE_BF16 : DTYPE_F32;
    want.precision = a->math == MATH_TF32 ? PRECISION_TF32 : PRECISION_F32;
    want.m = kind == PRODUCT_DP ? rows : samples;
    want.n = kind == PRODUCT_COS ? rows : width;
    want.k = kind == PRODUCT_COS ? width : kind == PRODUCT_DZ ? rows : samples;
    want.lda = kind == PRODUCT_COS ? op->plan.width_pitch : op->plan.rows_pitch;
    want.ldb = op->plan.width_pitch;
    want.ldc = kind == PRODUCT_COS ? op->plan.rows_pitch : op->plan.width_pitch;
    want.transpose_a = kind == PRODUCT_DP;
    want.transpose_b = kind == PRODUCT_COS;
    TRY(cuda_calls.product_plan(backend->library, &want, out));
    size_t bytes = op->tiled + cuda_round(cuda_calls.product_workspace(*out));
    if (bytes > op->base.workspace) op->base.workspace = bytes;
    return HFF_OK;
}

static hff_status plan_tiles(struct hff_op *op, const struct op_desc *desc)
{
    const struct kernel_hff_args *a = &op->args;
    if (kernel_hff_plan(a, LIMIT, &op->plan) != KERNEL_OK) return cuda_refuse(desc, "the head is too large");
    op->base.workspace = op->tiled = cuda_round(op->plan.bytes);
    int tile = op->plan.tile < a->batch ? op->plan.tile : a->batch, last = a->batch % tile;
    for (int kind = PRODUCT_COS; kind <= (a->eval ? PRODUCT_COS : PRODUCT_DZ); kind++) {
        TRY(plan_product(op, (enum kernel_product)kind, tile, 0, &op->product[kind][0]));
        if (last) TRY(plan_product(op, (enum kernel_product)kind, last, 0, &op->product[kind][1]));
    }
    if (a->eval || desc->arg[8].rank == 0) return HFF_OK;
    TRY(plan_product(op, PRODUCT_DP, tile, 0, &op->product[PRODUCT_DP][0]));
    if (tile < a->batch) TRY(plan_product(op, PRODUCT_DP, tile, 1, &op->product[PRODUCT_DP][1]));
    if (last) TRY(plan_product(op, PRODUCT_DP, last, 1, &op->last_dp));
    return HFF_OK;
}

static hff_status run(struct hff_op *op, const struct kernel_hff_args *given, struct stream *stream, void *workspace)
{
    struct kernel_hff_args a = *given;
    a.workspace = workspace;
    if (!op->tiled) return cuda_launched(kernel_hff(&a, stream->handle), "hff");
    struct hff_run context = {op, (char *)workspace + op->tiled};
    int returned = kernel_hff_tiled(&a, &op->plan, run_product, &context, stream->handle);
    return returned == INT_MAX ? HFF_E_DEVICE : cuda_launched(returned, "hff");
}

static hff_status hff_run(struct cuda_op *base, struct stream *stream, void *const *args, void *workspace)
{
    struct hff_op *op = (struct hff_op *)base;
    const struct op_desc *desc = &base->op.desc;
    struct kernel_hff_args a = op->args;
    a.e = args[0];
    a.p = args[1];
    a.log_scale = args[2];
    a.y1 = args[3];
    a.y2 = args[4];
    a.weight = args[5];
    a.scores = args[6];
    a.de = args[7];
    a.dp = desc->arg[8].rank ? args[8] : NULL;
    a.dlog_scale = desc->arg[9].rank ? args[9] : NULL;
    a.metrics = args[10];
    a.wins = desc->arg[11].rank ? args[11] : NULL;
    a.p_half = desc->arg[12].rank ? args[12] : NULL;
    return run(op, &a, stream, workspace);
}

static hff_status hff_eval_run(struct cuda_op *base, struct stream *stream, void *const *args, void *workspace)
{
    struct hff_op *op = (struct hff_op *)base;
    struct kernel_hff_args a = op->args;
    a.e = args[0];
    a.p = args[1];
    a.log_scale = args[2];
    a.y1 = args[3];
    a.weight = args[4];
    a.scores = args[5];
    a.metrics = args[6];
    a.p_half = base->op.desc.arg[7].rank ? args[7] : NULL;
    return run(op, &a, stream, workspace);
}

static hff_status create(struct cuda_backend *backend, const struct op_desc *desc, struct cuda_op **out, int eval,
                         hff_status (*function)(struct cuda_op *, struct stream *, void *const *, void *))
{
    struct hff_op *op;
    TRY(cuda_op_new(backend, desc, sizeof *op, function, &op));
    *out = &op->base;
    op->base.destroy = hff_destroy;
    const int64_t *p = desc->arg[1].dim;
    if (desc->arg[0].dim[0] > INT_MAX || p[2] > INT_MAX || p[0] * p[1] > INT_MAX)
        return cuda_refuse(desc, "the head is too large");
    op->args = (struct kernel_hff_args){.batch = (int)desc->arg[0].dim[0],
                                        .width = (int)p[2],
                                        .classes = (int)p[0],
                                        .per_class = (int)p[1],
                                        .math = cuda_math(backend),
                                        .eval = eval,
                                        .loss = desc->attr.hff.loss,
                                        .margin = eval ? 0 : desc->attr.hff.margin,
                                        .smoothing = eval ? 0 : desc->attr.hff.smoothing,
                                        .discount = eval ? 0 : desc->attr.hff.discount,
                                        .global_batch = desc->attr.hff.global_batch};
    if (op->args.math == MATH_BF16 &&
        (p[2] % 8 == 0 || kernel_hff_fits(&op->args))) { /* rounded once, not in every step */
        struct tensor *copy = &op->base.op.desc.arg[eval ? 7 : 12];
        *copy = tensor_plain(DTYPE_BF16, 3, p);
        op->args.p_half = copy; /* for sizes only its presence counts */
    }
    if (!kernel_hff_fits(&op->args)) return plan_tiles(op, desc);
    op->base.workspace = kernel_hff_workspace(&op->args);
    return HFF_OK;
}

CUDA_CREATE(hff)
{
    return create(backend, desc, out, 0, hff_run);
}

CUDA_CREATE(hff_eval)
{
    return create(backend, desc, out, 1, hff_eval_run);
}
