/* unit: y = f x with f = sqrt(n) / max(||x||, 1e-6) per sample, and the way back, dx = f (dy - x <x, dy> / ||x||^2); a
 * task is a few samples. Sums are f64, padding lanes add 0 to them.
 * Bytes: unit reads x, writes y; unit_back reads x and dy, writes dx (a sample is read twice, the second time from the
 * cache). */
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
    const void *x, *dy; /* dy NULL: forward */
    void *out;
};

enum { TASK_ELEMENTS = 16384, PIECE = 512 };

/* <x, y> of a sample; y NULL: <x, x>. */
INLINE double product(enum dtype type, const void *x, const void *y, int64_t row)
{
    float space[2][PIECE];
    int64_t step = type == DTYPE_F32 ? row : PIECE;
    double sum = 0;
    for (int64_t i = 0; i < row; i += step) {
        int64_t n = row - i < step ? row - i : step;
        const float *a = elements_wide(type, x, i, n, space[0]);
        sum += y ? sum_products(a, elements_wide(type, y, i, n, space[1]), n) : sum_squares(a, n);
    }
    return sum;
}

INLINE void unit_elements(enum dtype type, const struct unit_run *run, int64_t at)
{
    int64_t row = run->op->row;
    const void *x = element_at(type, run->x, at), *dy = run->dy ? element_at(type, run->dy, at) : NULL;
    void *out = element_to(type, run->out, at);
    double squares = product(type, x, NULL, row), length = sqrt(squares);
    float factor = (float)(sqrt((double)run->op->elements) / (length > 1e-6 ? length : 1e-6));
    if (!dy) {
#pragma omp simd
        for (int64_t i = 0; i < row; i++) element_put(type, out, i, element_get(type, x, i) * factor);
        return;
    }
    float back = length > 1e-6 ? (float)(product(type, x, dy, row) / squares) : 0;
#pragma omp simd
    for (int64_t i = 0; i < row; i++)
        element_put(type, out, i, factor * (element_get(type, dy, i) - back * element_get(type, x, i)));
}

CPU_SIMD static void unit_sample(enum dtype type, const struct unit_run *run, int64_t at)
{
    if (type == DTYPE_BF16)
        unit_elements(DTYPE_BF16, run, at);
    else
        unit_elements(DTYPE_F32, run, at);
}

static void unit_task(void *context, int task, int thread)
{
    const struct unit_run *run = context;
    const struct unit_op *op = run->op;
    int64_t first = cut_start(&op->cut, task);
    (void)thread;
    for (int64_t b = first; b < first + cut_length(&op->cut, task); b++) unit_sample(op->type, run, b * op->row);
}

static hff_status unit_run(struct cpu_op *base, struct team *team, void *const *args, void *workspace)
{
    const struct unit_op *op = (const struct unit_op *)base;
    int back = base->op.desc.kind == OP_UNIT_BACK;
    struct unit_run run = {op, args[0], back ? args[1] : NULL, args[back ? 2 : 1]};
    (void)workspace;
    team_run(team, op->cut.count, unit_task, &run);
    return HFF_OK;
}

hff_status cpu_unit_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    struct groups groups;
    const struct tensor *x = &desc->arg[0];
    TRY(groups_make(&groups, x, 1));
    for (int i = 1; i < op_table[desc->kind].args; i++) TRY(groups_same(x, &desc->arg[i]));
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

hff_status cpu_unit_back_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    return cpu_unit_create(backend, desc, out);
}
