/* negatives, overlay and columns: labels, and what they do to the first layer's input or output. A task is a few rows.
 * Bytes: negatives reads the labels and, where there are any, the scores; overlay reads a row of x and writes one of y;
 * columns reads span values of every row of w and class, and writes t. */
#include "../wrong_label.h"
#include "element.h"
#include "tiles.h"

enum { TASK_ELEMENTS = 16384 };

struct label_op {
    struct cpu_op base;
    struct cut cut;
};

struct label_run {
    const struct label_op *op;
    void *const *args;
    char *workspace;
};

static hff_status run_tasks(struct cpu_op *base, struct team *team, void *const *args, void *workspace, team_task task)
{
    const struct label_op *op = (const struct label_op *)base;
    struct label_run run = {op, args, workspace};
    team_run(team, op->cut.count, task, &run);
    return HFF_OK;
}

/* rows of width elements, cut into tasks. */
static hff_status create(struct cpu_backend *backend, const struct op_desc *desc, int64_t rows, int64_t width,
                         struct label_op **out)
{
    TRY(cpu_check_types(desc));
    *out = cpu_op_new(backend, desc, sizeof **out);
    if (!*out) return HFF_E_MEMORY;
    (*out)->cut = cut_exact(rows, width < TASK_ELEMENTS ? TASK_ELEMENTS / width : 1);
    return HFF_OK;
}

/* ---- negatives ---- */

static void negatives_task(void *context, int task, int thread)
{
    const struct label_run *run = context;
    const struct op_desc *d = &run->op->base.op.desc;
    const int32_t *y = run->args[0];
    const int64_t *tick = run->args[1];
    int64_t step = tick[TICK_STEP], sample = tick[TICK_SAMPLE];
    const float *score = step >= d->attr.negatives.from ? run->args[2] : NULL;
    int32_t *labels = run->args[3];
    int classes = d->attr.negatives.classes;
    double *own = score ? (double *)run->workspace + (int64_t)thread * classes : NULL;
    int64_t first = cut_start(&run->op->cut, task);
    for (int64_t b = first; b < first + cut_length(&run->op->cut, task); b++) {
        for (int c = 0; score && c < classes; c++) own[c] = score[b * classes + c];
        labels[2 * b] = y[b];
        labels[2 * b + 1] = wrong_label(d->attr.negatives.seed, step, sample + b, y[b], classes, own);
    }
}

static hff_status negatives_run(struct cpu_op *base, struct team *team, void *const *args, void *workspace)
{
    return run_tasks(base, team, args, workspace, negatives_task);
}

hff_status cpu_negatives_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    struct label_op *op;
    TRY(create(backend, desc, desc->arg[0].dim[0], 64 + 16 * (int64_t)desc->attr.negatives.classes, &op));
    if (desc->arg[2].rank)
        op->base.workspace = (size_t)backend->base.threads * (size_t)desc->attr.negatives.classes * sizeof(double);
    op->base.run = negatives_run;
    *out = &op->base;
    return HFF_OK;
}

/* ---- overlay ---- */

/* A class's place in a row and the number of its values. */
struct label_place {
    int64_t first, span;
};

static struct label_place place_of(const struct op_desc *d)
{
    int64_t width = tensor_row(&d->arg[4]), area = d->attr.overlay.area;
    switch (d->attr.overlay.kind) {
    case OVERLAY_PIXELS: return (struct label_place){0, 1};
    case OVERLAY_PLANE: return (struct label_place){width - area, 1};
    case OVERLAY_PLANES: return (struct label_place){width - d->attr.overlay.classes * area, area};
    }
    return (struct label_place){0, 1};
}

static void overlay_task(void *context, int task, int thread)
{
    const struct label_run *run = context;
    const struct op_desc *d = &run->op->base.op.desc;
    const float *x = run->args[0], on = *(const float *)run->args[1], rest = (float)(on * d->attr.overlay.rest);
    const int32_t *labels = run->args[2];
    const int64_t *tick = run->args[3];
    int64_t rows = d->arg[4].dim[0], width = tensor_row(&d->arg[4]), image = x ? d->arg[0].dim[1] : 0;
    int64_t each = x ? rows / d->arg[0].dim[0] : rows;
    struct label_place place = place_of(d);
    (void)thread;
    for (int64_t i = 0; i < cut_length(&run->op->cut, task); i++) {
        int64_t e = cut_start(&run->op->cut, task) + i;
        int64_t label = labels ? labels[e] : tick ? tick[TICK_PASS] * each + e % each : -1;
        float *y = (float *)run->args[4] + e * width, *to = y + place.first;
        if (x) memcpy(y, x + e / each * image, sizeof *y * (size_t)image);
        memset(y + image, 0, sizeof *y * (size_t)(width - image));
        for (int64_t c = 0; c < d->attr.overlay.classes; c++)
            for (int64_t k = 0; k < place.span; k++) to[c * place.span + k] = c == label ? on : rest;
    }
}

static hff_status overlay_run(struct cpu_op *base, struct team *team, void *const *args, void *workspace)
{
    return run_tasks(base, team, args, workspace, overlay_task);
}

hff_status cpu_overlay_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    struct label_op *op;
    if (desc->arg[4].layout != LAYOUT_PLAIN) return fail(HFF_E_CONFIG, "labels are written into plain images only");
    TRY(create(backend, desc, desc->arg[4].dim[0], tensor_row(&desc->arg[4]), &op));
    op->base.run = overlay_run;
    *out = &op->base;
    return HFF_OK;
}

/* ---- columns ---- */

static void columns_task(void *context, int task, int thread)
{
    const struct label_run *run = context;
    const struct op_desc *d = &run->op->base.op.desc;
    const float *w = run->args[0], on = *(const float *)run->args[1];
    int64_t rows = d->arg[3].dim[0], in = d->arg[0].dim[1], out = d->arg[0].dim[0], span = d->attr.columns.span;
    int64_t base = ((const int64_t *)run->args[2])[TICK_PASS] * rows, first = cut_start(&run->op->cut, task);
    (void)thread;
    for (int64_t o = first; o < first + cut_length(&run->op->cut, task); o++)
        for (int64_t r = 0; r < rows; r++) {
            const float *of = w + o * in + d->attr.columns.first + (base + r) * span;
            double sum = 0;
            for (int64_t i = 0; base + r < d->attr.columns.classes && i < span; i++) sum += of[i];
            element_put(d->arg[3].dtype, run->args[3], r * out + o, (float)(on * sum));
        }
}

static hff_status columns_run(struct cpu_op *base, struct team *team, void *const *args, void *workspace)
{
    return run_tasks(base, team, args, workspace, columns_task);
}

hff_status cpu_columns_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    struct label_op *op;
    TRY(create(backend, desc, desc->arg[0].dim[0], desc->arg[3].dim[0] * desc->attr.columns.span, &op));
    op->base.run = columns_run;
    *out = &op->base;
    return HFF_OK;
}
