/* goodness and goodness_eval: sums of squares of whole samples, in f64. A task is a few pairs, or a few rows.
 * Bytes: goodness reads h and writes dh (h is read twice, the second time from the cache); goodness_eval reads h. */
#include "figures.h"
#include "groups.h"

#include <math.h>

struct goodness_op {
    struct cpu_op base;
    enum dtype type;
    int64_t row, width; /* elements of a row in memory; without padding */
    struct cut cut;     /* pairs; rows of h */
};

struct goodness_run {
    const struct goodness_op *op;
    void *const *args;
    struct sample_figures *figures;
};

enum { TASK_ELEMENTS = 16384, PIECE = 512 };

INLINE double row_squares(enum dtype type, const void *h, int64_t row)
{
    float space[PIECE];
    int64_t step = type == DTYPE_F32 ? row : PIECE;
    double squares = 0;
    for (int64_t i = 0; i < row; i += step) {
        int64_t n = row - i < step ? row - i : step;
        squares += sum_squares(elements_wide(type, h, i, n, space), n);
    }
    return squares;
}

CPU_SIMD static double squares_of(enum dtype type, const void *h, int64_t row)
{
    return type == DTYPE_BF16 ? row_squares(DTYPE_BF16, h, row) : row_squares(DTYPE_F32, h, row);
}

INLINE void row_times(enum dtype type, const void *h, void *dh, int64_t row, float by)
{
#pragma omp simd
    for (int64_t i = 0; i < row; i++) element_put(type, dh, i, element_get(type, h, i) * by);
}

CPU_SIMD static void times(enum dtype type, const void *h, void *dh, int64_t row, float by)
{
    if (type == DTYPE_BF16)
        row_times(DTYPE_BF16, h, dh, row, by);
    else
        row_times(DTYPE_F32, h, dh, row, by);
}

static double softplus(double v)
{
    return fmax(v, 0) + log1p(exp(-fabs(v)));
}

/* One pair's loss, and its derivatives by the two goodnesses. */
static double pair_loss(const struct op_desc *d, double pos, double neg, double *by_pos, double *by_neg)
{
    double alpha = d->attr.goodness.alpha, theta = d->attr.goodness.theta;
    if (alpha > 0) {
        *by_pos = -alpha / (1 + exp(alpha * (pos - neg)));
        *by_neg = -*by_pos;
        return softplus(alpha * (neg - pos));
    }
    *by_pos = -1 / (1 + exp(pos - theta));
    *by_neg = 1 / (1 + exp(theta - neg));
    return softplus(theta - pos) + softplus(neg - theta);
}

static void pair(const struct goodness_run *run, int64_t i)
{
    const struct goodness_op *op = run->op;
    const struct op_desc *d = &op->base.op.desc;
    double mean = d->attr.goodness.mean ? 1 / (double)op->width : 1, by[2], good[2];
    double squares[2], scale = 2 * mean / (double)d->attr.goodness.global_batch;
    for (int k = 0; k < 2; k++) {
        squares[k] = squares_of(op->type, element_at(op->type, run->args[0], (2 * i + k) * op->row), op->row);
        good[k] = squares[k] * mean;
    }
    double loss = pair_loss(d, good[0], good[1], &by[0], &by[1]), length = sqrt(squares[0]);
    for (int k = 0; k < 2; k++)
        times(op->type, element_at(op->type, run->args[0], (2 * i + k) * op->row),
              element_to(op->type, run->args[1], (2 * i + k) * op->row), op->row, (float)(by[k] * scale));
    run->figures[i] = (struct sample_figures){{[METRIC_SAMPLES] = 1,
                                               [METRIC_LOSS] = loss,
                                               [METRIC_CORRECT] = good[0] > good[1],
                                               [METRIC_OWN] = good[0],
                                               [METRIC_OTHER] = good[1],
                                               [METRIC_NORM] = length,
                                               [METRIC_DEAD] = length <= 1e-6}};
}

static void pair_task(void *context, int task, int thread)
{
    const struct goodness_run *run = context;
    (void)thread;
    for (int64_t i = 0; i < cut_length(&run->op->cut, task); i++) pair(run, cut_start(&run->op->cut, task) + i);
}

static hff_status goodness_run(struct cpu_op *base, struct team *team, void *const *args, void *workspace)
{
    const struct goodness_op *op = (const struct goodness_op *)base;
    struct goodness_run run = {op, args, workspace};
    team_run(team, op->cut.count, pair_task, &run);
    figures_total(run.figures, op->cut.total, base->op.desc.slices, args[2]);
    return HFF_OK;
}

static void row_task(void *context, int task, int thread)
{
    const struct goodness_run *run = context;
    const struct goodness_op *op = run->op;
    const struct op_desc *d = &op->base.op.desc;
    int64_t classes = d->arg[4].dim[1], each = d->arg[0].dim[0] / d->arg[1].dim[0];
    int64_t from = ((const int64_t *)run->args[3])[TICK_PASS] * each;
    (void)thread;
    for (int64_t i = 0; i < cut_length(&op->cut, task); i++) {
        int64_t e = cut_start(&op->cut, task) + i, class = from + e % each;
        if (class >= classes) continue;
        double squares = squares_of(op->type, element_at(op->type, run->args[0], e * op->row), op->row);
        ((float *)run->args[4])[e / each * classes + class] =
            (float)(d->attr.goodness.mean ? squares / (double)op->width : squares);
    }
}

static hff_status goodness_eval_run(struct cpu_op *base, struct team *team, void *const *args, void *workspace)
{
    const struct goodness_op *op = (const struct goodness_op *)base;
    const struct op_desc *d = &base->op.desc;
    struct goodness_run run = {op, args, workspace};
    int64_t batch = d->arg[1].dim[0], classes = d->arg[4].dim[1], each = d->arg[0].dim[0] / batch;
    team_run(team, op->cut.count, row_task, &run);
    if ((((const int64_t *)args[3])[TICK_PASS] + 1) * each < classes) return HFF_OK;
    memset(run.figures, 0, sizeof *run.figures * (size_t)batch);
    for (int64_t b = 0; b < batch; b++)
        if (((const float *)args[2])[b] != 0)
            figures_softmax((const float *)args[4] + b * classes, classes, ((const int32_t *)args[1])[b],
                            ((const float *)args[2])[b], &run.figures[b]);
    figures_total(run.figures, batch, d->slices, args[5]);
    return HFF_OK;
}

static hff_status create(struct cpu_backend *backend, const struct op_desc *desc, int64_t rows_each,
                         struct goodness_op **out)
{
    struct groups groups;
    TRY(groups_make(&groups, &desc->arg[0], 1));
    struct goodness_op *op = cpu_op_new(backend, desc, sizeof *op);
    if (!op) return HFF_E_MEMORY;
    op->type = groups.type;
    op->row = groups.row;
    op->width = tensor_row(&desc->arg[0]);
    int64_t least = rows_each * groups.row;
    op->cut = cut_exact(desc->arg[0].dim[0] / rows_each, least < TASK_ELEMENTS ? TASK_ELEMENTS / least : 1);
    *out = op;
    return HFF_OK;
}

hff_status cpu_goodness_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    struct goodness_op *op;
    TRY(groups_same(&desc->arg[0], &desc->arg[1]));
    TRY(create(backend, desc, 2, &op));
    op->base.workspace = (size_t)op->cut.total * sizeof(struct sample_figures);
    op->base.run = goodness_run;
    *out = &op->base;
    return HFF_OK;
}

hff_status cpu_goodness_eval_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    struct goodness_op *op;
    TRY(create(backend, desc, 1, &op));
    op->base.workspace = (size_t)desc->arg[1].dim[0] * sizeof(struct sample_figures);
    op->base.run = goodness_eval_run;
    *out = &op->base;
    return HFF_OK;
}
