/* cross_entropy and cross_entropy_eval: sample by sample, as the softmax loss of hff (hff_row.c); a task is a piece of a
 * slice. Samples' figures are kept and summed up at the end: slice by slice, then by the tree. */
#include "cut.h"
#include "figures.h"
#include "hff_row.h"
#include "tiles.h"

struct entropy_op {
    struct cpu_op base;
    int eval;
    int64_t batch, samples, classes; /* samples: of a slice */
    struct cut pieces;               /* of a slice */
    size_t thread_bytes, threads;    /* of a thread: scores and their gradient in f64; where they begin */
};

struct entropy_run {
    const struct entropy_op *op;
    struct hff_head head;
    double share;
    const float *scores, *weight;
    const int32_t *y1, *y2;
    float *dscores; /* NULL: eval */
    struct sample_figures *figures;
    char *workspace;
};

enum { PIECE = 32 };

/* s has room for 2 C. */
static void row(const struct entropy_run *run, int64_t b, double *s)
{
    const struct entropy_op *op = run->op;
    const float *scores = run->scores + b * op->classes;
    double *grad = s + op->classes, unused, weight = run->weight[b], first = op->eval ? 1 : weight;
    struct sample_figures *figures = &run->figures[b];
    *figures = (struct sample_figures){{0}};
    if (op->eval && weight == 0) return; /* padding: its label means nothing */
    struct hff_sample sample = {.label = {run->y1[b], run->y2[b]}, .share = {first, 1 - first}};
    int64_t best = 0;
    for (int64_t c = 0; c < op->classes; c++) s[c] = scores[c];
    for (int64_t c = 1; c < op->classes; c++) best = s[c] > s[best] ? c : best;
    double loss = hff_loss(&run->head, &sample, s, grad, &unused), count = op->eval ? weight : 1;
    figures->metric[METRIC_SAMPLES] = count;
    figures->metric[METRIC_LOSS] = count * run->share * loss;
    figures->metric[METRIC_CORRECT] = best == sample.label[sample.share[1] > sample.share[0]] ? count : 0;
    if (op->eval) return;
    double factor = run->share / (double)op->base.op.desc.attr.cross_entropy.global_batch;
    for (int64_t c = 0; c < op->classes; c++) run->dscores[b * op->classes + c] = (float)(grad[c] * factor);
}

static void entropy_task(void *context, int task, int thread)
{
    const struct entropy_run *run = context;
    const struct entropy_op *op = run->op;
    int piece = task % op->pieces.count;
    int64_t first = task / op->pieces.count * op->samples + cut_start(&op->pieces, piece);
    double *s = (double *)(run->workspace + op->threads + (size_t)thread * op->thread_bytes);
    for (int64_t b = first; b < first + cut_length(&op->pieces, piece); b++) row(run, b, s);
}

static hff_status entropy_run(struct cpu_op *base, struct team *team, void *const *args, void *workspace)
{
    const struct entropy_op *op = (const struct entropy_op *)base;
    const struct op_desc *desc = &base->op.desc;
    int eval = op->eval;
    struct entropy_run run = {.op = op, .scores = args[0], .y1 = args[1], .workspace = workspace};
    run.head = (struct hff_head){.classes = op->classes, .per_class = 1, .scale = 1, .loss = HFF_LOSS_SOFTMAX};
    run.head.smoothing = eval ? 0 : desc->attr.cross_entropy.smoothing;
    run.share = eval ? 1 : 1 - desc->attr.cross_entropy.discount;
    run.y2 = eval ? run.y1 : args[2];
    run.weight = args[eval ? 2 : 3];
    run.dscores = eval ? NULL : args[4];
    run.figures = workspace;
    team_run(team, desc->slices * op->pieces.count, entropy_task, &run);
    figures_total(run.figures, op->batch, desc->slices, args[eval ? 3 : 5]);
    return HFF_OK;
}

hff_status cpu_cross_entropy_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    int64_t samples;
    TRY(slice_samples(desc, &samples));
    struct entropy_op *op = cpu_op_new(backend, desc, sizeof *op);
    if (!op) return HFF_E_MEMORY;
    op->eval = desc->kind == OP_CROSS_ENTROPY_EVAL;
    op->batch = desc->arg[0].dim[0];
    op->samples = samples;
    op->classes = desc->arg[0].dim[1];
    op->pieces = cut_exact(samples, PIECE);
    op->threads = align64((size_t)op->batch * sizeof(struct sample_figures));
    op->thread_bytes = align64(2 * (size_t)op->classes * sizeof(double));
    op->base.workspace = op->threads + (size_t)backend->base.threads * op->thread_bytes;
    op->base.run = entropy_run;
    *out = &op->base;
    return HFF_OK;
}

hff_status cpu_cross_entropy_eval_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    return cpu_cross_entropy_create(backend, desc, out);
}
