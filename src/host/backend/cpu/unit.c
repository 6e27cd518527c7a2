/* unit: y = x sqrt(n) / max(||x||, 1e-6) per sample; a task is a few samples. The norm is f64, padding lanes add 0 to
 * it.
 * Bytes: reads x, writes y (a sample is read twice, the second time from the cache). */
#include "groups.h"

#include <math.h>

struct unit_op {
    struct cpu_op base;
    enum dtype type;
    int64_t elements, row; /* of a sample: logical, in memory */
    struct cut cut;        /* samples */
};

struct unit_run {
    const struct unit_op *op;
    const void *x;
    void *y;
};

enum { TASK_ELEMENTS = 16384, PIECE = 512 };

INLINE void unit_elements(enum dtype type, const void *x, void *y, int64_t row, int64_t elements)
{
    float space[PIECE];
    int64_t step = type == DTYPE_F32 ? row : PIECE;
    double squares = 0;
    for (int64_t i = 0; i < row; i += step) {
        int64_t n = row - i < step ? row - i : step;
        squares += sum_squares(elements_wide(type, x, i, n, space), n);
    }
    double length = sqrt(squares);
    float factor = (float)(sqrt((double)elements) / (length > 1e-6 ? length : 1e-6));
#pragma omp simd
    for (int64_t i = 0; i < row; i++) element_put(type, y, i, element_get(type, x, i) * factor);
}

CPU_SIMD static void unit_sample(enum dtype type, const void *x, void *y, int64_t row, int64_t elements)
{
    if (type == DTYPE_BF16)
        unit_elements(DTYPE_BF16, x, y, row, elements);
    else
        unit_elements(DTYPE_F32, x, y, row, elements);
}

static void unit_task(void *context, int task, int thread)
{
    const struct unit_run *run = context;
    const struct unit_op *op = run->op;
    (void)thread;
    for (int64_t i = 0; i < cut_length(&op->cut, task); i++) {
        int64_t at = (cut_start(&op->cut, task) + i) * op->row;
        unit_sample(op->type, element_at(op->type, run->x, at), element_to(op->type, run->y, at), op->row,
                    op->elements);
    }
}

static hff_status unit_run(struct cpu_op *base, struct team *team, void *const *args, void *workspace)
{
    const struct unit_op *op = (const struct unit_op *)base;
    struct unit_run run = {op, args[0], args[1]};
    (void)workspace;
    team_run(team, op->cut.count, unit_task, &run);
    return HFF_OK;
}

hff_status cpu_unit_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    struct groups groups;
    const struct tensor *x = &desc->arg[0];
    TRY(groups_make(&groups, x, 1));
    TRY(groups_same(x, &desc->arg[1]));
    struct unit_op *op = cpu_op_new(backend, desc, sizeof *op);
    if (!op) return HFF_E_MEMORY;
    op->type = groups.type;
    op->elements = tensor_row(x);
    op->row = groups.row;
    op->cut = cut_exact(x->dim[0], groups.row < TASK_ELEMENTS ? TASK_ELEMENTS / groups.row : 1);
    op->base.run = unit_run;
    *out = &op->base;
    return HFF_OK;
}
