/* adamw, sgd, clamp, retract: what changes parameters. A task is a fixed chunk of a part's elements (retract: of rows). Scalars
 * of the step are f64, the elements' arithmetic is f32.
 * Bytes an element: adamw reads p, g, m, v and writes p, m, v: 28; sgd 20, without momentum 12; clamp and retract 8. */
#include "cut.h"
#include "lanes.h"

#include <math.h>

enum { CHUNK_FLOATS = 16384 };

struct update_op {
    struct cpu_op base;
    struct cuts cuts; /* adamw, sgd: of the parts; else one */
};

struct update_run {
    const struct update_op *op;
    void *const *args;
    const double *hyper, *norm; /* hyper NULL: the op has none */
};

/* The part that a task belongs to, its first element and how many there are. */
static const struct update_part *part_of(const struct update_run *run, const struct update_parts *parts, int task,
                                         int64_t *first, int64_t *n)
{
    int i = cuts_find(&run->op->cuts, &task);
    const struct cut *cut = &run->op->cuts.cut[i];
    *first = parts->part[i].first + cut_start(cut, task);
    *n = cut_length(cut, task);
    return &parts->part[i];
}

/* The step's scalars. */
struct adamw {
    float factor, keep, beta1, rest1, beta2, rest2, rate, root2, eps;
};

struct sgd {
    float factor, decay, momentum, rate;
    int nesterov;
};

/* p - rate (decay p + (m / bias1) / (sqrt(v / bias2) + eps)), with rate / bias1 and 1 / sqrt(bias2) taken out. */
CPU_SIMD static void adamw_floats(const struct adamw *by, float *p, const float *g, float *m, float *v, int64_t n)
{
    const struct adamw own = *by;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float grad = g[i] * own.factor;
        m[i] = own.beta1 * m[i] + own.rest1 * grad;
        v[i] = own.beta2 * v[i] + own.rest2 * grad * grad;
        p[i] = p[i] * own.keep - own.rate * m[i] / (sqrtf(v[i]) * own.root2 + own.eps);
    }
}

CPU_SIMD static void sgd_floats(const struct sgd *by, float *p, const float *g, float *m, int64_t n)
{
    const struct sgd own = *by;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float step = own.factor * g[i] + own.decay * p[i];
        m[i] = own.momentum * m[i] + step;
        p[i] -= own.rate * (own.nesterov ? step + own.momentum * m[i] : m[i]);
    }
}

CPU_SIMD static void sgd_plain_floats(const struct sgd *by, float *p, const float *g, int64_t n)
{
    const struct sgd own = *by;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) p[i] -= own.rate * (own.factor * g[i] + own.decay * p[i]);
}

/* fmin and fmax as op.h has them: a NaN becomes lo. */
CPU_SIMD static void clamp_floats(float *p, int64_t n, float lo, float hi)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float v = p[i] > lo ? p[i] : lo;
        p[i] = v < hi ? v : hi;
    }
}

CPU_SIMD static void retract_row(float *p, int64_t n)
{
    double squares = sum_squares(p, n);
    float scale = squares > 0 ? (float)(1 / sqrt(squares)) : 1;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) p[i] *= scale;
}

static void adamw_task(void *context, int task, int thread)
{
    const struct update_run *run = context;
    const struct op_desc *d = &run->op->base.op.desc;
    int64_t first, n;
    const struct update_part *part = part_of(run, &d->attr.adamw.parts, task, &first, &n);
    double rate = run->hyper[HYPER_LR] * part->lr_factor;
    struct adamw by = {.factor = (float)run->norm[NORM_FACTOR],
                       .keep = (float)(1 - rate * part->decay),
                       .beta1 = (float)d->attr.adamw.beta1,
                       .rest1 = (float)(1 - d->attr.adamw.beta1),
                       .beta2 = (float)d->attr.adamw.beta2,
                       .rest2 = (float)(1 - d->attr.adamw.beta2),
                       .rate = (float)(rate / run->hyper[HYPER_BIAS1]),
                       .root2 = (float)(1 / sqrt(run->hyper[HYPER_BIAS2])),
                       .eps = (float)d->attr.adamw.eps};
    float *p = run->args[0], *m = run->args[2], *v = run->args[3];
    const float *g = run->args[1];
    (void)thread;
    adamw_floats(&by, p + first, g + first, m + first, v + first, n);
}

static void sgd_task(void *context, int task, int thread)
{
    const struct update_run *run = context;
    const struct op_desc *d = &run->op->base.op.desc;
    int64_t first, n;
    const struct update_part *part = part_of(run, &d->attr.sgd.parts, task, &first, &n);
    struct sgd by = {.factor = (float)run->norm[NORM_FACTOR],
                     .decay = (float)part->decay,
                     .momentum = (float)d->attr.sgd.momentum,
                     .rate = (float)(run->hyper[HYPER_LR] * part->lr_factor),
                     .nesterov = d->attr.sgd.nesterov};
    float *p = run->args[0], *m = d->arg[2].rank ? run->args[2] : NULL;
    const float *g = run->args[1];
    (void)thread;
    if (m)
        sgd_floats(&by, p + first, g + first, m + first, n);
    else
        sgd_plain_floats(&by, p + first, g + first, n);
}

static void clamp_task(void *context, int task, int thread)
{
    const struct update_run *run = context;
    const struct op_desc *d = &run->op->base.op.desc;
    const struct cut *cut = &run->op->cuts.cut[0];
    (void)thread;
    clamp_floats((float *)run->args[0] + cut_start(cut, task), cut_length(cut, task), (float)d->attr.clamp.lo,
                 (float)d->attr.clamp.hi);
}

static void retract_task(void *context, int task, int thread)
{
    const struct update_run *run = context;
    const struct tensor *p = &run->op->base.op.desc.arg[0];
    const struct cut *cut = &run->op->cuts.cut[0];
    int64_t width = p->dim[p->rank - 1], first = cut_start(cut, task);
    (void)thread;
    for (int64_t row = first; row < first + cut_length(cut, task); row++)
        retract_row((float *)run->args[0] + row * width, width);
}

/* The task, and where hyper (-1: none) and norm are among the arguments. */
static const struct update {
    team_task task;
    int hyper, norm;
} updates[OP_KINDS] = {
    [OP_ADAMW] = {adamw_task, 4, 5},
    [OP_SGD] = {sgd_task, 3, 4},
    [OP_RETRACT] = {retract_task, -1, 1},
    [OP_CLAMP] = {clamp_task, -1, 1},
};

static hff_status update_run(struct cpu_op *base, struct team *team, void *const *args, void *workspace)
{
    const struct update_op *op = (const struct update_op *)base;
    const struct update *update = &updates[base->op.desc.kind];
    struct update_run run = {op, args, update->hyper < 0 ? NULL : args[update->hyper], args[update->norm]};
    (void)workspace;
    if (run.norm[NORM_LATCH] == 0) team_run(team, op->cuts.count, update->task, &run);
    return HFF_OK;
}

static hff_status update_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    if (desc->arg[0].dtype != DTYPE_F32)
        return fail(HFF_E_CONFIG, "the cpu backend computes in f32, not %s; use run.dtype: f32",
                    dtype_name(desc->arg[0].dtype));
    for (int i = 0; i < OP_ARGS && desc->arg[i].rank; i++)
        if (desc->arg[i].layout != LAYOUT_PLAIN)
            return fail(HFF_E_CONFIG, "the cpu backend updates parameters only where they lie plain");
    struct update_op *op = cpu_op_new(backend, desc, sizeof *op);
    if (!op) return HFF_E_MEMORY;
    op->base.run = update_run;
    *out = &op->base;
    return HFF_OK;
}

static hff_status parts_create(struct cpu_backend *backend, const struct op_desc *desc,
                               const struct update_parts *parts, struct cpu_op **out)
{
    TRY(update_create(backend, desc, out));
    for (int i = 0; i < parts->count; i++)
        cuts_add(&((struct update_op *)*out)->cuts, i, cut_exact(parts->part[i].count, CHUNK_FLOATS));
    return HFF_OK;
}

hff_status cpu_adamw_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    return parts_create(backend, desc, &desc->attr.adamw.parts, out);
}

hff_status cpu_sgd_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    return parts_create(backend, desc, &desc->attr.sgd.parts, out);
}

hff_status cpu_clamp_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    TRY(update_create(backend, desc, out));
    cuts_add(&((struct update_op *)*out)->cuts, 0, cut_exact(tensor_count(&desc->arg[0]), CHUNK_FLOATS));
    return HFF_OK;
}

hff_status cpu_retract_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    const struct tensor *p = &desc->arg[0];
    int64_t width = p->dim[p->rank - 1], rows = width < CHUNK_FLOATS ? CHUNK_FLOATS / width : 1;
    TRY(update_create(backend, desc, out));
    cuts_add(&((struct update_op *)*out)->cuts, 0, cut_exact(tensor_count(p) / width, rows));
    return HFF_OK;
}
