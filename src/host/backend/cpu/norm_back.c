/* norm_back: a task is a group of channels, as in norm. With v = (x - mean) invstd and g = dy act'(gamma v + beta),
 * over the n values of a channel: dbeta = sum g, dgamma = sum g v, dx = gamma invstd (g - dbeta / n - v dgamma / n).
 *
 * Sums are f64: inside a slice in the order of the positions, between slices by the tree.
 * Bytes: reads x and dy twice, writes dx: 5 times x; the second reading goes backwards. */
#include "norm.h"

struct back_op {
    struct cpu_op base;
    struct groups groups;
    size_t thread_bytes;
};

struct sums {
    double g[LANES], gv[LANES];
};

/* A thread's scratch memory. */
struct room {
    float x[CHUNK * LANES], dy[CHUNK * LANES];
    struct sums slice[];
};

struct back_run {
    const struct back_op *op;
    const void *x;
    const float *gamma, *beta, *mean, *invstd;
    const void *dy;
    void *dx;
    float *dgamma, *dbeta;
    char *workspace;
};

/* What dx needs besides: gamma invstd, dbeta / n, dgamma / n. */
struct shift {
    float scale[LANES], g[LANES], gv[LANES];
};

INLINE void sums_lanes(int lanes, enum dtype type, enum act act, const struct norm_lanes *n, const void *x,
                       const void *dy, int64_t lines, struct sums *out)
{
    const struct norm_lanes own = *n;
    quad64 sum_g[QUADS], sum_gv[QUADS];
    zero_f64(sum_g);
    zero_f64(sum_gv);
    for (int64_t i = 0; i < lines; i++) {
        double f64_g[LANES], f64_gv[LANES];
#pragma omp simd
        for (int l = 0; l < lanes; l++) {
            float v = norm_hat(&own, l, element_get(type, x, i * lanes + l));
            float g = element_get(type, dy, i * lanes + l) * act_slope(act, norm_value(&own, l, v));
            f64_g[l] = g;
            f64_gv[l] = g * v;
        }
        add_f64(lanes, sum_g, f64_g);
        add_f64(lanes, sum_gv, f64_gv);
    }
    store_f64(lanes, out->g, sum_g);
    store_f64(lanes, out->gv, sum_gv);
}

CPU_SIMD static void sums_lines(enum act act, const struct groups *groups, const struct norm_lanes *n, const void *x,
                                const void *dy, int64_t lines, struct sums *out)
{
#define SUMS(lanes, type, act) sums_lanes(lanes, type, act, n, x, dy, lines, out)
#define CALL(name, word, value, slope)                                                                                 \
    case ACT_##name: EACH_LINE(groups->lanes, groups->line_type, SUMS, ACT_##name) break;
    EACH_ACT(act, CALL)
#undef CALL
#undef SUMS
}

INLINE void dx_lanes(int lanes, enum dtype type, enum act act, const struct norm_lanes *n, const struct shift *shift,
                     const void *x, const void *dy, int64_t lines, void *dx)
{
    const struct norm_lanes own = *n;
    const struct shift by = *shift;
    for (int64_t i = 0; i < lines; i++) {
#pragma omp simd
        for (int l = 0; l < lanes; l++) {
            int64_t at = i * lanes + l;
            float v = norm_hat(&own, l, element_get(type, x, at));
            float g = element_get(type, dy, at) * act_slope(act, norm_value(&own, l, v));
            element_put(type, dx, at, by.scale[l] * (g - by.g[l] - v * by.gv[l]));
        }
    }
}

CPU_SIMD static void dx_lines(enum act act, const struct groups *groups, const struct norm_lanes *n,
                              const struct shift *shift, const void *x, const void *dy, int64_t lines, void *dx)
{
#define DX(lanes, type, act) dx_lanes(lanes, type, act, n, shift, x, dy, lines, dx)
#define CALL(name, word, value, slope)                                                                                 \
    case ACT_##name: EACH_LINE(groups->lanes, groups->line_type, DX, ACT_##name) break;
    EACH_ACT(act, CALL)
#undef CALL
#undef DX
}

CPU_SIMD static void sums_join(struct sums *into, const struct sums *from)
{
#pragma omp simd
    for (int l = 0; l < LANES; l++) {
        into->g[l] += from->g[l];
        into->gv[l] += from->gv[l];
    }
}

/* Of the whole batch, into room->slice[0]. */
static void group_sums(const struct back_run *run, int group, const struct norm_lanes *n, struct room *room)
{
    const struct groups *groups = &run->op->groups;
    const struct op_desc *desc = &run->op->base.op.desc;
    struct sums part = {{0}, {0}};
    for (int s = 0; s < desc->slices; s++) {
        room->slice[s] = (struct sums){{0}, {0}};
        for (int64_t i = 0; i < groups->chunks; i++) {
            struct chunk chunk = chunk_at(groups, s, i);
            const void *x = chunk_get(groups, group, &chunk, run->x, room->x);
            const void *dy = chunk_get(groups, group, &chunk, run->dy, room->dy);
            sums_lines(desc->attr.norm.act, groups, n, x, dy, chunk.count, &part);
            sums_join(&room->slice[s], &part);
        }
    }
    TREE (desc->slices, into, from) sums_join(&room->slice[into], &room->slice[from]);
}

static void back_results(const struct back_run *run, int group, const struct norm_lanes *n, const struct sums *sums,
                         struct shift *shift)
{
    const struct op_desc *desc = &run->op->base.op.desc;
    const struct groups *groups = &run->op->groups;
    double count = (double)(desc->arg[0].dim[0] * groups->area);
    int channels = group_channels(groups, group);
    *shift = (struct shift){{0}, {0}, {0}};
    for (int l = 0; l < channels; l++) {
        run->dbeta[group * groups->lanes + l] = (float)sums->g[l];
        run->dgamma[group * groups->lanes + l] = (float)sums->gv[l];
        shift->scale[l] = n->gamma[l] * n->invstd[l];
        shift->g[l] = (float)(sums->g[l] / count);
        shift->gv[l] = (float)(sums->gv[l] / count);
    }
}

static void back_task(void *context, int group, int thread)
{
    const struct back_run *run = context;
    const struct groups *groups = &run->op->groups;
    const struct op_desc *desc = &run->op->base.op.desc;
    struct room *room = (struct room *)(run->workspace + (size_t)thread * run->op->thread_bytes);
    struct norm_lanes n;
    struct shift shift;
    group_channel_values(groups, group, run->gamma, n.gamma);
    group_channel_values(groups, group, run->beta, n.beta);
    group_channel_values(groups, group, run->mean, n.mean);
    group_channel_values(groups, group, run->invstd, n.invstd);
    group_sums(run, group, &n, room);
    back_results(run, group, &n, &room->slice[0], &shift);
    for (int s = desc->slices - 1; s >= 0; s--)
        for (int64_t i = groups->chunks - 1; i >= 0; i--) {
            struct chunk chunk = chunk_at(groups, s, i);
            const void *x = chunk_get(groups, group, &chunk, run->x, room->x);
            const void *dy = chunk_get(groups, group, &chunk, run->dy, room->dy);
            void *dx = chunk_room(groups, group, &chunk, run->dx, room->dy);
            dx_lines(desc->attr.norm.act, groups, &n, &shift, x, dy, chunk.count, dx);
            chunk_put(groups, group, &chunk, run->dx, dx);
        }
}

static hff_status back_run(struct cpu_op *base, struct team *team, void *const *args, void *workspace)
{
    const struct back_op *op = (const struct back_op *)base;
    struct back_run run = {op,      args[0], args[1], args[2], args[3],  args[4],
                           args[5], args[6], args[7], args[8], workspace};
    team_run(team, op->groups.count, back_task, &run);
    return HFF_OK;
}

hff_status cpu_norm_back_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    struct groups groups;
    TRY(groups_make(&groups, &desc->arg[0], desc->slices));
    TRY(groups_same(&desc->arg[0], &desc->arg[5]));
    TRY(groups_same(&desc->arg[0], &desc->arg[6]));
    struct back_op *op = cpu_op_new(backend, desc, sizeof *op);
    if (!op) return HFF_E_MEMORY;
    op->groups = groups;
    op->thread_bytes = align64(sizeof(struct room) + (size_t)desc->slices * sizeof(struct sums));
    op->base.workspace = op->thread_bytes * (size_t)backend->base.threads;
    op->base.run = back_run;
    *out = &op->base;
    return HFF_OK;
}
