/* pool_back: a task is a few planes. Windows that tile x exactly write every dx once; others add to zeroed dx, window
 * by window in row-major order: to a plane of f32 that is rounded at the end where dx is bf16.
 * Bytes: reads dy and the index, writes dx: in f32 4 + 5 / stride^2 an element of dx (max), 4 + 4 / stride^2
 * (average). */
#include "planes.h"

struct back_op {
    struct cpu_op base;
    struct planes planes;
    size_t thread_bytes; /* of a plane of f32, where it is needed */
};

struct back_run {
    const struct back_op *op;
    const uint8_t *index; /* NULL: average */
    const void *dy;
    void *dx;
    char *workspace;
};

struct window {
    int kernel, stride, tiles; /* tiles: no element of dx is in two windows or in none */
    int64_t height, width, out_height, out_width;
};

/* The output at element from gives itself to one element of its window, which begins at dx's element `to`. */
INLINE void max_tile(int lanes, enum dtype type, int kernel, int64_t width, const uint8_t *index, const void *dy,
                     int64_t from, void *dx, int64_t to)
{
    float own[LANES];     /* lanes of either type, which dx cannot change */
    int32_t place[LANES]; /* vectors of f32 are compared with these, bf16 is better off with the narrow ones */
#pragma omp simd
    for (int l = 0; l < lanes; l++) place[l] = index[from + l];
    memcpy(own, element_at(type, dy, from), (size_t)lanes * (type == DTYPE_BF16 ? sizeof(bf16) : sizeof(float)));
#pragma GCC unroll 2
    for (int r = 0; r < kernel; r++)
#pragma GCC unroll 2
        for (int c = 0; c < kernel; c++) {
            int64_t at = to + (r * width + c) * lanes;
#pragma omp simd
            for (int l = 0; l < lanes; l++)
                element_copy(type, dx, at + l, own, l,
                             (type == DTYPE_BF16 ? index[from + l] : place[l]) == r * kernel + c);
        }
}

/* What the output at element from gives to its window in the other cases. */
INLINE void back_position(int lanes, enum dtype type, enum dtype dx_type, int kernel, int tiles, int64_t width,
                          const uint8_t *index, const void *dy, int64_t from, void *dx, int64_t to)
{
    float g[LANES];
    int32_t place[LANES];
    float scale = index ? 1 : 1 / (float)(kernel * kernel);
#pragma omp simd
    for (int l = 0; l < lanes; l++) {
        g[l] = element_near(dx_type, element_get(type, dy, from + l) * scale);
        place[l] = index ? index[from + l] : 0;
    }
#pragma GCC unroll 2
    for (int r = 0; r < kernel; r++)
#pragma GCC unroll 2
        for (int c = 0; c < kernel; c++) {
            int64_t at = to + (r * width + c) * lanes;
#pragma omp simd
            for (int l = 0; l < lanes; l++) {
                float v = !index || place[l] == r * kernel + c ? g[l] : 0;
                element_keep(dx_type, dx, at + l, tiles ? v : element_get(dx_type, dx, at + l) + v);
            }
        }
}

INLINE void back_windows(int lanes, enum dtype type, enum dtype dx_type, int kernel, int tiles, const struct window *w,
                         const uint8_t *index, const void *dy, void *dx)
{
    int64_t row = w->stride * w->width * lanes, from = 0;
    for (int64_t i = 0; i < w->out_height; i++) {
        if (tiles && i + 1 < w->out_height) foresee(dx_type, dx, (i + 1) * row, row);
        for (int64_t j = 0; j < w->out_width; j++, from += lanes)
            if (tiles && index)
                max_tile(lanes, type, kernel, w->width, index, dy, from, dx, i * row + j * w->stride * lanes);
            else
                back_position(lanes, type, dx_type, kernel, tiles, w->width, index, dy, from, dx,
                              i * row + j * w->stride * lanes);
    }
}

/* sums: a plane, used where sums would not fit dx. */
INLINE void back_plane(int lanes, enum dtype type, int kernel, int tiles, const struct window *w, const uint8_t *index,
                       const void *dy, void *dx, float *sums)
{
    if (tiles) {
        back_windows(lanes, type, type, kernel, 1, w, index, dy, dx);
        return;
    }
    int64_t n = w->height * w->width * lanes;
    if (type == DTYPE_F32) sums = dx;
    memset(sums, 0, sizeof(float) * (size_t)n);
    back_windows(lanes, type, DTYPE_F32, kernel, 0, w, index, dy, sums);
    if (type == DTYPE_F32) return;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) element_put(type, dx, i, sums[i]);
}

CPU_SIMD static void back_planes(const struct planes *planes, const struct window *w, const uint8_t *index,
                                 const void *dy, void *dx, float *sums)
{
#define CALL(lanes, type)                                                                                              \
    if (w->kernel == 2 && w->tiles && index)                                                                           \
        back_plane(lanes, type, 2, 1, w, index, dy, dx, sums);                                                         \
    else if (index)                                                                                                    \
        back_plane(lanes, type, w->kernel, w->tiles, w, index, dy, dx, sums);                                          \
    else                                                                                                               \
        back_plane(lanes, type, w->kernel, w->tiles, w, NULL, dy, dx, sums)
    EACH_PLANE(planes, CALL)
#undef CALL
}

static struct window window_of(const struct op_desc *desc)
{
    const struct tensor *out = &desc->arg[1], *in = &desc->arg[2];
    int kernel = desc->attr.pool.kernel, stride = desc->attr.pool.stride;
    int tiles = kernel == stride && out->dim[2] * stride == in->dim[2] && out->dim[3] * stride == in->dim[3];
    return (struct window){kernel, stride, tiles, in->dim[2], in->dim[3], out->dim[2], out->dim[3]};
}

static void back_task(void *context, int task, int thread)
{
    const struct back_run *run = context;
    const struct planes *planes = &run->op->planes;
    struct window w = window_of(&run->op->base.op.desc);
    float *sums = (float *)(run->workspace + (size_t)thread * run->op->thread_bytes);
    int64_t first = cut_start(&planes->cut, task);
    int64_t out_plane = w.out_height * w.out_width * planes->lanes, in_plane = w.height * w.width * planes->lanes;
    for (int64_t i = first; i < first + cut_length(&planes->cut, task); i++)
        back_planes(planes, &w, run->index ? run->index + i * out_plane : NULL,
                    element_at(planes->type, run->dy, i * out_plane), element_to(planes->type, run->dx, i * in_plane),
                    sums);
}

static hff_status back_run(struct cpu_op *base, struct team *team, void *const *args, void *workspace)
{
    const struct back_op *op = (const struct back_op *)base;
    struct back_run run = {op, base->op.desc.attr.pool.kind == POOL_MAX ? args[0] : NULL, args[1], args[2], workspace};
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
    if (planes.type == DTYPE_BF16 && !window_of(desc).tiles)
        op->thread_bytes = align64(sizeof(float) * (size_t)(tensor_area(&desc->arg[2]) * planes.lanes));
    op->base.workspace = op->thread_bytes * (size_t)backend->base.threads;
    op->base.run = back_run;
    *out = &op->base;
    return HFF_OK;
}
