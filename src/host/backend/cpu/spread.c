/* spread: y[b R + r] = x[b] + t[r], in whatever layout, padding lanes included. A task is a few rows of y.
 * Bytes: reads x and t (from the cache but for the first time), writes y. */
#include "groups.h"

struct spread_op {
    struct cpu_op base;
    enum dtype type;
    int64_t row, each; /* elements of a row in memory; R */
    struct cut cut;    /* rows of y */
};

struct spread_run {
    const struct spread_op *op;
    void *const *args;
};

enum { TASK_ELEMENTS = 32768 };

INLINE void spread_elements(enum dtype type, const void *x, const void *t, void *y, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) element_put(type, y, i, element_get(type, x, i) + element_get(type, t, i));
}

CPU_SIMD static void spread_row(enum dtype type, const void *x, const void *t, void *y, int64_t n)
{
    if (type == DTYPE_BF16)
        spread_elements(DTYPE_BF16, x, t, y, n);
    else
        spread_elements(DTYPE_F32, x, t, y, n);
}

static void spread_task(void *context, int task, int thread)
{
    const struct spread_run *run = context;
    const struct spread_op *op = run->op;
    (void)thread;
    for (int64_t i = 0; i < cut_length(&op->cut, task); i++) {
        int64_t e = cut_start(&op->cut, task) + i;
        spread_row(op->type, element_at(op->type, run->args[0], e / op->each * op->row),
                   element_at(op->type, run->args[1], e % op->each * op->row),
                   element_to(op->type, run->args[2], e * op->row), op->row);
    }
}

static hff_status spread_run(struct cpu_op *base, struct team *team, void *const *args, void *workspace)
{
    const struct spread_op *op = (const struct spread_op *)base;
    struct spread_run run = {op, args};
    (void)workspace;
    team_run(team, op->cut.count, spread_task, &run);
    return HFF_OK;
}

hff_status cpu_spread_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    struct groups groups;
    TRY(groups_make(&groups, &desc->arg[0], 1));
    for (int i = 1; i < 3; i++) TRY(groups_same(&desc->arg[0], &desc->arg[i]));
    struct spread_op *op = cpu_op_new(backend, desc, sizeof *op);
    if (!op) return HFF_E_MEMORY;
    op->type = groups.type;
    op->row = groups.row;
    op->each = desc->arg[1].dim[0];
    op->cut = cut_exact(desc->arg[2].dim[0], groups.row < TASK_ELEMENTS ? TASK_ELEMENTS / groups.row : 1);
    op->base.run = spread_run;
    *out = &op->base;
    return HFF_OK;
}
