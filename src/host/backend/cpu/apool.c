/* apool and apool_back: adaptive average pooling; a task is a few planes. Output i of a covers [i H / a, ceil((i+1) H /
 * a)), so input r lies in the outputs r a / H .. ((r+1) a - 1) / H, and backward adds these up row by row.
 * Bytes: apool reads x, writes y; apool_back reads dy, writes dx: in f32 4 an element of x and 4 an element of y. */
#include "planes.h"

struct apool_op {
    struct cpu_op base;
    struct planes planes;
};

struct apool_run {
    const struct apool_op *op;
    const void *from;
    void *to;
    char *sums; /* for each thread */
};

struct sizes {
    int64_t height, width, rows, columns; /* of x, of y */
};

INLINE int64_t window_first(int64_t i, int64_t size, int64_t a)
{
    return i * size / a;
}

INLINE int64_t window_end(int64_t i, int64_t size, int64_t a)
{
    return ((i + 1) * size + a - 1) / a;
}

/* The sum of a run of positions from element `at` on is added to lane[], in f64. */
INLINE void add_run(int lanes, enum dtype type, const void *x, int64_t at, int64_t count, double *lane)
{
    if (lanes == 1) {
        for (int64_t c = 0; c < count; c++) lane[0] += element_get(type, x, at + c);
        return;
    }
    quad64 sum[QUADS];
    load_f64(lanes, sum, lane);
    for (int64_t c = 0; c < count; c++) add_elements(lanes, type, sum, x, at + c * lanes);
    store_f64(lanes, lane, sum);
}

/* Row i of y. x is read row by row, in one straight run; sums has room for all of i's windows. */
INLINE void average_row(int lanes, enum dtype type, const struct sizes *s, int64_t i, const void *x, double *sums,
                        void *y)
{
    int64_t top = window_first(i, s->height, s->rows), bottom = window_end(i, s->height, s->rows);
    memset(sums, 0, sizeof(double) * (size_t)(s->columns * lanes));
    for (int64_t r = top; r < bottom; r++)
        for (int64_t j = 0; j < s->columns; j++) {
            int64_t left = window_first(j, s->width, s->columns), right = window_end(j, s->width, s->columns);
            add_run(lanes, type, x, (r * s->width + left) * lanes, right - left, sums + j * lanes);
        }
    for (int64_t j = 0; j < s->columns; j++) {
        int64_t left = window_first(j, s->width, s->columns), right = window_end(j, s->width, s->columns);
        double scale = 1 / (double)((bottom - top) * (right - left));
#pragma omp simd
        for (int l = 0; l < lanes; l++)
            element_put(type, y, (i * s->columns + j) * lanes + l, (float)(sums[j * lanes + l] * scale));
    }
}

CPU_SIMD static void forward_plane(const struct planes *planes, const struct sizes *s, const void *x, double *sums,
                                   void *y)
{
    for (int64_t i = 0; i < s->rows; i++) {
#define CALL(lanes, type) average_row(lanes, type, s, i, x, sums, y)
        EACH_PLANE(planes, CALL)
#undef CALL
    }
}

/* What row i of dy gives to a row of dx in its windows. */
INLINE void spread_row(int lanes, enum dtype type, const struct sizes *s, int64_t i, const void *dy, float *dx)
{
    int64_t rows = window_end(i, s->height, s->rows) - window_first(i, s->height, s->rows);
    for (int64_t j = 0; j < s->columns; j++) {
        int64_t left = window_first(j, s->width, s->columns), right = window_end(j, s->width, s->columns);
        float scale = 1 / (float)(rows * (right - left)), v[LANES];
#pragma omp simd
        for (int l = 0; l < lanes; l++) v[l] = element_get(type, dy, (i * s->columns + j) * lanes + l) * scale;
        for (int64_t c = left; c < right; c++)
#pragma omp simd
            for (int l = 0; l < lanes; l++) dx[c * lanes + l] += v[l];
    }
}

/* Row r of dx; sums has room for it. */
INLINE void back_row(int lanes, enum dtype type, const struct sizes *s, int64_t r, const void *dy, float *sums,
                     void *dx)
{
    int64_t from = r * s->rows / s->height, to = ((r + 1) * s->rows - 1) / s->height, n = s->width * lanes;
    if (type == DTYPE_F32) sums = (float *)dx + r * n;
    memset(sums, 0, sizeof(float) * (size_t)n);
    for (int64_t i = from; i <= to; i++) spread_row(lanes, type, s, i, dy, sums);
    if (type == DTYPE_F32) return;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) element_put(type, dx, r * n + i, sums[i]);
}

CPU_SIMD static void back_plane(const struct planes *planes, const struct sizes *s, const void *dy, float *sums,
                                void *dx)
{
    for (int64_t r = 0; r < s->height; r++) {
#define CALL(lanes, type) back_row(lanes, type, s, r, dy, sums, dx)
        EACH_PLANE(planes, CALL)
#undef CALL
    }
}

/* What a thread keeps: in forward a row of y's sums, in backward a row of dx where that is bf16. */
static size_t sums_bytes(const struct op_desc *desc, const struct planes *planes)
{
    size_t f64s = (size_t)(desc->arg[1].dim[3] * planes->lanes) * sizeof(double);
    size_t f32s = (size_t)(desc->arg[1].dim[3] * planes->lanes) * sizeof(float);
    return desc->kind == OP_APOOL ? align64(f64s) : planes->type == DTYPE_BF16 ? align64(f32s) : 0;
}

static void apool_task(void *context, int task, int thread)
{
    const struct apool_run *run = context;
    const struct planes *planes = &run->op->planes;
    const struct op_desc *desc = &run->op->base.op.desc;
    int back = desc->kind == OP_APOOL_BACK;
    const struct tensor *x = &desc->arg[back ? 1 : 0], *y = &desc->arg[back ? 0 : 1];
    struct sizes sizes = {x->dim[2], x->dim[3], y->dim[2], y->dim[3]};
    int64_t first = cut_start(&planes->cut, task);
    int64_t x_step = tensor_area(x) * planes->lanes, y_step = tensor_area(y) * planes->lanes;
    char *sums = run->sums + (size_t)thread * sums_bytes(desc, planes);
    for (int64_t i = first; i < first + cut_length(&planes->cut, task); i++)
        if (back)
            back_plane(planes, &sizes, element_at(planes->type, run->from, i * y_step), (float *)sums,
                       element_to(planes->type, run->to, i * x_step));
        else
            forward_plane(planes, &sizes, element_at(planes->type, run->from, i * x_step), (double *)sums,
                          element_to(planes->type, run->to, i * y_step));
}

static hff_status apool_run(struct cpu_op *base, struct team *team, void *const *args, void *workspace)
{
    const struct apool_op *op = (const struct apool_op *)base;
    struct apool_run run = {op, args[0], args[1], workspace};
    team_run(team, op->planes.cut.count, apool_task, &run);
    return HFF_OK;
}

hff_status cpu_apool_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    struct planes planes;
    TRY(planes_make(&planes, &desc->arg[0], &desc->arg[1]));
    struct apool_op *op = cpu_op_new(backend, desc, sizeof *op);
    if (!op) return HFF_E_MEMORY;
    op->planes = planes;
    op->base.workspace = (size_t)backend->base.threads * sums_bytes(desc, &planes);
    op->base.run = apool_run;
    *out = &op->base;
    return HFF_OK;
}

hff_status cpu_apool_back_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    return cpu_apool_create(backend, desc, out);
}
