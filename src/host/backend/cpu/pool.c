/* pool: a task is a few planes.
 * Bytes: reads x, writes y and the index: in f32 4 + 5 / stride^2 an element of x (max), 4 + 4 / stride^2 (average). */
#include "planes.h"

struct pool_op {
    struct cpu_op base;
    struct planes planes;
};

struct pool_run {
    const struct pool_op *op;
    const void *x;
    void *y;
    uint8_t *index; /* NULL: not wanted */
};

/* A plane's sizes. */
struct window {
    int kernel, stride;
    int64_t width, area, out_height, out_width; /* width and area of x */
};

/* The window of x that begins at element from gives y's elements from `to` on. */
INLINE void max_position(int lanes, enum dtype type, int kernel, int64_t width, const void *x, int64_t from, void *y,
                         int64_t to, uint8_t *index)
{
    float best[LANES];
    int32_t place[LANES];
#pragma omp simd
    for (int l = 0; l < lanes; l++) {
        best[l] = element_get(type, x, from + l);
        place[l] = 0;
    }
#pragma GCC unroll 2
    for (int r = 0; r < kernel; r++)
#pragma GCC unroll 2
        for (int c = 0; c < kernel; c++)
#pragma omp simd
            for (int l = 0; l < lanes; l++) {
                float v = element_get(type, x, from + (r * width + c) * lanes + l);
                int32_t more = -!(v <= best[l]); /* all ones, for a choice without a branch; not a number wins */
                place[l] ^= (place[l] ^ (r * kernel + c)) & more;
                best[l] = v <= best[l] ? best[l] : v;
            }
#pragma omp simd
    for (int l = 0; l < lanes; l++) element_keep(type, y, to + l, best[l]);
    if (index)
#pragma omp simd
        for (int l = 0; l < lanes; l++) index[to + l] = (uint8_t)place[l];
}

INLINE void average_position(int lanes, enum dtype type, int kernel, int64_t width, const void *x, int64_t from,
                             void *y, int64_t to)
{
    float sum[LANES], scale = 1 / (float)(kernel * kernel);
#pragma omp simd
    for (int l = 0; l < lanes; l++) sum[l] = element_get(type, x, from + l);
#pragma GCC unroll 2
    for (int r = 0; r < kernel; r++)
#pragma GCC unroll 2
        for (int c = !r; c < kernel; c++)
#pragma omp simd
            for (int l = 0; l < lanes; l++) sum[l] += element_get(type, x, from + (r * width + c) * lanes + l);
#pragma omp simd
    for (int l = 0; l < lanes; l++) element_put(type, y, to + l, sum[l] * scale);
}

INLINE void pool_plane(int lanes, enum dtype type, int max, int kernel, const struct window *w, const void *x, void *y,
                       uint8_t *index)
{
    int64_t row = w->stride * w->width * lanes, to = 0;
    for (int64_t i = 0; i < w->out_height; i++) {
        if (i + 1 < w->out_height) foresee(type, x, (i + 1) * row, row);
        for (int64_t j = 0; j < w->out_width; j++, to += lanes) {
            int64_t from = i * row + j * w->stride * lanes;
            if (max)
                max_position(lanes, type, kernel, w->width, x, from, y, to, index);
            else
                average_position(lanes, type, kernel, w->width, x, from, y, to);
        }
    }
}

/* The usual window of 2 is a constant, so that the compiler unrolls it. */
CPU_SIMD static void pool_planes(const struct planes *planes, int max, const struct window *w, const void *x, void *y,
                                 uint8_t *index)
{
#define CALL(lanes, type)                                                                                              \
    if (w->kernel == 2 && max)                                                                                         \
        pool_plane(lanes, type, 1, 2, w, x, y, index);                                                                 \
    else if (max)                                                                                                      \
        pool_plane(lanes, type, 1, w->kernel, w, x, y, index);                                                         \
    else if (w->kernel == 2)                                                                                           \
        pool_plane(lanes, type, 0, 2, w, x, y, NULL);                                                                  \
    else                                                                                                               \
        pool_plane(lanes, type, 0, w->kernel, w, x, y, NULL)
    EACH_PLANE(planes, CALL)
#undef CALL
}

static void pool_task(void *context, int task, int thread)
{
    const struct pool_run *run = context;
    const struct planes *planes = &run->op->planes;
    const struct op_desc *desc = &run->op->base.op.desc;
    const struct tensor *in = &desc->arg[0], *out = &desc->arg[1];
    struct window w = {
        desc->attr.pool.kernel, desc->attr.pool.stride, in->dim[3], tensor_area(in), out->dim[2], out->dim[3]};
    int64_t first = cut_start(&planes->cut, task), out_plane = tensor_area(out) * planes->lanes;
    (void)thread;
    for (int64_t i = first; i < first + cut_length(&planes->cut, task); i++)
        pool_planes(planes, desc->attr.pool.kind == POOL_MAX, &w,
                    element_at(planes->type, run->x, i * w.area * planes->lanes),
                    element_to(planes->type, run->y, i * out_plane), run->index ? run->index + i * out_plane : NULL);
}

static hff_status pool_run(struct cpu_op *base, struct team *team, void *const *args, void *workspace)
{
    const struct pool_op *op = (const struct pool_op *)base;
    struct pool_run run = {op, args[0], args[1], base->op.desc.arg[2].rank ? args[2] : NULL};
    (void)workspace;
    if (run.index && base->op.desc.attr.pool.kind == POOL_AVERAGE)
        memset(run.index, 0, tensor_bytes(&base->op.desc.arg[2]));
    team_run(team, op->planes.cut.count, pool_task, &run);
    return HFF_OK;
}

hff_status cpu_pool_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    struct planes planes;
    TRY(planes_make(&planes, &desc->arg[0], &desc->arg[1]));
    if (desc->arg[2].rank) TRY(groups_same(&desc->arg[1], &desc->arg[2]));
    struct pool_op *op = cpu_op_new(backend, desc, sizeof *op);
    if (!op) return HFF_E_MEMORY;
    op->planes = planes;
    op->base.run = pool_run;
    *out = &op->base;
    return HFF_OK;
}
