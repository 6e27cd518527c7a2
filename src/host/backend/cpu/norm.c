/* norm: a task is a group of channels. It computes the group's statistics and then normalises it, so the op has one
 * phase.
 *
 * Statistics: mean and squared deviations of each chunk, both while it is in the first-level cache and in f64, joined
 * in the order of the chunks inside a slice and by the tree between slices (Chan, Golub, LeVeque 1979: pairwise
 * updating). That is the two passes' accuracy for one reading of memory.
 * Bytes: reads x twice, writes y: 3 times x. The second reading goes backwards, so that it begins with what the
 * cache still holds. */
#include "norm.h"

#include <math.h>

struct norm_op {
    struct cpu_op base;
    struct groups groups;
    size_t thread_bytes;
};

/* Mean and sum of squared deviations of count values a channel. */
struct moments {
    double count, mean[LANES], m2[LANES];
};

/* A thread's scratch memory. */
struct room {
    float in[CHUNK * LANES], out[CHUNK * LANES];
    struct moments slice[];
};

struct norm_run {
    const struct norm_op *op;
    const void *x;
    const float *gamma, *beta;
    float *mean, *invstd, *run_mean, *run_var;
    void *y;
    char *workspace;
};

/* ahead: lines that are wanted next, or NULL; memory is idle in the second pass. */
INLINE void moments_lanes(int lanes, enum dtype type, const void *x, const void *ahead, int64_t lines,
                          struct moments *out)
{
    quad64 mean[QUADS], m2[QUADS];
    zero_f64(mean);
    for (int64_t i = 0; i < lines; i++) add_elements(lanes, type, mean, x, i * lanes);
    scale_f64(mean, 1 / (double)lines);
    zero_f64(m2);
    if (!ahead) ahead = x;
    for (int64_t i = 0; i < lines; i++) {
        __builtin_prefetch(element_at(type, ahead, i * lanes));
        add_deviations(lanes, type, m2, x, i * lanes, mean);
    }
    out->count = (double)lines;
    store_f64(lanes, out->mean, mean);
    store_f64(lanes, out->m2, m2);
}

CPU_SIMD static void moments_lines(const struct groups *groups, const void *x, const void *ahead, int64_t lines,
                                   struct moments *out){
#define CALL(lanes, type, out) moments_lanes(lanes, type, x, ahead, lines, out)
    EACH_LINE(groups->lanes, groups->line_type, CALL, out)
#undef CALL
}

CPU_SIMD static void moments_join(struct moments *into, const struct moments *from)
{
    double count = into->count + from->count, share = from->count / count, weight = into->count * share;
#pragma omp simd
    for (int l = 0; l < LANES; l++) {
        double delta = from->mean[l] - into->mean[l];
        into->mean[l] += delta * share;
        into->m2[l] += from->m2[l] + delta * delta * weight;
    }
    into->count = count;
}

/* Of the whole batch, into room->slice[0]. */
static void group_moments(const struct norm_run *run, int group, struct room *room)
{
    const struct groups *groups = &run->op->groups;
    int slices = run->op->base.op.desc.slices;
    struct moments part = {0};
    for (int s = 0; s < slices; s++) {
        room->slice[s] = (struct moments){0};
        for (int64_t i = 0; i < groups->chunks; i++) {
            struct chunk chunk = chunk_at(groups, s, i);
            const void *x = chunk_get(groups, group, &chunk, run->x, room->in);
            moments_lines(groups, x, chunk_ahead(groups, group, s, i + 1, run->x), chunk.count, &part);
            moments_join(&room->slice[s], &part);
        }
    }
    TREE (slices, into, from) moments_join(&room->slice[into], &room->slice[from]);
}

static void norm_statistics(const struct norm_run *run, int group, const struct moments *m, struct norm_lanes *n)
{
    const struct op_desc *desc = &run->op->base.op.desc;
    double unbiased = m->count > 1 ? m->count / (m->count - 1) : 1, momentum = desc->attr.norm.momentum;
    int64_t first = (int64_t)group * run->op->groups.lanes;
    int channels = group_channels(&run->op->groups, group);
    *n = (struct norm_lanes){0};
    for (int l = 0; l < channels; l++) {
        int64_t c = first + l;
        double var = m->m2[l] / m->count;
        run->mean[c] = n->mean[l] = (float)m->mean[l];
        run->invstd[c] = n->invstd[l] = (float)(1 / sqrt(var + desc->attr.norm.eps));
        if (run->run_mean) run->run_mean[c] = (float)(run->run_mean[c] + momentum * (m->mean[l] - run->run_mean[c]));
        if (run->run_var) run->run_var[c] = (float)(run->run_var[c] + momentum * (var * unbiased - run->run_var[c]));
        n->gamma[l] = run->gamma[c];
        n->beta[l] = run->beta[c];
    }
}

INLINE void norm_block(int lanes, enum dtype type, enum act act, const struct norm_lanes *n, const void *x, void *y,
                       int64_t lines)
{
    const struct norm_lanes own = *n;
    for (int64_t i = 0; i < lines; i++) {
#pragma omp simd
        for (int l = 0; l < lanes; l++) {
            float hat = norm_hat(&own, l, element_get(type, x, i * lanes + l));
            element_put(type, y, i * lanes + l, act_value(act, norm_value(&own, l, hat)));
        }
    }
}

CPU_SIMD void norm_lines(enum act act, const struct groups *groups, const struct norm_lanes *n, const void *x, void *y,
                         int64_t lines)
{
#define BLOCK(lanes, type, act) norm_block(lanes, type, act, n, x, y, lines)
#define CALL(name, word, value, slope)                                                                                 \
    case ACT_##name: EACH_LINE(groups->lanes, groups->line_type, BLOCK, ACT_##name) break;
    EACH_ACT(act, CALL)
#undef CALL
#undef BLOCK
}

static void norm_task(void *context, int group, int thread)
{
    const struct norm_run *run = context;
    const struct groups *groups = &run->op->groups;
    const struct op_desc *desc = &run->op->base.op.desc;
    struct room *room = (struct room *)(run->workspace + (size_t)thread * run->op->thread_bytes);
    struct norm_lanes n;
    group_moments(run, group, room);
    norm_statistics(run, group, &room->slice[0], &n);
    for (int s = desc->slices - 1; s >= 0; s--)
        for (int64_t i = groups->chunks - 1; i >= 0; i--) {
            struct chunk chunk = chunk_at(groups, s, i);
            const void *x = chunk_get(groups, group, &chunk, run->x, room->in);
            void *y = chunk_room(groups, group, &chunk, run->y, room->out);
            norm_lines(desc->attr.norm.act, groups, &n, x, y, chunk.count);
            chunk_put(groups, group, &chunk, run->y, y);
        }
}

static hff_status norm_run(struct cpu_op *base, struct team *team, void *const *args, void *workspace)
{
    const struct norm_op *op = (const struct norm_op *)base;
    struct norm_run run = {op, args[0], args[1], args[2], args[3], args[4], args[5], args[6], args[7], workspace};
    team_run(team, op->groups.count, norm_task, &run);
    return HFF_OK;
}

hff_status cpu_norm_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    struct groups groups;
    TRY(groups_make(&groups, &desc->arg[0], desc->slices));
    TRY(groups_same(&desc->arg[0], &desc->arg[7]));
    struct norm_op *op = cpu_op_new(backend, desc, sizeof *op);
    if (!op) return HFF_E_MEMORY;
    op->groups = groups;
    op->thread_bytes = align64(sizeof(struct room) + (size_t)desc->slices * sizeof(struct moments));
    op->base.workspace = op->thread_bytes * (size_t)backend->base.threads;
    op->base.run = norm_run;
    *out = &op->base;
    return HFF_OK;
}
