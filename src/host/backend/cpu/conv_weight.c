/* conv_weight: a slice is a task, which leaves its part of dw and dbias; then the parts are added up along the tree, a
 * chunk of them a task. Part 0 is where the result belongs. */
#include "conv.h"
#include "winograd.h"

enum { CHUNK = 4096 }; /* floats: the chunks of a few parts fit a core's cache */

/* The workspace: rooms of threads, part 0 of dw where it is moved at the end, parts 1, 2, ... of dw, then those of
 * dbias. */
static float *weight_part(const struct conv_op *op, int s)
{
    if (s == 0 && !op->moves_w) return op->args[op->role.w];
    char *parts = op->workspace + op->thread_bytes * (size_t)op->base.op.backend->threads;
    return (float *)(parts + (size_t)(s - !op->moves_w) * op->w_bytes);
}

static float *bias_part(const struct conv_op *op, int s)
{
    if (!op->bias_bytes) return NULL;
    if (s == 0) return op->args[op->role.bias];
    char *parts = (char *)weight_part(op, op->base.op.desc.slices);
    return (float *)(parts + (size_t)(s - 1) * op->bias_bytes);
}

static void slice_task(void *context, int task, int thread)
{
    struct conv_op *op = context;
    conv_piece(op, task, thread, weight_part(op, task), bias_part(op, task));
}

CPU_SIMD static void add(float *into, const float *from, int64_t count)
{
    for (int64_t i = 0; i < count; i++) into[i] += from[i];
}

/* The last task adds the parts of dbias. */
static void tree_task(void *context, int task, int thread)
{
    (void)thread;
    const struct conv_op *op = context;
    const struct tensor *bias = &op->base.op.desc.arg[op->role.bias];
    struct cut cut = cut_exact((int64_t)(tensor_bytes(&op->w) / sizeof(float)), CHUNK);
    int slices = op->base.op.desc.slices;
    if (task == cut.count) {
        TREE (slices, into, from) add(bias_part(op, into), bias_part(op, from), bias->dim[0]);
        return;
    }
    int64_t start = cut_start(&cut, task), count = cut_length(&cut, task);
    TREE (slices, into, from) add(weight_part(op, into) + start, weight_part(op, from) + start, count);
}

static hff_status weight_run(struct cpu_op *base, struct team *team, void *const *args, void *workspace)
{
    struct conv_op *op = (struct conv_op *)base;
    op->args = args;
    op->workspace = workspace;
    op->refused = 0;
    team_run(team, op->pieces, slice_task, op);
    TRY(conv_outcome(op));
    struct cut cut = cut_exact((int64_t)(tensor_bytes(&op->w) / sizeof(float)), CHUNK);
    if (base->op.desc.slices > 1) team_run(team, cut.count + (op->bias_bytes ? 1 : 0), tree_task, op);
    return op->moves_w ? weight_move_run(&op->move, team, args[op->role.w], weight_part(op, 0), workspace) : HFF_OK;
}

hff_status cpu_conv_weight_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    int64_t samples;
    TRY(slice_samples(desc, &samples));
    if (winograd_fits(backend, desc, CONV_WEIGHT)) return winograd_weight_create(backend, desc, out);
    struct conv_op *op;
    TRY(conv_create(backend, desc, CONV_WEIGHT, samples, &op));
    op->bias_bytes = desc->arg[3].rank ? align64(tensor_bytes(&desc->arg[3])) : 0;
    op->base.workspace += (size_t)(desc->slices - 1) * (op->w_bytes + op->bias_bytes);
    op->base.run = weight_run;
    *out = &op->base;
    return HFF_OK;
}
