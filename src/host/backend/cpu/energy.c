/* energy: the mean square of each group of channels, and the way back, dx = 2 x dy / n; a task is a few samples. In
 * plain memory a group is one run, in blocked memory a sample's channels are summed first. Sums are f64.
 * Bytes: energy reads x; energy_back reads x, writes dx. */
#include "groups.h"

struct energy_op {
    struct cpu_op base;
    struct groups groups;
    int64_t classes, run; /* G, and elements of a group */
    struct cut cut;       /* samples */
    size_t thread_bytes;  /* channels' sums, or their factors */
};

struct energy_run {
    const struct energy_op *op;
    const void *x;
    float *y; /* or dy */
    void *dx; /* NULL: forward */
    char *space;
};

enum { TASK_ELEMENTS = 16384, PIECE = 512 };

INLINE double run_squares(enum dtype type, const void *x, int64_t at, int64_t count)
{
    float space[PIECE];
    int64_t step = type == DTYPE_F32 ? count : PIECE;
    double sum = 0;
    for (int64_t i = 0; i < count; i += step) {
        int64_t n = count - i < step ? count - i : step;
        sum += sum_squares(elements_wide(type, x, at + i, n, space), n);
    }
    return sum;
}

INLINE void scale_run(enum dtype type, const void *x, void *dx, int64_t at, int64_t count, float factor)
{
#pragma omp simd
    for (int64_t i = at; i < at + count; i++) element_put(type, dx, i, element_get(type, x, i) * factor);
}

/* Sums of squares of a block's channels. */
INLINE void block_squares(int lanes, enum dtype type, const void *x, int64_t at, int64_t area, double *sums)
{
    quad64 acc[QUADS], zero[QUADS];
    zero_f64(acc);
    zero_f64(zero);
    for (int64_t i = 0; i < area; i++) add_deviations(lanes, type, acc, x, at + i * lanes, zero);
    store_f64(lanes, sums, acc);
}

INLINE void block_scale(int lanes, enum dtype type, const void *x, void *dx, int64_t at, int64_t area,
                        const float *factor)
{
    for (int64_t i = at; i < at + area * lanes; i += lanes)
#pragma omp simd
        for (int l = 0; l < lanes; l++) element_put(type, dx, i + l, element_get(type, x, i + l) * factor[l]);
}

INLINE void plain_sample(enum dtype type, const struct energy_run *run, int64_t b)
{
    const struct energy_op *op = run->op;
    double n = (double)op->run;
    for (int64_t g = b * op->classes; g < (b + 1) * op->classes; g++)
        if (run->dx)
            scale_run(type, run->x, run->dx, g * op->run, op->run, (float)(2 * run->y[g] / n));
        else
            run->y[g] = (float)(run_squares(type, run->x, g * op->run, op->run) / n);
}

/* space: count * lanes doubles or floats; lanes that pad have factor 0. */
INLINE void blocked_sample(int lanes, enum dtype type, const struct energy_run *run, int64_t b, void *space)
{
    const struct energy_op *op = run->op;
    const struct groups *groups = &op->groups;
    int64_t own = groups->channels / op->classes, plane = groups->area * lanes, at = b * groups->row;
    float *y = run->y + b * op->classes, *factor = space;
    double *sums = space, n = (double)op->run;
    for (int64_t c = 0; run->dx && c < groups->count * lanes; c++)
        factor[c] = c < groups->channels ? (float)(2 * y[c / own] / n) : 0;
    for (int k = 0; k < groups->count; k++)
        if (run->dx)
            block_scale(lanes, type, run->x, run->dx, at + k * plane, groups->area, factor + k * lanes);
        else
            block_squares(lanes, type, run->x, at + k * plane, groups->area, sums + k * lanes);
    for (int64_t g = 0; !run->dx && g < op->classes; g++) {
        double sum = 0;
        for (int64_t c = g * own; c < (g + 1) * own; c++) sum += sums[c];
        y[g] = (float)(sum / n);
    }
}

CPU_SIMD static void energy_sample(const struct groups *groups, const struct energy_run *run, int64_t b, void *space)
{
    if (groups->blocked) {
        EACH_LINE(groups->lanes, groups->type, blocked_sample, run, b, space)
    } else if (groups->type == DTYPE_F32) {
        plain_sample(DTYPE_F32, run, b);
    } else {
        plain_sample(DTYPE_BF16, run, b);
    }
}

static void energy_task(void *context, int task, int thread)
{
    const struct energy_run *run = context;
    const struct energy_op *op = run->op;
    int64_t first = cut_start(&op->cut, task);
    for (int64_t b = first; b < first + cut_length(&op->cut, task); b++)
        energy_sample(&op->groups, run, b, run->space + (size_t)thread * op->thread_bytes);
}

static hff_status energy_run(struct cpu_op *base, struct team *team, void *const *args, void *workspace)
{
    const struct energy_op *op = (const struct energy_op *)base;
    int back = base->op.desc.kind == OP_ENERGY_BACK;
    struct energy_run run = {op, args[0], args[1], back ? args[2] : NULL, workspace};
    team_run(team, op->cut.count, energy_task, &run);
    return HFF_OK;
}

hff_status cpu_energy_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    struct groups groups;
    const struct tensor *x = &desc->arg[0];
    TRY(groups_make(&groups, x, 1));
    if (desc->kind == OP_ENERGY_BACK) TRY(groups_same(x, &desc->arg[2]));
    struct energy_op *op = cpu_op_new(backend, desc, sizeof *op);
    if (!op) return HFF_E_MEMORY;
    op->groups = groups;
    op->classes = desc->arg[1].dim[1];
    op->run = tensor_row(x) / op->classes;
    op->cut = cut_exact(x->dim[0], groups.row < TASK_ELEMENTS ? TASK_ELEMENTS / groups.row : 1);
    op->thread_bytes = groups.blocked ? align64((size_t)groups.count * (size_t)groups.lanes * sizeof(double)) : 0;
    op->base.workspace = (size_t)backend->base.threads * op->thread_bytes;
    op->base.run = energy_run;
    *out = &op->base;
    return HFF_OK;
}

hff_status cpu_energy_back_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    return cpu_energy_create(backend, desc, out);
}
