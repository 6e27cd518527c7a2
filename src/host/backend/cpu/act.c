/* act and act_back: element by element, so a task is a few samples' memory in whatever layout, padding lanes included.
 * Bytes: act reads x, writes y: 8 an element; act_back reads x and dy, writes dx: 12. */
#include "groups.h"

struct act_op {
    struct cpu_op base;
    struct groups groups;
    struct cut cut; /* samples */
};

struct act_run {
    const struct act_op *op;
    const float *x, *dy; /* dy NULL: forward */
    float *out;
};

enum { TASK_FLOATS = 32768 };

INLINE void forward_floats(enum act act, const float *x, float *y, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) y[i] = act_value(act, x[i]);
}

INLINE void back_floats(enum act act, const float *x, const float *dy, float *dx, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) dx[i] = dy[i] * act_slope(act, x[i]);
}

CPU_SIMD static void act_floats(enum act act, const float *x, const float *dy, float *out, int64_t n)
{
#define CALL(name, word, value, slope)                                                                                 \
    case ACT_##name:                                                                                                   \
        if (dy)                                                                                                        \
            back_floats(ACT_##name, x, dy, out, n);                                                                    \
        else                                                                                                           \
            forward_floats(ACT_##name, x, out, n);                                                                     \
        break;
    EACH_ACT(act, CALL)
#undef CALL
}

/* An activation need not be 0 at 0: the last group's padding lanes of some samples become 0 again. */
static void zero_padding(const struct groups *groups, float *samples, int64_t count)
{
    int channels = group_channels(groups, groups->count - 1), lanes = groups->lanes;
    for (int64_t b = 0; b < count; b++) {
        float *line = samples + b * groups->row + (int64_t)(groups->count - 1) * groups->area * lanes;
        for (int64_t i = 0; i < groups->area; i++, line += lanes)
            for (int l = channels; l < lanes; l++) line[l] = 0;
    }
}

static void act_task(void *context, int task, int thread)
{
    const struct act_run *run = context;
    const struct act_op *op = run->op;
    int64_t first = cut_start(&op->cut, task) * op->groups.row, count = cut_length(&op->cut, task);
    (void)thread;
    act_floats(op->base.op.desc.attr.act.act, run->x + first, run->dy ? run->dy + first : NULL, run->out + first,
               count * op->groups.row);
    if (op->groups.blocked && op->groups.channels % op->groups.lanes)
        zero_padding(&op->groups, run->out + first, count);
}

static hff_status act_run(struct cpu_op *base, struct team *team, void *const *args, void *workspace)
{
    const struct act_op *op = (const struct act_op *)base;
    int back = base->op.desc.kind == OP_ACT_BACK;
    struct act_run run = {op, args[0], back ? args[1] : NULL, args[back ? 2 : 1]};
    (void)workspace;
    team_run(team, op->cut.count, act_task, &run);
    return HFF_OK;
}

hff_status cpu_act_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    struct groups groups;
    const struct tensor *x = &desc->arg[0];
    TRY(groups_make(&groups, x, 1));
    for (int i = 1; i < op_table[desc->kind].args; i++) TRY(groups_same(x, &desc->arg[i]));
    struct act_op *op = cpu_op_new(backend, desc, sizeof *op);
    if (!op) return HFF_E_MEMORY;
    op->groups = groups;
    op->cut = cut_exact(x->dim[0], groups.row < TASK_FLOATS ? TASK_FLOATS / groups.row : 1);
    op->base.run = act_run;
    *out = &op->base;
    return HFF_OK;
}

hff_status cpu_act_back_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    return cpu_act_create(backend, desc, out);
}
