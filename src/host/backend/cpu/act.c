/* act and act_back: element by element, so a task is a few samples' memory in whatever layout, padding lanes included.
 * Bytes: act reads x, writes y; act_back reads x and dy, writes dx. */
#include "groups.h"

struct act_op {
    struct cpu_op base;
    struct groups groups;
    struct cut cut; /* samples */
};

struct act_run {
    const struct act_op *op;
    const void *x, *dy; /* dy NULL: forward */
    void *out;
};

enum { TASK_ELEMENTS = 32768 };

INLINE void act_elements(enum act act, enum dtype type, const void *x, const void *dy, void *out, int64_t first,
                         int64_t end)
{
    if (dy)
#pragma omp simd
        for (int64_t i = first; i < end; i++)
            element_put(type, out, i, element_get(type, dy, i) * act_slope(act, element_get(type, x, i)));
    else
#pragma omp simd
        for (int64_t i = first; i < end; i++) element_put(type, out, i, act_value(act, element_get(type, x, i)));
}

CPU_SIMD static void act_range(enum act act, enum dtype type, const struct act_run *run, int64_t first, int64_t end)
{
#define CALL(name, word, value, slope)                                                                                 \
    case ACT_##name:                                                                                                   \
        if (type == DTYPE_BF16)                                                                                        \
            act_elements(ACT_##name, DTYPE_BF16, run->x, run->dy, run->out, first, end);                               \
        else                                                                                                           \
            act_elements(ACT_##name, DTYPE_F32, run->x, run->dy, run->out, first, end);                                \
        break;
    EACH_ACT(act, CALL)
#undef CALL
}

/* An activation need not be 0 at 0: the last group's padding lanes of some samples become 0 again. */
static void zero_padding(const struct groups *groups, void *out, int64_t sample, int64_t count)
{
    int channels = group_channels(groups, groups->count - 1), lanes = groups->lanes;
    for (int64_t b = sample; b < sample + count; b++) {
        int64_t line = b * groups->row + (int64_t)(groups->count - 1) * groups->area * lanes;
        for (int64_t i = 0; i < groups->area; i++, line += lanes)
            for (int l = channels; l < lanes; l++) element_put(groups->type, out, line + l, 0);
    }
}

static void act_task(void *context, int task, int thread)
{
    const struct act_run *run = context;
    const struct act_op *op = run->op;
    const struct groups *groups = &op->groups;
    int64_t sample = cut_start(&op->cut, task), count = cut_length(&op->cut, task);
    (void)thread;
    act_range(op->base.op.desc.attr.act.act, groups->type, run, sample * groups->row, (sample + count) * groups->row);
    if (groups->blocked && groups->channels % groups->lanes) zero_padding(groups, run->out, sample, count);
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
    op->cut = cut_exact(x->dim[0], groups.row < TASK_ELEMENTS ? TASK_ELEMENTS / groups.row : 1);
    op->base.run = act_run;
    *out = &op->base;
    return HFF_OK;
}

hff_status cpu_act_back_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    return cpu_act_create(backend, desc, out);
}
