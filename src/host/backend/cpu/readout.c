/* readout: softmax of a linear read-out, its gradient, and the sum over stages. A task is a few samples.
 * Bytes: reads logits (and total), writes dlogits and total. */
#include "figures.h"
#include "tiles.h"

#include <math.h>

struct readout_op {
    struct cpu_op base;
    struct cut cut; /* samples */
};

struct readout_run {
    const struct readout_op *op;
    void *const *args;
    struct sample_figures *figures; /* NULL: not wanted */
};

enum { TASK_ELEMENTS = 4096 };

static void readout_task(void *context, int task, int thread)
{
    const struct readout_run *run = context;
    const struct op_desc *d = &run->op->base.op.desc;
    int64_t classes = d->arg[0].dim[1];
    (void)thread;
    for (int64_t i = 0; i < cut_length(&run->op->cut, task); i++) {
        int64_t b = cut_start(&run->op->cut, task) + i;
        const float *s = (const float *)run->args[0] + b * classes;
        float *total = run->args[3], *dlogits = run->args[4];
        int32_t label = ((const int32_t *)run->args[1])[b];
        if (run->figures) run->figures[b] = (struct sample_figures){{0}};
        double shift = figures_softmax(s, classes, label, ((const float *)run->args[2])[b],
                                       run->figures ? &run->figures[b] : NULL);
        for (int64_t c = 0, at = b * classes; c < classes; c++, at++) {
            double log_p = s[c] - shift;
            if (total) total[at] = (float)(d->attr.readout.first ? log_p : total[at] + log_p);
            if (dlogits) dlogits[at] = (float)((exp(log_p) - (c == label)) / (double)d->attr.readout.global_batch);
        }
    }
}

static hff_status readout_run(struct cpu_op *base, struct team *team, void *const *args, void *workspace)
{
    const struct readout_op *op = (const struct readout_op *)base;
    struct readout_run run = {op, args, base->op.desc.arg[5].rank ? workspace : NULL};
    team_run(team, op->cut.count, readout_task, &run);
    if (run.figures) figures_total(run.figures, op->cut.total, base->op.desc.slices, args[5]);
    return HFF_OK;
}

hff_status cpu_readout_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    TRY(cpu_check_types(desc));
    struct readout_op *op = cpu_op_new(backend, desc, sizeof *op);
    if (!op) return HFF_E_MEMORY;
    int64_t classes = desc->arg[0].dim[1];
    op->cut = cut_exact(desc->arg[0].dim[0], classes < TASK_ELEMENTS ? TASK_ELEMENTS / classes : 1);
    if (desc->arg[5].rank) op->base.workspace = (size_t)op->cut.total * sizeof(struct sample_figures);
    op->base.run = readout_run;
    *out = &op->base;
    return HFF_OK;
}
