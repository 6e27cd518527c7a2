/* grad_norm, adamw, sgd, retract, clamp: src/kernels/update.cu, grad_norm.cu. */
#include "cuda.h"

struct norm_op {
    struct cuda_op base;
    struct kernel_grad grad[GRAD_GROUPS];
    int from[GRAD_GROUPS]; /* the argument that a gradient is */
    struct kernel_grad_norm_args args;
};

static hff_status grad_norm_run(struct cuda_op *base, struct stream *stream, void *const *args, void *workspace)
{
    struct norm_op *op = (struct norm_op *)base;
    struct kernel_grad grad[GRAD_GROUPS];
    struct kernel_grad_norm_args a = op->args;
    for (int i = 0; i < a.grads; i++) grad[i] = (struct kernel_grad){args[op->from[i]], op->grad[i].count};
    a.grad = grad;
    a.hyper = args[GRAD_GROUPS];
    a.norm = args[GRAD_GROUPS + 1];
    a.workspace = workspace;
    a.tickets = stream->tickets;
    return cuda_launched(kernel_grad_norm(&a, stream->handle), "grad_norm");
}

CUDA_CREATE(grad_norm)
{
    struct norm_op *op;
    TRY(cuda_op_new(backend, desc, sizeof *op, grad_norm_run, &op));
    *out = &op->base;
    op->args.clip = desc->attr.grad_norm.clip;
    for (int i = 0; i < GRAD_GROUPS; i++) {
        if (desc->arg[i].rank == 0) continue;
        op->from[op->args.grads] = i;
        op->grad[op->args.grads++].count = tensor_count(&desc->arg[i]);
        if (i < GRAD_GROUPS_BODY) op->args.body = op->args.grads;
    }
    op->args.grad = op->grad;
    op->base.workspace = kernel_grad_norm_workspace(&op->args);
    return HFF_OK;
}

struct update_op {
    struct cuda_op base;
    int64_t first[GRAD_GROUPS]; /* where parts begin */
    struct kernel_param part[GRAD_GROUPS];
    struct kernel_update_args args;
};

/* p, g, m and v as the arguments have them; m, v: NULL where there are none. */
static void fill_parts(const struct update_op *op, float *p, const float *g, float *m, float *v,
                       struct kernel_param *part)
{
    for (int i = 0; i < op->args.params; i++) {
        int64_t first = op->first[i];
        part[i] = op->part[i];
        part[i].p = p + first;
        part[i].g = g + first;
        part[i].m = m ? m + first : NULL;
        part[i].v = v ? v + first : NULL;
    }
}

static hff_status adamw_run(struct cuda_op *base, struct stream *stream, void *const *args, void *workspace)
{
    (void)workspace;
    const struct update_op *op = (const struct update_op *)base;
    struct kernel_param part[GRAD_GROUPS];
    struct kernel_update_args a = op->args;
    fill_parts(op, args[0], args[1], args[2], args[3], part);
    a.param = part;
    a.hyper = args[4];
    a.norm = args[5];
    return cuda_launched(kernel_adamw(&a, stream->handle), "adamw");
}

static hff_status sgd_run(struct cuda_op *base, struct stream *stream, void *const *args, void *workspace)
{
    (void)workspace;
    const struct update_op *op = (const struct update_op *)base;
    struct kernel_param part[GRAD_GROUPS];
    struct kernel_update_args a = op->args;
    fill_parts(op, args[0], args[1], base->op.desc.arg[2].rank ? args[2] : NULL, NULL, part);
    a.param = part;
    a.hyper = args[3];
    a.norm = args[4];
    return cuda_launched(kernel_sgd(&a, stream->handle), "sgd");
}

static hff_status create(struct cuda_backend *backend, const struct op_desc *desc, const struct update_parts *parts,
                         struct cuda_op **out,
                         hff_status (*run)(struct cuda_op *, struct stream *, void *const *, void *))
{
    struct update_op *op;
    TRY(cuda_op_new(backend, desc, sizeof *op, run, &op));
    *out = &op->base;
    op->args.params = parts->count;
    for (int i = 0; i < parts->count; i++) {
        op->first[i] = parts->part[i].first;
        op->part[i] = (struct kernel_param){.count = parts->part[i].count,
                                            .lr_factor = (float)parts->part[i].lr_factor,
                                            .decay = (float)parts->part[i].decay};
    }
    return HFF_OK;
}

CUDA_CREATE(adamw)
{
    TRY(create(backend, desc, &desc->attr.adamw.parts, out, adamw_run));
    struct update_op *op = (struct update_op *)*out;
    op->args.beta1 = desc->attr.adamw.beta1;
    op->args.beta2 = desc->attr.adamw.beta2;
    op->args.eps = desc->attr.adamw.eps;
    return HFF_OK;
}

CUDA_CREATE(sgd)
{
    TRY(create(backend, desc, &desc->attr.sgd.parts, out, sgd_run));
    struct update_op *op = (struct update_op *)*out;
    op->args.momentum = desc->attr.sgd.momentum;
    op->args.nesterov = desc->attr.sgd.nesterov;
    return HFF_OK;
}

static hff_status retract_run(struct cuda_op *base, struct stream *stream, void *const *args, void *workspace)
{
    (void)workspace;
    const struct tensor *p = &base->op.desc.arg[0];
    int64_t width = p->dim[p->rank - 1];
    struct kernel_retract_args a = {
        .p = args[0], .rows = tensor_count(p) / width, .width = (int)width, .norm = args[1]};
    return cuda_launched(kernel_retract(&a, stream->handle), "retract");
}

static hff_status clamp_run(struct cuda_op *base, struct stream *stream, void *const *args, void *workspace)
{
    (void)workspace;
    const struct op_desc *desc = &base->op.desc;
    struct kernel_clamp_args a = {.p = args[0],
                                  .count = tensor_count(&desc->arg[0]),
                                  .lo = desc->attr.clamp.lo,
                                  .hi = desc->attr.clamp.hi,
                                  .norm = args[1]};
    return cuda_launched(kernel_clamp(&a, stream->handle), "clamp");
}

CUDA_CREATE(retract)
{
    return cuda_op_new(backend, desc, sizeof(struct cuda_op), retract_run, out);
}

CUDA_CREATE(clamp)
{
    return cuda_op_new(backend, desc, sizeof(struct cuda_op), clamp_run, out);
}
