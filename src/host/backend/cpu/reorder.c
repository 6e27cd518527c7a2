/* reorder: activations sample by sample, weights (which may lie as only oneDNN knows) by oneDNN. */
#include "convert.h"
#include "tiles.h"

#include <stdlib.h>

enum { TASK_BYTES = 64 << 10 }; /* samples of about so many bytes make a task */

/* An op that moves samples. */
struct samples_op {
    struct cpu_op base;
    int64_t piece;
};

struct samples_run {
    const struct samples_op *op;
    const char *in;
    char *out;
};

static void samples_task(void *context, int task, int thread)
{
    (void)thread;
    const struct samples_run *run = context;
    const struct tensor *from = &run->op->base.op.desc.arg[0], *to = &run->op->base.op.desc.arg[1];
    int64_t first = task * run->op->piece, left = from->dim[0] - first;
    int64_t samples = left < run->op->piece ? left : run->op->piece;
    convert_samples(to, run->out + (size_t)first * tensor_row_bytes(to), from,
                    run->in + (size_t)first * tensor_row_bytes(from), samples);
}

static hff_status samples_run(struct cpu_op *base, struct team *team, void *const *args, void *workspace)
{
    (void)workspace;
    const struct samples_op *op = (const struct samples_op *)base;
    struct samples_run run = {op, args[0], args[1]};
    team_run(team, (int)((base->op.desc.arg[0].dim[0] + op->piece - 1) / op->piece), samples_task, &run);
    return HFF_OK;
}

static hff_status samples_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    struct samples_op *op = cpu_op_new(backend, desc, sizeof *op);
    if (!op) return HFF_E_MEMORY;
    int64_t row = (int64_t)tensor_row_bytes(&desc->arg[1]);
    op->piece = row < TASK_BYTES ? TASK_BYTES / row : 1;
    op->base.run = samples_run;
    *out = &op->base;
    return HFF_OK;
}

/* An op that moves weights. */
struct weights_op {
    struct cpu_op base;
    struct weight_move move;
};

static hff_status weights_run(struct cpu_op *base, struct team *team, void *const *args, void *workspace)
{
    const struct weights_op *op = (const struct weights_op *)base;
    return weight_move_run(&op->move, team, args[1], args[0], workspace);
}

static void weights_destroy(struct cpu_op *op)
{
    weight_move_free(&((struct weights_op *)op)->move);
}

static hff_status weights_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    struct weights_op *op = cpu_op_new(backend, desc, sizeof *op);
    if (!op) return HFF_E_MEMORY;
    struct mem_layout from = {0}, to = {0};
    hff_status status = layout_of(&from, &desc->arg[0]);
    if (status == HFF_OK) status = layout_of(&to, &desc->arg[1]);
    if (status == HFF_OK) status = weight_move_create(&op->move, &to, &from);
    layout_free(&from);
    layout_free(&to);
    if (status != HFF_OK) {
        free(op);
        return status;
    }
    op->base.workspace = op->move.scratch * (size_t)backend->base.threads;
    op->base.run = weights_run;
    op->base.destroy = weights_destroy;
    *out = &op->base;
    return HFF_OK;
}

hff_status cpu_reorder_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    const struct tensor *from = &desc->arg[0], *to = &desc->arg[1];
    TRY(cpu_check_types(desc));
    if (tensor_count(from) != tensor_count(to) || from->layout == LAYOUT_ANY || to->layout == LAYOUT_ANY)
        return fail(HFF_E_CONFIG, "reorder needs two layouts of the same elements");
    if (from->layout == LAYOUT_OPAQUE || to->layout == LAYOUT_OPAQUE) return weights_create(backend, desc, out);
    if (from->dim[0] != to->dim[0]) return fail(HFF_E_CONFIG, "reorder keeps the first dimension");
    return samples_create(backend, desc, out);
}
