/* hff and hff_eval: the HFF head, forward and backward together (METHOD.md 1.1-1.4).
 *
 * Phase 1, a task is a piece of a slice's samples: z, the product cos = z p^T, the rows (hff_row.c), the product dz =
 * dcos p, de. Phase 2, linear_weight's own: dp = dcos^T z, its tiles added up over the slices by the tree. Phase 3:
 * dp's projection, row by row. Samples' figures are kept and summed up at the end: slice by slice, then by the tree.
 * hff_eval is phase 1 up to the rows; for one piece and many classes its product is a linear op, whose tasks are parts of the
 * classes: a piece alone would keep one thread busy.
 *
 * Bytes besides the products' operands, for B samples: e twice, z written and read, de written and rewritten: 24 B D;
 * cos and dcos 16 B C K; dp read and written, p read: 12 C K D. */
#include "hff_row.h"
#include "lanes.h"
#include "tiles.h"

#include <math.h>
#include <stdlib.h>

enum { PIECE = 32 /* samples: an AVX-512 product's rows twice over */, ROWS_MANY = 64 };

struct hff_op {
    struct cpu_op base;
    int eval;
    int64_t batch, samples, width, rows;                   /* samples of a slice; D; C K */
    struct cut pieces;                                     /* of a slice */
    struct product *cos[2], *dz[2];                        /* of a full piece, of a slice's short last one */
    struct cpu_op *dp;                                     /* linear_weight; NULL: not wanted */
    struct cpu_op *cosines;                                /* linear, all at once; NULL: by pieces */
    struct cut projection;                                 /* dp's rows */
    size_t z, dcos, figures, inner, threads, thread_bytes; /* places in the workspace */
    size_t lengths, all_cosines;                           /* where they are made at once */
    size_t thread_lengths, thread_scores, thread_product;  /* places in a thread's part, after its cosines */
};

/* Arguments by name; those that hff_eval lacks are NULL. */
struct hff_run {
    const struct hff_op *op;
    struct hff_head head;
    double share; /* of this loss in the whole */
    const float *e, *p, *weight;
    const int32_t *y1, *y2;
    float *scores, *de, *dp, *z, *dcos;
    struct hff_figures *figures;
    char *workspace;
};

/* z = e / ||e||, 0 when dead. Returns ||e||. */
CPU_SIMD static double embed(const float *e, float *z, int64_t width)
{
    double length = sqrt(sum_squares(e, width));
    float scale = length <= 1e-6 ? 0 : (float)(1 / length); /* not a number stays one, so that it is noticed */
#pragma omp simd
    for (int64_t i = 0; i < width; i++) z[i] = e[i] * scale;
    return length;
}

/* pi -> dcos = scale G pi / B_global, in place. Returns sum_ck G pi cos. */
static double row_gradient(const struct hff_run *run, const double *grad, const float *cos, float *pi)
{
    const struct hff_head *head = &run->head;
    double dscale = 0, factor = head->scale * run->share / (double)run->op->base.op.desc.attr.hff.global_batch;
    for (int64_t c = 0; c < head->classes; c++) {
        double along = 0;
        float times = (float)(grad[c] * factor);
        for (int64_t r = c * head->per_class; r < (c + 1) * head->per_class; r++) {
            along += (double)pi[r] * cos[r];
            pi[r] *= times;
        }
        dscale += grad[c] * along;
    }
    return dscale;
}

/* Sample b from its cosines on; s has room for 2 C. */
static void row(const struct hff_run *run, int64_t b, double length, const float *cos, double *s)
{
    const struct hff_op *op = run->op;
    const struct hff_head *head = &run->head;
    double *grad = s + head->classes, dmargin, share = op->eval ? 1 : run->weight[b];
    float *pi = op->eval ? NULL : run->dcos + b * op->rows;
    struct hff_figures *figures = &run->figures[b];
    hff_scores(head, cos, s, pi);
    for (int64_t c = 0; c < head->classes; c++) run->scores[b * head->classes + c] = (float)s[c];
    *figures = (struct hff_figures){.winner = -1};
    if (op->eval && run->weight[b] == 0) return; /* padding: its label means nothing */
    struct hff_sample sample = {{run->y1[b], run->y2[b]}, {share, 1 - share}, length, length <= 1e-6};
    double loss = hff_loss(head, &sample, s, grad, &dmargin);
    hff_figures(head, &sample, cos, s, loss * run->share, figures);
    if (op->eval)
        for (int i = 0; i < METRICS; i++) figures->metric[i] *= run->weight[b];
    else if (sample.dead)
        memset(pi, 0, sizeof *pi * (size_t)op->rows);
    else
        figures->dscale = row_gradient(run, grad, cos, pi) + dmargin;
}

static char *thread_room(const struct hff_run *run, int thread)
{
    return run->workspace + run->op->threads + (size_t)thread * run->op->thread_bytes;
}

static void piece_task(void *context, int task, int thread)
{
    const struct hff_run *run = context;
    const struct hff_op *op = run->op;
    int piece = task % op->pieces.count, is_short = cut_is_short(&op->pieces, piece);
    int64_t first = task / op->pieces.count * op->samples + cut_start(&op->pieces, piece), width = op->width;
    int64_t count = cut_length(&op->pieces, piece);
    char *own = thread_room(run, thread);
    float *cos = (float *)own, *z = run->z + first * width;
    double *length = (double *)(own + op->thread_lengths), *s = (double *)(own + op->thread_scores);
    for (int64_t i = 0; i < count; i++) length[i] = embed(run->e + (first + i) * width, z + i * width, width);
    product_run(op->cos[is_short], z, run->p, cos, own + op->thread_product);
    for (int64_t i = 0; i < count; i++) row(run, first + i, length[i], cos + i * op->rows, s);
    if (op->eval) return;
    float *de = run->de + first * width;
    product_run(op->dz[is_short], run->dcos + first * op->rows, run->p, de, own + op->thread_product);
    for (int64_t i = 0; i < count; i++)
        if (length[i] <= 1e-6)
            memset(de + i * width, 0, sizeof *de * (size_t)width);
        else
            hff_project(de + i * width, z + i * width, width, 1 / length[i]);
}

/* A task is a sample. */
static void embed_task(void *context, int b, int thread)
{
    const struct hff_run *run = context;
    int64_t width = run->op->width;
    (void)thread;
    ((double *)(run->workspace + run->op->lengths))[b] = embed(run->e + b * width, run->z + b * width, width);
}

static void row_task(void *context, int b, int thread)
{
    const struct hff_run *run = context;
    const struct hff_op *op = run->op;
    const float *cos = (const float *)(run->workspace + op->all_cosines) + b * op->rows;
    row(run, b, ((const double *)(run->workspace + op->lengths))[b], cos,
        (double *)(thread_room(run, thread) + op->thread_scores));
}

static hff_status eval_at_once(struct hff_run *run, struct team *team)
{
    const struct hff_op *op = run->op;
    void *const args[OP_ARGS] = {run->z, (void *)run->p, NULL, run->workspace + op->all_cosines};
    team_run(team, (int)op->batch, embed_task, run);
    TRY(op->cosines->run(op->cosines, team, args, run->workspace + op->inner));
    team_run(team, (int)op->batch, row_task, run);
    return HFF_OK;
}

static void projection_task(void *context, int task, int thread)
{
    const struct hff_run *run = context;
    const struct cut *cut = &run->op->projection;
    int64_t width = run->op->width, first = cut_start(cut, task);
    (void)thread;
    for (int64_t r = first; r < first + cut_length(cut, task); r++)
        hff_project(run->dp + r * width, run->p + r * width, width, 1);
}

static void figures_add(struct hff_figures *into, const struct hff_figures *from)
{
    for (int i = 0; i < METRICS; i++) into->metric[i] += from->metric[i];
    into->dscale += from->dscale;
}

/* All samples' figures into figures[0]; a slice's sum replaces its first sample's. */
static void figures_sum(const struct hff_op *op, struct hff_figures *figures)
{
    int64_t samples = op->samples;
    for (int64_t b = 0; b < op->batch; b++)
        if (b % samples) figures_add(&figures[b - b % samples], &figures[b]);
    TREE (op->base.op.desc.slices, into, from) figures_add(&figures[into * samples], &figures[from * samples]);
}

static struct hff_run run_of(const struct hff_op *op, void *const *args, char *workspace)
{
    const struct op_desc *desc = &op->base.op.desc;
    struct hff_run run = {.op = op, .e = args[0], .p = args[1], .y1 = args[3], .workspace = workspace};
    run.head = (struct hff_head){.classes = desc->arg[1].dim[0],
                                 .per_class = desc->arg[1].dim[1],
                                 .scale = exp(*(const float *)args[2]),
                                 .loss = desc->attr.hff.loss,
                                 .margin = op->eval ? 0 : desc->attr.hff.margin,
                                 .smoothing = op->eval ? 0 : desc->attr.hff.smoothing};
    run.share = op->eval ? 1 : 1 - desc->attr.hff.discount;
    run.y2 = op->eval ? run.y1 : args[4];
    run.weight = args[op->eval ? 4 : 5];
    run.scores = args[op->eval ? 5 : 6];
    run.de = op->eval ? NULL : args[7];
    run.dp = op->dp ? args[8] : NULL;
    run.z = (float *)(workspace + op->z);
    run.dcos = (float *)(workspace + op->dcos);
    run.figures = (struct hff_figures *)(workspace + op->figures);
    return run;
}

static hff_status hff_run(struct cpu_op *base, struct team *team, void *const *args, void *workspace)
{
    const struct hff_op *op = (const struct hff_op *)base;
    const struct op_desc *desc = &base->op.desc;
    struct hff_run run = run_of(op, args, workspace);
    double *metrics = args[op->eval ? 6 : 10];
    if (op->cosines)
        TRY(eval_at_once(&run, team));
    else
        team_run(team, desc->slices * op->pieces.count, piece_task, &run);
    if (op->dp) {
        TRY(op->dp->run(op->dp, team, (void *const[]){run.z, run.dcos, run.dp, NULL}, run.workspace + op->inner));
        team_run(team, op->projection.count, projection_task, &run);
    }
    if (!op->eval && desc->arg[11].rank)
        for (int64_t b = 0; b < op->batch; b++)
            if (run.figures[b].winner >= 0) ((int64_t *)args[11])[run.figures[b].winner]++;
    figures_sum(op, run.figures);
    for (int i = 0; i < METRICS; i++) metrics[i] += run.figures[0].metric[i];
    if (!op->eval && desc->arg[9].rank)
        *(float *)args[9] =
            (float)(run.head.scale * run.share * run.figures[0].dscale / (double)desc->attr.hff.global_batch);
    return HFF_OK;
}

static void hff_destroy(struct cpu_op *base)
{
    struct hff_op *op = (struct hff_op *)base;
    for (int i = 0; i < 2; i++) {
        product_destroy(op->cos[i]);
        product_destroy(op->dz[i]);
    }
    struct cpu_op *inner[] = {op->dp, op->cosines};
    for (int i = 0; i < 2; i++) {
        if (inner[i] && inner[i]->destroy) inner[i]->destroy(inner[i]);
        free(inner[i]);
    }
}

/* Products of a piece with count samples. *scratch grows to what they need. */
static hff_status piece_products(struct hff_op *op, int64_t count, int is_short, size_t *scratch)
{
    int64_t rows = op->rows, width = op->width;
    struct product_desc cos = {
        .m = count, .n = rows, .k = width, .lda = width, .ldb = width, .ldc = rows, .transpose_b = 1};
    struct product_desc dz = {.m = count, .n = width, .k = rows, .lda = rows, .ldb = width, .ldc = width};
    TRY(product_create(&op->cos[is_short], &cos));
    if (!op->eval) TRY(product_create(&op->dz[is_short], &dz));
    size_t need = product_scratch(op->cos[is_short]);
    if (!op->eval && product_scratch(op->dz[is_short]) > need) need = product_scratch(op->dz[is_short]);
    if (need > *scratch) *scratch = need;
    return HFF_OK;
}

static hff_status weight_create(struct cpu_backend *backend, struct hff_op *op, int slices)
{
    struct op_desc desc = {.kind = OP_LINEAR_WEIGHT,
                           .slices = slices,
                           .arg = {tensor_make2(DTYPE_F32, op->batch, op->width),
                                   tensor_make2(DTYPE_F32, op->batch, op->rows),
                                   tensor_make2(DTYPE_F32, op->rows, op->width)}};
    return cpu_linear_weight_create(backend, &desc, &op->dp);
}

static hff_status cosines_create(struct cpu_backend *backend, struct hff_op *op)
{
    struct op_desc desc = {.kind = OP_LINEAR,
                           .slices = 1,
                           .arg = {[0] = tensor_make2(DTYPE_F32, op->batch, op->width),
                                   [1] = tensor_make2(DTYPE_F32, op->rows, op->width),
                                   [3] = tensor_make2(DTYPE_F32, op->batch, op->rows)}};
    return cpu_linear_create(backend, &desc, &op->cosines);
}

static size_t take(size_t *used, size_t bytes)
{
    size_t at = *used;
    *used += align64(bytes);
    return at;
}

/* Everything's place in the workspace. */
static void hff_layout(struct hff_op *op, int threads, size_t product_bytes)
{
    size_t used = 0, batch = (size_t)op->batch, rows = (size_t)op->rows, piece = (size_t)op->pieces.size;
    take(&used, piece * rows * sizeof(float));
    op->thread_lengths = take(&used, piece * sizeof(double));
    op->thread_scores = take(&used, 2 * (size_t)op->base.op.desc.arg[1].dim[0] * sizeof(double));
    op->thread_product = take(&used, product_bytes);
    op->thread_bytes = used;
    used = 0;
    op->z = take(&used, batch * (size_t)op->width * sizeof(float));
    op->dcos = take(&used, op->eval ? 0 : batch * rows * sizeof(float));
    op->figures = take(&used, batch * sizeof(struct hff_figures));
    op->inner = take(&used, op->dp ? op->dp->workspace : op->cosines ? op->cosines->workspace : 0);
    op->lengths = take(&used, op->cosines ? batch * sizeof(double) : 0);
    op->all_cosines = take(&used, op->cosines ? batch * rows * sizeof(float) : 0);
    op->threads = take(&used, (size_t)threads * op->thread_bytes);
    op->base.workspace = used;
}

static hff_status hff_plan(struct cpu_backend *backend, struct hff_op *op, const struct op_desc *desc)
{
    size_t scratch = 0;
    TRY(slice_samples(desc, &op->samples));
    op->eval = desc->kind == OP_HFF_EVAL;
    op->batch = desc->arg[0].dim[0];
    op->width = desc->arg[0].dim[1];
    op->rows = desc->arg[1].dim[0] * desc->arg[1].dim[1];
    op->pieces = cut_even(op->samples, PIECE);
    int at_once = op->eval && desc->slices * op->pieces.count == 1 && op->rows >= ROWS_MANY;
    if (at_once) TRY(cosines_create(backend, op));
    for (int i = 0; i < 2 && !at_once; i++) {
        int piece = i ? op->pieces.count - 1 : 0, is_short = cut_is_short(&op->pieces, piece);
        if (!op->cos[is_short]) TRY(piece_products(op, cut_length(&op->pieces, piece), is_short, &scratch));
    }
    if (!op->eval && desc->arg[8].rank) TRY(weight_create(backend, op, desc->slices));
    op->projection = cut_exact(op->rows, op->width < 16384 ? 16384 / op->width : 1);
    hff_layout(op, backend->base.threads, scratch);
    return HFF_OK;
}

hff_status cpu_hff_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    struct hff_op *op = cpu_op_new(backend, desc, sizeof *op);
    if (!op) return HFF_E_MEMORY;
    op->base.run = hff_run;
    op->base.destroy = hff_destroy;
    hff_status status = hff_plan(backend, op, desc);
    if (status != HFF_OK) {
        hff_destroy(&op->base);
        free(op);
        return status;
    }
    *out = &op->base;
    return HFF_OK;
}

hff_status cpu_hff_eval_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    return cpu_hff_create(backend, desc, out);
}
