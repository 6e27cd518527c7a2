/* add: y = a + b, element by element, so a task is a few samples' memory in whatever layout; padding lanes stay 0.
 * Bytes: reads a and b, writes y. */
#include "groups.h"

struct add_op {
    struct cpu_op base;
    enum dtype type;
    int64_t row;    /* of a sample, in memory */
    struct cut cut; /* samples */
};

struct add_run {
    const struct add_op *op;
    const void *a, *b;
    void *y;
};

enum { TASK_ELEMENTS = 32768 };

INLINE void add_range(enum dtype type, const void *a, const void *b, void *y, int64_t first, int64_t end)
{
#pragma omp simd
    for (int64_t i = first; i < end; i++) element_put(type, y, i, element_get(type, a, i) + element_get(type, b, i));
}

CPU_SIMD static void add_samples(enum dtype type, const struct add_run *run, int64_t first, int64_t end)
{
    if (type == DTYPE_BF16)
        add_range(DTYPE_BF16, run->a, run->b, run->y, first, end);
    else
        add_range(DTYPE_F32, run->a, run->b, run->y, first, end);
}

static void add_task(void *context, int task, int thread)
{
    const struct add_run *run = context;
    const struct add_op *op = run->op;
    int64_t first = cut_start(&op->cut, task) * op->row;
    (void)thread;
    add_samples(op->type, run, first, first + cut_length(&op->cut, task) * op->row);
}

static hff_status add_run(struct cpu_op *base, struct team *team, void *const *args, void *workspace)
{
    const struct add_op *op = (const struct add_op *)base;
    struct add_run run = {op, args[0], args[1], args[2]};
    (void)workspace;
    team_run(team, op->cut.count, add_task, &run);
    return HFF_OK;
}

hff_status cpu_add_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    struct groups groups;
    TRY(groups_make(&groups, &desc->arg[0], 1));
    for (int i = 1; i < op_table[desc->kind].args; i++) TRY(groups_same(&desc->arg[0], &desc->arg[i]));
    struct add_op *op = cpu_op_new(backend, desc, sizeof *op);
    if (!op) return HFF_E_MEMORY;
    op->type = groups.type;
    op->row = groups.row;
    op->cut = cut_exact(desc->arg[0].dim[0], groups.row < TASK_ELEMENTS ? TASK_ELEMENTS / groups.row : 1);
    op->base.run = add_run;
    *out = &op->base;
    return HFF_OK;
}
