/* norm_eval: batch norm with the running statistics. A task is a sample of one group of channels.
 * Bytes: reads x, writes y: 2 times x. */
#include "norm.h"

#include <math.h>

struct eval_op {
    struct cpu_op base;
    struct groups groups;
    int64_t slices; /* the batch in single samples where these lie apart, else in one */
};

struct eval_run {
    const struct eval_op *op;
    const void *x;
    void *y;
    struct norm_lanes *lanes;
    float *space; /* CHUNK lines for each thread, for layouts that are copied */
};

static void eval_task(void *context, int task, int thread)
{
    const struct eval_run *run = context;
    const struct groups *groups = &run->op->groups;
    int group = task % groups->count, slice = task / groups->count;
    float *space = run->space + (size_t)thread * CHUNK * LANES;
    for (int64_t i = 0; i < groups->chunks; i++) {
        struct chunk chunk = chunk_at(groups, slice, i);
        const void *x = chunk_get(groups, group, &chunk, run->x, space);
        void *y = chunk_room(groups, group, &chunk, run->y, space);
        norm_lines(run->op->base.op.desc.attr.norm.act, groups, &run->lanes[group], x, y, chunk.count);
        chunk_put(groups, group, &chunk, run->y, y);
    }
}

static void eval_lanes(const struct eval_op *op, void *const *args, int group, struct norm_lanes *n)
{
    group_channel_values(&op->groups, group, args[1], n->gamma);
    group_channel_values(&op->groups, group, args[2], n->beta);
    group_channel_values(&op->groups, group, args[3], n->mean);
    group_channel_values(&op->groups, group, args[4], n->invstd);
    for (int l = 0; l < op->groups.lanes; l++)
        n->invstd[l] = (float)(1 / sqrt(n->invstd[l] + op->base.op.desc.attr.norm.eps));
}

static hff_status eval_run(struct cpu_op *base, struct team *team, void *const *args, void *workspace)
{
    const struct eval_op *op = (const struct eval_op *)base;
    struct norm_lanes *lanes = workspace;
    struct eval_run run = {op, args[0], args[5], lanes, (float *)(lanes + op->groups.count)};
    for (int group = 0; group < op->groups.count; group++) eval_lanes(op, args, group, &lanes[group]);
    team_run(team, (int)op->slices * op->groups.count, eval_task, &run);
    return HFF_OK;
}

hff_status cpu_norm_eval_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    struct groups groups;
    const struct tensor *x = &desc->arg[0];
    int64_t slices = tensor_row(x) == x->dim[1] ? 1 : x->dim[0];
    TRY(groups_make(&groups, x, (int)slices));
    TRY(groups_same(x, &desc->arg[5]));
    struct eval_op *op = cpu_op_new(backend, desc, sizeof *op);
    if (!op) return HFF_E_MEMORY;
    op->groups = groups;
    op->slices = slices;
    op->base.workspace = (size_t)groups.count * sizeof(struct norm_lanes) +
                         (size_t)backend->base.threads * sizeof(float) * CHUNK * LANES;
    op->base.run = eval_run;
    *out = &op->base;
    return HFF_OK;
}
