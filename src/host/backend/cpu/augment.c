/* augment: a batch of images from those that are kept. A task is a sample.
 * Bytes: reads an image's bytes (with a partner two images'), writes its floats. */
#include "../augment.h"
#include "convert.h"
#include "tiles.h"

struct augment_op {
    struct cpu_op base;
    struct tensor row; /* a batch of plain floats; what x is made of where it is anything else */
    int direct;        /* x is such a batch */
    size_t scratch;    /* bytes of a thread, of which so many come before a sample's floats */
    size_t floats;
};

struct augment_run {
    const struct augment_op *op;
    void *const *args;
    char *workspace;
};

static void augment_task(void *context, int task, int thread)
{
    const struct augment_run *run = context;
    const struct augment_op *op = run->op;
    const struct op_desc *d = &op->base.op.desc;
    char *scratch = run->workspace + (size_t)thread * op->scratch;
    void *x = (char *)run->args[6] + (size_t)task * tensor_row_bytes(&d->arg[6]);
    float *floats = op->direct ? x : (float *)(scratch + op->floats);
    augment_row(d, run->args, task, scratch, floats);
    if (!op->direct) convert_samples(&d->arg[6], x, &op->row, floats, 1);
}

static hff_status augment_run(struct cpu_op *base, struct team *team, void *const *args, void *workspace)
{
    struct augment_run run = {(const struct augment_op *)base, args, workspace};
    team_run(team, (int)base->op.desc.arg[6].dim[0], augment_task, &run);
    return HFF_OK;
}

hff_status cpu_augment_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    const struct tensor *x = &desc->arg[6];
    TRY(cpu_check_types(desc));
    struct augment_op *op = cpu_op_new(backend, desc, sizeof *op);
    if (!op) return HFF_E_MEMORY;
    op->row = tensor_plain(DTYPE_F32, x->rank, x->dim);
    op->direct = tensor_same(x, &op->row);
    op->floats = op->scratch = (augment_scratch(desc) + 63) / 64 * 64;
    if (!op->direct) op->scratch += (tensor_row_bytes(&op->row) + 63) / 64 * 64;
    op->base.workspace = (size_t)backend->base.threads * op->scratch;
    op->base.run = augment_run;
    *out = &op->base;
    return HFF_OK;
}
