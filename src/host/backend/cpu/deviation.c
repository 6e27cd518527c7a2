/* deviation: the standard deviation of a channel's positions, and the way back, dx = dy (x - mean) / ((n - 1) y); a task is
 * a few planes. Two passes in f64, the second from the cache; the way back takes the moments anew.
 * Bytes: deviation reads x; deviation_back reads x, writes dx. */
#include "planes.h"

#include <math.h>

struct deviation_op {
    struct cpu_op base;
    struct planes planes;
    int64_t blocks, channels, area; /* of a sample: planes, channels; positions */
};

struct deviation_run {
    const struct deviation_op *op;
    const void *x;
    float *y; /* or dy */
    void *dx; /* NULL: forward */
};

/* Adds the positions' (x - mean)^power to sum. */
INLINE void add_plane(int lanes, enum dtype type, const void *x, int64_t at, int64_t area, const double *mean,
                      double *sum)
{
    if (lanes == 1) {
        for (int64_t i = at; i < at + area; i++) {
            double v = mean ? element_get(type, x, i) - mean[0] : 1;
            sum[0] += mean ? v * v : element_get(type, x, i);
        }
        return;
    }
    quad64 acc[QUADS], shift[QUADS];
    load_f64(lanes, acc, sum);
    zero_f64(shift);
    if (mean) load_f64(lanes, shift, mean);
    for (int64_t i = at; i < at + area * lanes; i += lanes)
        if (mean)
            add_deviations(lanes, type, acc, x, i, shift);
        else
            add_elements(lanes, type, acc, x, i);
    store_f64(lanes, sum, acc);
}

/* y (channels of them count) or, from dy, the plane's dx. */
INLINE void deviation_plane(int lanes, enum dtype type, const struct deviation_run *run, int64_t at, int channels,
                            float *y)
{
    int64_t area = run->op->area;
    double mean[LANES] = {0}, square[LANES] = {0};
    float shift[LANES], factor[LANES];
    add_plane(lanes, type, run->x, at, area, NULL, mean);
    for (int l = 0; l < lanes; l++) mean[l] /= (double)area;
    add_plane(lanes, type, run->x, at, area, mean, square);
    for (int l = 0; l < lanes; l++) {
        double deviation = sqrt(square[l] / (double)(area - 1));
        if (!run->dx && l < channels) y[l] = (float)deviation;
        shift[l] = (float)mean[l];
        factor[l] = run->dx && l < channels && deviation > 0 ? (float)(y[l] / (deviation * (double)(area - 1))) : 0;
    }
    for (int64_t i = at; run->dx && i < at + area * lanes; i += lanes)
#pragma omp simd
        for (int l = 0; l < lanes; l++)
            element_put(type, run->dx, i + l, (element_get(type, run->x, i + l) - shift[l]) * factor[l]);
}

CPU_SIMD static void deviation_planes(const struct planes *planes, const struct deviation_run *run, int64_t at,
                                      int channels, float *y)
{
#define CALL(lanes, type) deviation_plane(lanes, type, run, at, channels, y)
    EACH_PLANE(planes, CALL)
#undef CALL
}

static void deviation_task(void *context, int task, int thread)
{
    const struct deviation_run *run = context;
    const struct deviation_op *op = run->op;
    const struct planes *planes = &op->planes;
    int64_t first = cut_start(&planes->cut, task);
    (void)thread;
    for (int64_t i = first; i < first + cut_length(&planes->cut, task); i++) {
        int64_t channel = i % op->blocks * planes->lanes, left = op->channels - channel;
        deviation_planes(planes, run, i * op->area * planes->lanes, left < planes->lanes ? (int)left : planes->lanes,
                         run->y + i / op->blocks * op->channels + channel);
    }
}

static hff_status deviation_run(struct cpu_op *base, struct team *team, void *const *args, void *workspace)
{
    const struct deviation_op *op = (const struct deviation_op *)base;
    int back = base->op.desc.kind == OP_DEVIATION_BACK;
    struct deviation_run run = {op, args[0], args[1], back ? args[2] : NULL};
    (void)workspace;
    team_run(team, op->planes.cut.count, deviation_task, &run);
    return HFF_OK;
}

hff_status cpu_deviation_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    struct planes planes;
    const struct tensor *x = &desc->arg[0];
    TRY(planes_make(&planes, x, desc->kind == OP_DEVIATION_BACK ? &desc->arg[2] : x));
    struct deviation_op *op = cpu_op_new(backend, desc, sizeof *op);
    if (!op) return HFF_E_MEMORY;
    op->planes = planes;
    op->channels = x->dim[1];
    op->blocks = (x->dim[1] + planes.lanes - 1) / planes.lanes;
    op->area = tensor_area(x);
    op->base.run = deviation_run;
    *out = &op->base;
    return HFF_OK;
}

hff_status cpu_deviation_back_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    return cpu_deviation_create(backend, desc, out);
}
