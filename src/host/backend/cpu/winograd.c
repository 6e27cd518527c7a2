/* conv and conv_data by Winograd's filtering (winograd.h). Two phases: the filters' U, a pair of channel blocks a task;
 * then groups of tiles, a task each: V of all input channels, and for a pair of output blocks at a time the 36
 * products and y. An output's sum goes over the input channels in order whatever the group: the same bits for any
 * number of threads.
 *
 * U of a pair of blocks and one position is read by every group of tiles in turn, V stays in the caches. */
#include "winograd_tile.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS = ROWS_MOST, ROWS_SHORT = 4, GROUP = 36, GROUP_FEW = 12 };

struct winograd_op {
    struct cpu_op base;
    enum conv_pass pass;
    struct tiling tiling;
    int64_t in, out, tiles;
    int group, room;               /* tiles of a task, rounded up to ROWS_SHORT */
    int64_t stride_out, stride_in; /* of a filter's channels in w */
    size_t u_bytes, v_bytes, thread_bytes;
    void *const *args;
    char *workspace;
};

struct tiling tiling_of(const struct tensor *activation)
{
    struct tiling t = {.height = (int)activation->dim[2], .width = (int)activation->dim[3]};
    t.rows = (t.height + OUT - 1) / OUT;
    t.columns = (t.width + OUT - 1) / OUT;
    t.image = (int64_t)t.rows * t.columns;
    return t;
}

int winograd_fits(const struct cpu_backend *backend, const struct op_desc *desc, enum conv_pass pass)
{
    const struct tensor *a = &desc->arg[0], *b = &desc->arg[pass == CONV_FORWARD ? 3 : pass == CONV_DATA ? 2 : 1];
    if (desc->attr.conv.kernel != 3 || desc->attr.conv.stride != 1 || desc->attr.conv.pad != 1) return 0;
    if (backend->block != BLOCK || a->layout != LAYOUT_BLOCKED || b->layout != LAYOUT_BLOCKED) return 0;
    if (a->block != BLOCK || b->block != BLOCK || a->dtype != b->dtype) return 0;
    const struct tensor *w = &desc->arg[pass == CONV_WEIGHT ? 2 : 1];
    if (w->layout != LAYOUT_PLAIN && w->layout != LAYOUT_ANY) return 0;
    struct tiling t = tiling_of(a);
    /* tiles that reach far over the edge are work for nothing */
    return a->dim[1] % BLOCK == 0 && b->dim[1] % PAIR == 0 && t.image * OUT * OUT <= 2 * (int64_t)t.height * t.width;
}

/* The 6 x 6 inputs of a tile at (row, column), zeros outside of the image. */
INLINE void load_tile(const struct tiling *t, enum dtype type, const void *image, int row, int column, vec *d)
{
    for (int i = 0; i < SIDE; i++) {
        int h = row - 1 + i, inside = h >= 0 && h < t->height;
        for (int j = 0; j < SIDE; j++) {
            int w = column - 1 + j;
            if (inside && w >= 0 && w < t->width)
                vec_get(type, image, ((int64_t)h * t->width + w) * BLOCK, &d[i * SIDE + j]);
            else
                d[i * SIDE + j] = (vec){0};
        }
    }
}

INLINE void input_block(const struct tiling *tiling, enum dtype type, const void *x, int64_t channels, int64_t block,
                        int64_t first, int count, int room, float *v)
{
    int64_t area = (int64_t)tiling->height * tiling->width, place = channels * room;
    for (int t = 0; t < count; t++) {
        int64_t n = (first + t) / tiling->image;
        int at = (int)((first + t) % tiling->image);
        vec d[PLACES], out[PLACES];
        load_tile(tiling, type, element_at(type, x, (n * channels + block * BLOCK) * area), at / tiling->columns * OUT,
                  at % tiling->columns * OUT, d);
        BOTH_WAYS(to_points, SIDE, SIDE, d, out);
        for (int p = 0; p < PLACES; p++) *(vec *)(v + p * place + (block * room + t) * BLOCK) = out[p];
    }
    for (int p = 0; p < PLACES; p++)
        for (int t = count; t < room; t++) *(vec *)(v + p * place + (block * room + t) * BLOCK) = (vec){0};
}

VEC_SIMD void winograd_input(const struct tiling *tiling, enum dtype type, const void *x, int64_t channels,
                             int64_t first, int count, int room, float *v)
{
    for (int64_t block = 0; block < channels / BLOCK; block++)
        if (type == DTYPE_F32)
            input_block(tiling, DTYPE_F32, x, channels, block, first, count, room, v);
        else
            input_block(tiling, DTYPE_BF16, x, channels, block, first, count, room, v);
}

/* U of one pair of blocks: (36, in, 32). */
VEC_SIMD static void filters(const struct winograd_op *op, int pair, float *u)
{
    const float *w = (const float *)op->args[1] + pair * PAIR * op->stride_out;
    int narrow = op->base.op.desc.arg[0].dtype == DTYPE_BF16, flip = op->pass == CONV_DATA;
    for (int64_t c = 0; c < op->in; c++) {
        float taps[TAPS * PAIR] __attribute__((aligned(64)));
        for (int o = 0; o < PAIR; o++)
            for (int k = 0; k < TAPS; k++) {
                float value = w[o * op->stride_out + c * op->stride_in + k];
                taps[(flip ? TAPS - 1 - k : k) * PAIR + o] = narrow ? bf16_wide(bf16_near(value)) : value;
            }
        for (int side = 0; side < PAIR; side += BLOCK) {
            vec g[TAPS], out[PLACES];
            for (int k = 0; k < TAPS; k++) g[k] = *(const vec *)(taps + k * PAIR + side);
            BOTH_WAYS(filter_to_points, 3, SIDE, g, out);
            for (int p = 0; p < PLACES; p++) *(vec *)(u + (p * op->in + c) * PAIR + side) = out[p];
        }
    }
}

static void filter_task(void *context, int task, int thread)
{
    (void)thread;
    struct winograd_op *op = context;
    filters(op, task, (float *)op->workspace + (size_t)task * PLACES * (size_t)op->in * PAIR);
}

/* m (rows, 32) = sum over input channels of v (channels / 16, room, 16) and u (channels, 32). */
INLINE void product_rows(int rows, const float *v, const float *u, int64_t channels, int room, float *m)
{
    vec acc[ROWS_MOST][2];
    rows_clear(rows, acc);
    for (int64_t c = 0; c < channels; c += BLOCK)
        rows_add(rows, v + c * room, BLOCK, 1, u + c * PAIR, PAIR, BLOCK, acc);
    rows_store(rows, acc, m, PAIR);
}

/* The products of all positions for one pair of output blocks: m (36, room, 32). */
VEC_SIMD static void products(const struct winograd_op *op, const float *v, const float *u, float *m)
{
    for (int p = 0; p < PLACES; p++) {
        const float *vp = v + p * op->in * op->room, *up = u + p * op->in * PAIR;
        float *mp = m + (int64_t)p * op->room * PAIR;
        int t = 0;
        for (; t + ROWS <= op->room; t += ROWS) product_rows(ROWS, vp + t * BLOCK, up, op->in, op->room, mp + t * PAIR);
        for (; t < op->room; t += ROWS_SHORT)
            product_rows(ROWS_SHORT, vp + t * BLOCK, up, op->in, op->room, mp + t * PAIR);
    }
}

/* y of one pair of output blocks. */
INLINE void output_pair(const struct winograd_op *op, enum dtype type, int pair, int64_t first, int count,
                        const float *m, const float *bias, void *y)
{
    const struct tiling *tiling = &op->tiling;
    int64_t area = (int64_t)tiling->height * tiling->width;
    for (int t = 0; t < count; t++) {
        int64_t n = (first + t) / tiling->image;
        int at = (int)((first + t) % tiling->image), row = at / tiling->columns * OUT,
            column = at % tiling->columns * OUT;
        for (int side = 0; side < PAIR; side += BLOCK) {
            vec in[PLACES], out[OUT * OUT];
            for (int p = 0; p < PLACES; p++) in[p] = *(const vec *)(m + ((int64_t)p * op->room + t) * PAIR + side);
            BOTH_WAYS(from_points, SIDE, OUT, in, out);
            vec b = bias ? *(const vec *)(bias + pair * PAIR + side) : (vec){0};
            void *to = element_to(type, y, (n * op->out + pair * PAIR + side) * area);
            for (int i = 0; i < OUT && row + i < tiling->height; i++)
                for (int j = 0; j < OUT && column + j < tiling->width; j++) {
                    vec value = out[i * OUT + j] + b;
                    vec_put(type, to, ((int64_t)(row + i) * tiling->width + column + j) * BLOCK, &value);
                }
        }
    }
}

VEC_SIMD static void outputs(const struct winograd_op *op, int pair, int64_t first, int count, const float *m)
{
    const float *bias = op->pass == CONV_FORWARD ? op->args[2] : NULL;
    void *y = op->args[op->pass == CONV_FORWARD ? 3 : 2];
    if (op->base.op.desc.arg[0].dtype == DTYPE_F32)
        output_pair(op, DTYPE_F32, pair, first, count, m, bias, y);
    else
        output_pair(op, DTYPE_BF16, pair, first, count, m, bias, y);
}

static void group_task(void *context, int task, int thread)
{
    struct winograd_op *op = context;
    char *own = op->workspace + op->u_bytes + (size_t)thread * op->thread_bytes;
    float *v = (float *)own, *m = (float *)(own + op->v_bytes), *u = (float *)op->workspace;
    int64_t first = (int64_t)task * op->group, left = op->tiles - first;
    int count = left < op->group ? (int)left : op->group;
    winograd_input(&op->tiling, op->base.op.desc.arg[0].dtype, op->args[0], op->in, first, count, op->room, v);
    for (int pair = 0; pair < op->out / PAIR; pair++) {
        products(op, v, u + (size_t)pair * PLACES * (size_t)op->in * PAIR, m);
        outputs(op, pair, first, count, m);
    }
}

static hff_status winograd_run(struct cpu_op *base, struct team *team, void *const *args, void *workspace)
{
    struct winograd_op *op = (struct winograd_op *)base;
    op->args = args;
    op->workspace = workspace;
    team_run(team, (int)(op->out / PAIR), filter_task, op);
    team_run(team, (int)((op->tiles + op->group - 1) / op->group), group_task, op);
    return HFF_OK;
}

hff_status winograd_create(struct cpu_backend *backend, const struct op_desc *desc, enum conv_pass pass,
                           struct cpu_op **out)
{
    struct winograd_op *op = cpu_op_new(backend, desc, sizeof *op);
    if (!op) return HFF_E_MEMORY;
    struct tensor *w = &op->base.op.desc.arg[1];
    if (w->layout == LAYOUT_ANY) w->layout = LAYOUT_PLAIN;
    int threads = backend->base.threads;
    op->pass = pass;
    op->tiling = tiling_of(&desc->arg[0]);
    op->in = desc->arg[0].dim[1];
    op->out = desc->arg[pass == CONV_FORWARD ? 3 : 2].dim[1];
    op->stride_out = pass == CONV_FORWARD ? op->in * TAPS : TAPS;
    op->stride_in = pass == CONV_FORWARD ? TAPS : op->out * TAPS;
    op->tiles = desc->arg[0].dim[0] * op->tiling.image;
    int64_t share = (op->tiles + threads - 1) / threads;
    op->group = (int)(share > GROUP ? GROUP : share < GROUP_FEW ? GROUP_FEW : share);
    op->room = (op->group + ROWS_SHORT - 1) / ROWS_SHORT * ROWS_SHORT;
    op->u_bytes = sizeof(float) * PLACES * (size_t)(op->in * op->out);
    op->v_bytes = sizeof(float) * PLACES * (size_t)op->in * (size_t)op->room;
    op->thread_bytes = op->v_bytes + sizeof(float) * PLACES * PAIR * (size_t)op->room;
    op->base.workspace = op->u_bytes + (size_t)threads * op->thread_bytes;
    op->base.run = winograd_run;
    *out = &op->base;
    return HFF_OK;
}
