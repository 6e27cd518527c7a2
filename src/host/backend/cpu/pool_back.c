/* pool_back: a task is a few planes. Windows that tile x exactly write every dx once; others add to zeroed dx, window
 * by window in row-major order.
 * Bytes: reads dy and the index, writes dx: 4 + 5 / stride^2 an element of dx (max), 4 + 4 / stride^2 (average). */
#include "planes.h"

struct back_op {
    struct cpu_op base;
    struct planes planes;
};

struct back_run {
    const struct back_op *op;
    const uint8_t *index; /* NULL: average */
    const float *dy;
    float *dx;
};

struct window {
    int kernel, stride, tiles; /* tiles: no element of dx is in two windows or in none */
    int64_t height, width, out_height, out_width;
};

/* What one output gives to its window. */
INLINE void back_position(int lanes, int kernel, int tiles, int64_t width, const uint8_t *index, const float *dy,
                          float *dx)
{
    float g[LANES];
    int32_t place[LANES];
    float scale = index ? 1 : 1 / (float)(kernel * kernel);
#pragma omp simd
    for (int l = 0; l < lanes; l++) {
        g[l] = dy[l] * scale;
        place[l] = index ? index[l] : 0;
    }
#pragma GCC unroll 2
    for (int r = 0; r < kernel; r++)
#pragma GCC unroll 2
        for (int c = 0; c < kernel; c++) {
            float *to = dx + (r * width + c) * lanes;
#pragma omp simd
            for (int l = 0; l < lanes; l++) {
                float v = !index || place[l] == r * kernel + c ? g[l] : 0;
                to[l] = tiles ? v : to[l] + v;
            }
        }
}

INLINE void back_plane(int lanes, int kernel, int tiles, const struct window *w, const uint8_t *index, const float *dy,
                       float *dx)
{
    for (int64_t i = 0; i < w->out_height; i++) {
        if (tiles && i + 1 < w->out_height)
            foresee(dx + ((i + 1) * w->stride * w->width) * lanes, w->stride * w->width * lanes);
        for (int64_t j = 0; j < w->out_width; j++, dy += lanes) {
            back_position(lanes, kernel, tiles, w->width, index, dy, dx + (i * w->width + j) * w->stride * lanes);
            if (index) index += lanes;
        }
    }
}

CPU_SIMD static void back_planes(int lanes, const struct window *w, const uint8_t *index, const float *dy, float *dx)
{
    if (!w->tiles) memset(dx, 0, sizeof(float) * (size_t)(w->height * w->width * lanes));
#define CALL(lanes_)                                                                                                   \
    if (w->kernel == 2 && w->tiles && index)                                                                           \
        back_plane(lanes_, 2, 1, w, index, dy, dx);                                                                    \
    else if (index)                                                                                                    \
        back_plane(lanes_, w->kernel, w->tiles, w, index, dy, dx);                                                     \
    else                                                                                                               \
        back_plane(lanes_, w->kernel, w->tiles, w, NULL, dy, dx)
    EACH_LANES(lanes, CALL)
#undef CALL
}

static void back_task(void *context, int task, int thread)
{
    const struct back_run *run = context;
    const struct planes *planes = &run->op->planes;
    const struct op_desc *desc = &run->op->base.op.desc;
    const struct tensor *out = &desc->arg[1], *in = &desc->arg[2];
    int kernel = desc->attr.pool.kernel, stride = desc->attr.pool.stride;
    int tiles = kernel == stride && out->dim[2] * stride == in->dim[2] && out->dim[3] * stride == in->dim[3];
    struct window w = {kernel, stride, tiles, in->dim[2], in->dim[3], out->dim[2], out->dim[3]};
    int64_t first = cut_start(&planes->cut, task), out_area = tensor_area(out), in_area = tensor_area(in);
    (void)thread;
    for (int64_t i = first; i < first + cut_length(&planes->cut, task); i++)
        back_planes(planes->lanes, &w, run->index ? run->index + i * out_area * planes->lanes : NULL,
                    run->dy + i * out_area * planes->lanes, run->dx + i * in_area * planes->lanes);
}

static hff_status back_run(struct cpu_op *base, struct team *team, void *const *args, void *workspace)
{
    const struct back_op *op = (const struct back_op *)base;
    struct back_run run = {op, base->op.desc.attr.pool.kind == POOL_MAX ? args[0] : NULL, args[1], args[2]};
    (void)workspace;
    team_run(team, op->planes.cut.count, back_task, &run);
    return HFF_OK;
}

hff_status cpu_pool_back_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    struct planes planes;
    TRY(planes_make(&planes, &desc->arg[1], &desc->arg[2]));
    if (desc->arg[0].rank) TRY(groups_same(&desc->arg[1], &desc->arg[0]));
    struct back_op *op = cpu_op_new(backend, desc, sizeof *op);
    if (!op) return HFF_E_MEMORY;
    op->planes = planes;
    op->base.run = back_run;
    *out = &op->base;
    return HFF_OK;
}
