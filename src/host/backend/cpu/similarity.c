/* similarity: cosines between the samples of a slice against those of their targets, forward and backward together.
 *
 * Phase 1, a task is a few samples: u = x less its mean, at length 1. Phase 2, a task is a piece of a slice: the product
 * R = u u^T of the piece with its slice, R becomes its derivative, the product du = dR u, dx. Samples' losses are kept
 * and summed up at the end: slice by slice, then by the tree.
 *
 * Bytes besides the products' operands: x read, u written, dx written and rewritten: 16 B D; R 8 B B / S. */
#include "figures.h"
#include "hff_row.h"
#include "lanes.h"
#include "tiles.h"

#include <math.h>
#include <stdlib.h>

enum { PIECE = 32 /* samples: an AVX-512 product's rows twice over */ };

struct similarity_op {
    struct cpu_op base;
    int64_t batch, samples, width;       /* samples of a slice */
    struct cut norms, pieces;            /* of the batch, of a slice */
    struct product *cos[2], *du[2];      /* of a full piece, of a slice's short last one */
    size_t lengths, figures, threads;    /* places in the workspace, behind u */
    size_t thread_product, thread_bytes; /* in a thread's part, behind R */
};

struct similarity_run {
    const struct similarity_op *op;
    const float *x, *weight;
    const int32_t *y1, *y2;
    float *dx, *u;
    double *length, *target; /* of x less its mean; 1 / that of the target, 0 where it has no direction */
    struct sample_figures *figures;
    char *workspace;
};

/* u = (x - mean) / ||x - mean||, 0 when that is all but 0. Returns the length. */
CPU_SIMD static double centre(const float *x, float *u, int64_t width)
{
    double sum = 0;
    for (int64_t i = 0; i < width; i++) sum += x[i];
    double mean = sum / (double)width;
    for (int64_t i = 0; i < width; i++) u[i] = (float)(x[i] - mean);
    double length = sqrt(sum_squares(u, width));
    float scale = length <= 1e-6 ? 0 : (float)(1 / length);
#pragma omp simd
    for (int64_t i = 0; i < width; i++) u[i] *= scale;
    return length;
}

/* <t_i, t_j> of two targets less 1 / C. */
static double target_product(const struct similarity_run *run, int64_t i, int64_t j)
{
    double v = run->weight[i], w = run->weight[j];
    double sum = -1 / (double)run->op->base.op.desc.attr.similarity.classes;
    if (run->y1[i] == run->y1[j]) sum += v * w;
    if (run->y1[i] == run->y2[j]) sum += v * (1 - w);
    if (run->y2[i] == run->y1[j]) sum += (1 - v) * w;
    if (run->y2[i] == run->y2[j]) sum += (1 - v) * (1 - w);
    return sum;
}

static void centre_task(void *context, int task, int thread)
{
    const struct similarity_run *run = context;
    const struct cut *cut = &run->op->norms;
    int64_t width = run->op->width, first = cut_start(cut, task);
    (void)thread;
    for (int64_t b = first; b < first + cut_length(cut, task); b++) {
        double squares = target_product(run, b, b);
        run->length[b] = centre(run->x + b * width, run->u + b * width, width);
        run->target[b] = squares > 1e-12 ? 1 / sqrt(squares) : 0;
    }
}

/* Sample i of the slice from first on: its cosines r (n) become the derivative by them. */
static void row(const struct similarity_run *run, int64_t i, int64_t first, float *r)
{
    const struct op_desc *desc = &run->op->base.op.desc;
    int64_t n = run->op->samples;
    double share = desc->attr.similarity.share, loss = 0, own = run->target[i];
    double factor = 4 * share / ((double)n * (double)desc->attr.similarity.global_batch); /* each pair is there twice */
    for (int64_t j = 0; j < n; j++) {
        double off = r[j] - own * run->target[first + j] * target_product(run, i, first + j);
        loss += off * off / (double)n;
        r[j] = (float)(factor * off);
    }
    run->figures[i] = (struct sample_figures){.metric = {[METRIC_LOSS] = share * loss, [METRIC_SIMILARITY] = loss}};
}

static void piece_task(void *context, int task, int thread)
{
    const struct similarity_run *run = context;
    const struct similarity_op *op = run->op;
    int piece = task % op->pieces.count, is_short = cut_is_short(&op->pieces, piece);
    int64_t slice = task / op->pieces.count * op->samples, first = slice + cut_start(&op->pieces, piece);
    int64_t width = op->width, count = cut_length(&op->pieces, piece);
    char *own = run->workspace + op->threads + (size_t)thread * op->thread_bytes;
    float *r = (float *)own, *u = run->u + slice * width, *dx = run->dx + first * width;
    product_run(op->cos[is_short], run->u + first * width, u, r, own + op->thread_product);
    for (int64_t i = 0; i < count; i++) row(run, first + i, slice, r + i * op->samples);
    product_run(op->du[is_short], r, u, dx, own + op->thread_product);
    for (int64_t i = 0; i < count; i++, dx += width)
        if (run->length[first + i] <= 1e-6)
            memset(dx, 0, sizeof *dx * (size_t)width);
        else
            hff_project(dx, run->u + (first + i) * width, width, 1 / run->length[first + i]);
}

static hff_status similarity_run(struct cpu_op *base, struct team *team, void *const *args, void *workspace)
{
    const struct similarity_op *op = (const struct similarity_op *)base;
    char *space = workspace;
    struct similarity_run run = {.op = op, .x = args[0], .y1 = args[1], .y2 = args[2], .weight = args[3]};
    run.dx = args[4];
    run.u = workspace;
    run.length = (double *)(space + op->lengths);
    run.target = run.length + op->batch;
    run.figures = (struct sample_figures *)(space + op->figures);
    run.workspace = space;
    team_run(team, op->norms.count, centre_task, &run);
    team_run(team, base->op.desc.slices * op->pieces.count, piece_task, &run);
    figures_total(run.figures, op->batch, base->op.desc.slices, args[5]);
    return HFF_OK;
}

static void similarity_destroy(struct cpu_op *base)
{
    struct similarity_op *op = (struct similarity_op *)base;
    for (int i = 0; i < 2; i++) {
        product_destroy(op->cos[i]);
        product_destroy(op->du[i]);
    }
}

/* Products of a piece with count samples. *scratch grows to what they need. */
static hff_status piece_products(struct similarity_op *op, int64_t count, int is_short, size_t *scratch)
{
    int64_t n = op->samples, width = op->width;
    struct product_desc cos = {.m = count, .n = n, .k = width, .lda = width, .ldb = width, .ldc = n, .transpose_b = 1};
    struct product_desc du = {.m = count, .n = width, .k = n, .lda = n, .ldb = width, .ldc = width};
    TRY(product_create(&op->cos[is_short], &cos));
    TRY(product_create(&op->du[is_short], &du));
    size_t a = product_scratch(op->cos[is_short]), b = product_scratch(op->du[is_short]), need = a > b ? a : b;
    if (need > *scratch) *scratch = need;
    return HFF_OK;
}

static hff_status similarity_plan(struct cpu_backend *backend, struct similarity_op *op, const struct op_desc *desc)
{
    size_t scratch = 0;
    TRY(slice_samples(desc, &op->samples));
    op->batch = desc->arg[0].dim[0];
    op->width = desc->arg[0].dim[1];
    op->norms = cut_exact(op->batch, op->width < 16384 ? 16384 / op->width : 1);
    op->pieces = cut_even(op->samples, PIECE);
    for (int i = 0; i < 2; i++) {
        int piece = i ? op->pieces.count - 1 : 0, is_short = cut_is_short(&op->pieces, piece);
        if (!op->cos[is_short]) TRY(piece_products(op, cut_length(&op->pieces, piece), is_short, &scratch));
    }
    op->lengths = align64((size_t)(op->batch * op->width) * sizeof(float));
    op->figures = op->lengths + align64(2 * (size_t)op->batch * sizeof(double));
    op->threads = op->figures + align64((size_t)op->batch * sizeof(struct sample_figures));
    op->thread_product = align64((size_t)(op->pieces.size * op->samples) * sizeof(float));
    op->thread_bytes = op->thread_product + scratch;
    op->base.workspace = op->threads + (size_t)backend->base.threads * op->thread_bytes;
    return HFF_OK;
}

hff_status cpu_similarity_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    struct similarity_op *op = cpu_op_new(backend, desc, sizeof *op);
    if (!op) return HFF_E_MEMORY;
    op->base.run = similarity_run;
    op->base.destroy = similarity_destroy;
    hff_status status = similarity_plan(backend, op, desc);
    if (status != HFF_OK) {
        similarity_destroy(&op->base);
        free(op);
        return status;
    }
    *out = &op->base;
    return HFF_OK;
}
