/* grad_norm: norms of a stage's gradients, the clipping factor, and the latch. Tasks are fixed chunks of the groups'
 * gradients; the chunks' f64 sums are combined by the tree, group by group.
 * Bytes: reads every gradient once: 4 an element. */
#include "cut.h"
#include "lanes.h"

#include <math.h>

enum { CHUNK_FLOATS = 65536 };

struct grad_op {
    struct cpu_op base;
    struct cuts cuts;
};

struct grad_run {
    const struct grad_op *op;
    void *const *args;
    double *sum; /* of each chunk */
};

CPU_SIMD static double chunk_squares(const float *g, int64_t n)
{
    return sum_squares(g, n);
}

static void grad_task(void *context, int task, int thread)
{
    const struct grad_run *run = context;
    int piece = task, group = cuts_find(&run->op->cuts, &piece);
    const struct cut *cut = &run->op->cuts.cut[group];
    (void)thread;
    run->sum[task] = chunk_squares((const float *)run->args[group] + cut_start(cut, piece), cut_length(cut, piece));
}

static double group_squares(double *sum, int chunks)
{
    TREE (chunks, into, from) sum[into] += sum[from];
    return chunks > 0 ? sum[0] : 0;
}

static hff_status grad_run(struct cpu_op *base, struct team *team, void *const *args, void *workspace)
{
    const struct grad_op *op = (const struct grad_op *)base;
    const double *hyper = args[GRAD_GROUPS];
    double *norm = args[GRAD_GROUPS + 1], *sum = workspace, squares[2] = {0, 0},
           clip = base->op.desc.attr.grad_norm.clip;
    struct grad_run run = {op, args, sum};
    team_run(team, op->cuts.count, grad_task, &run);
    for (int group = 0; group < GRAD_GROUPS; sum += op->cuts.cut[group].count, group++)
        squares[group >= GRAD_GROUPS_BODY] += group_squares(sum, op->cuts.cut[group].count);
    double whole = sqrt(squares[0] + squares[1]);
    norm[NORM_BODY] = sqrt(squares[0]);
    norm[NORM_HEAD] = sqrt(squares[1]);
    norm[NORM_FACTOR] = clip > 0 && isfinite(whole) && whole > clip ? clip / whole : 1;
    if (!isfinite(whole) && norm[NORM_LATCH] == 0) norm[NORM_LATCH] = hyper[HYPER_STEP];
    return HFF_OK;
}

hff_status cpu_grad_norm_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    for (int group = 0; group < GRAD_GROUPS; group++)
        if (desc->arg[group].rank && desc->arg[group].dtype != DTYPE_F32)
            return fail(HFF_E_CONFIG, "the cpu backend computes in f32, not %s; use run.dtype: f32",
                        dtype_name(desc->arg[group].dtype));
    struct grad_op *op = cpu_op_new(backend, desc, sizeof *op);
    if (!op) return HFF_E_MEMORY;
    for (int group = 0; group < GRAD_GROUPS; group++) {
        const struct tensor *g = &desc->arg[group];
        if (g->rank) cuts_add(&op->cuts, group, cut_exact((int64_t)(tensor_bytes(g) / sizeof(float)), CHUNK_FLOATS));
    }
    op->base.workspace = (size_t)op->cuts.count * sizeof(double);
    op->base.run = grad_run;
    *out = &op->base;
    return HFF_OK;
}
