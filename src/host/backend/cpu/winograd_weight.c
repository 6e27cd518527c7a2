/* conv_weight by Winograd's filtering (winograd.h): dg = G' (sum over tiles of Z . V) G. A task is a slice and a group
 * of output channels (as many groups as there are threads for): a chunk of its tiles at a time is transformed, then
 * block by block the 36 products and their way back to 9 taps, which are added to the slice's part. A second phase adds
 * the parts along the tree and writes them in the layout of weights. The chunks follow from the shapes alone. */
#include "winograd_tile.h"

#include <stdlib.h>

enum {
    CHUNK_BYTES = 2 << 20, /* of V and Z together */
    CHUNK_LEAST = 16,      /* tiles */
    PART = 64,             /* input channels whose products are kept until they go back to taps */
    ROWS = 8,
};

struct winograd_weight_op {
    struct cpu_op base;
    struct tiling tiling;
    int64_t in, out, tiles; /* tiles of a slice */
    int groups, chunk;      /* of output channels; tiles */
    int64_t pairs;          /* pairs of blocks in a group, the last may have fewer */
    size_t v_bytes, z_bytes, d_bytes, thread_bytes, part_bytes, bias_bytes;
    void *const *args;
    char *workspace;
};

/* Parts: for each slice (out / 32, in, 9, 32), then of the bias (out). They stand behind the threads' rooms. */
static float *part_of(const struct winograd_weight_op *op, int slice)
{
    size_t rooms = (size_t)op->base.op.backend->threads * op->thread_bytes;
    return (float *)(op->workspace + rooms + (size_t)slice * (op->part_bytes + op->bias_bytes));
}

static float *bias_of(const struct winograd_weight_op *op, int slice)
{
    return (float *)((char *)part_of(op, slice) + op->part_bytes);
}

/* Z of tiles [first, first + count) and one pair of blocks, as (36, room, 32); bias (32), where given, gets their
 * sums added. */
INLINE void gradient_pair(const struct winograd_weight_op *op, enum dtype type, const void *dy, int64_t pair,
                          int64_t first, int count, float *z, int64_t place, float *bias)
{
    const struct tiling *tiling = &op->tiling;
    int64_t area = (int64_t)tiling->height * tiling->width;
    for (int side = 0; side < PAIR; side += BLOCK) {
        vec total = {0};
        for (int t = 0; t < count; t++) {
            int64_t n = (first + t) / tiling->image;
            int at = (int)((first + t) % tiling->image);
            int row = at / tiling->columns * OUT, column = at % tiling->columns * OUT;
            const void *from = element_at(type, dy, (n * op->out + pair * PAIR + side) * area);
            vec y[OUT * OUT], out[PLACES], sum = {0};
            for (int i = 0; i < OUT; i++)
                for (int j = 0; j < OUT; j++) {
                    int inside = row + i < tiling->height && column + j < tiling->width;
                    vec *to = &y[i * OUT + j];
                    if (inside)
                        vec_get(type, from, ((int64_t)(row + i) * tiling->width + column + j) * BLOCK, to);
                    else
                        *to = (vec){0};
                    sum += *to;
                }
            total += sum;
            BOTH_WAYS(outputs_to_points, OUT, SIDE, y, out);
            for (int p = 0; p < PLACES; p++) *(vec *)(z + p * place + t * PAIR + side) = out[p];
        }
        if (bias) *(vec *)(bias + side) += total;
    }
}

VEC_SIMD static void gradients(const struct winograd_weight_op *op, int64_t pair, int64_t first, int count, float *z,
                               float *bias)
{
    int64_t place = (int64_t)op->chunk * PAIR;
    if (op->base.op.desc.arg[1].dtype == DTYPE_F32)
        gradient_pair(op, DTYPE_F32, op->args[1], pair, first, count, z, place, bias);
    else
        gradient_pair(op, DTYPE_BF16, op->args[1], pair, first, count, z, place, bias);
}

/* d (8, 32) = sum over tiles of v (tiles, 16: 8 of them) and z (tiles, 32). */
INLINE void product_rows(const float *v, const float *z, int tiles, float *d)
{
    vec acc[ROWS][2];
    rows_clear(ROWS, acc);
    rows_add(ROWS, v, 1, BLOCK, z, PAIR, tiles, acc);
    rows_store(ROWS, acc, d, PAIR);
}

/* d (36, channels, 32) for input channels [c, c + channels) and one pair of output blocks; v (36, in / 16, chunk, 16), z
 * (36, chunk, 32). */
VEC_SIMD static void products(const struct winograd_weight_op *op, const float *v, const float *z, int64_t c,
                              int64_t channels, int tiles, float *d)
{
    for (int p = 0; p < PLACES; p++) {
        const float *vp = v + (p * op->in + c) * op->chunk, *zp = z + (int64_t)p * op->chunk * PAIR;
        for (int64_t k = 0; k < channels; k += ROWS)
            product_rows(vp + k / BLOCK * BLOCK * op->chunk + k % BLOCK, zp, tiles, d + (p * channels + k) * PAIR);
    }
}

/* part (channels, 9, 32) = G' d G, or += where the chunk is not a slice's first. */
VEC_SIMD static void to_taps(const float *d, int64_t channels, int first, float *part)
{
    for (int64_t c = 0; c < channels; c++)
        for (int side = 0; side < PAIR; side += BLOCK) {
            vec in[PLACES], out[TAPS];
            for (int p = 0; p < PLACES; p++) in[p] = *(const vec *)(d + (p * channels + c) * PAIR + side);
            BOTH_WAYS(points_to_filter, SIDE, 3, in, out);
            for (int k = 0; k < TAPS; k++) {
                vec *to = (vec *)(part + (c * TAPS + k) * PAIR + side);
                if (!first) out[k] += *to;
                *to = out[k];
            }
        }
}

static void slice_task(void *context, int task, int thread)
{
    struct winograd_weight_op *op = context;
    int slice = task / op->groups, group = task % op->groups;
    int64_t pair_first = group * op->pairs, pair_last = pair_first + op->pairs;
    if (pair_last > op->out / PAIR) pair_last = op->out / PAIR;
    char *own = op->workspace + (size_t)thread * op->thread_bytes;
    float *v = (float *)own, *z = (float *)(own + op->v_bytes), *d = (float *)(own + op->v_bytes + op->z_bytes);
    float *part = part_of(op, slice), *bias = op->bias_bytes ? bias_of(op, slice) : NULL;
    int64_t start = slice * op->tiles;
    for (int64_t o = pair_first * PAIR; bias && o < pair_last * PAIR; o++) bias[o] = 0;
    for (int64_t t = 0; t < op->tiles; t += op->chunk) {
        int count = op->tiles - t < op->chunk ? (int)(op->tiles - t) : op->chunk;
        winograd_input(&op->tiling, op->base.op.desc.arg[0].dtype, op->args[0], op->in, start + t, count, op->chunk, v);
        for (int64_t pair = pair_first; pair < pair_last; pair++) {
            gradients(op, pair, start + t, count, z, bias ? bias + pair * PAIR : NULL);
            for (int64_t c = 0; c < op->in; c += PART) {
                int64_t channels = op->in - c < PART ? op->in - c : PART;
                products(op, v, z, c, channels, count, d);
                to_taps(d, channels, t == 0, part + (pair * op->in + c) * TAPS * PAIR);
            }
        }
    }
}

/* Adds the slices' parts of one pair of blocks, and writes it as (out, in, 3, 3). */
VEC_SIMD static void collect(const struct winograd_weight_op *op, int64_t pair, int64_t c)
{
    int slices = op->base.op.desc.slices;
    int64_t count = TAPS * PAIR, at = (pair * op->in + c) * count;
    TREE (slices, into, from) {
        float *sum = part_of(op, into) + at;
        const float *more = part_of(op, from) + at;
        for (int64_t i = 0; i < count; i += BLOCK) *(vec *)(sum + i) += *(const vec *)(more + i);
    }
    const float *sum = part_of(op, 0) + at;
    float *dw = (float *)op->args[2] + (pair * PAIR * op->in + c) * TAPS;
    for (int o = 0; o < PAIR; o++)
        for (int k = 0; k < TAPS; k++) dw[o * op->in * TAPS + k] = sum[k * PAIR + o];
}

static void collect_task(void *context, int task, int thread)
{
    (void)thread;
    const struct winograd_weight_op *op = context;
    for (int64_t c = 0; c < op->in; c++) collect(op, task, c);
    if (!op->bias_bytes) return;
    float *bias = op->args[3];
    for (int64_t o = task * PAIR; o < (task + 1) * PAIR; o++) {
        TREE (op->base.op.desc.slices, into, from) bias_of(op, into)[o] += bias_of(op, from)[o];
        bias[o] = bias_of(op, 0)[o];
    }
}

static hff_status weight_run(struct cpu_op *base, struct team *team, void *const *args, void *workspace)
{
    struct winograd_weight_op *op = (struct winograd_weight_op *)base;
    op->args = args;
    op->workspace = workspace;
    team_run(team, base->op.desc.slices * op->groups, slice_task, op);
    team_run(team, (int)(op->out / PAIR), collect_task, op);
    return HFF_OK;
}

hff_status winograd_weight_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    struct winograd_weight_op *op = cpu_op_new(backend, desc, sizeof *op);
    if (!op) return HFF_E_MEMORY;
    struct tensor *dw = &op->base.op.desc.arg[2];
    if (dw->layout == LAYOUT_ANY) dw->layout = LAYOUT_PLAIN;
    int threads = backend->base.threads;
    op->tiling = tiling_of(&desc->arg[0]);
    op->in = desc->arg[0].dim[1];
    op->out = desc->arg[1].dim[1];
    op->tiles = desc->arg[0].dim[0] / desc->slices * op->tiling.image;
    int64_t pairs = op->out / PAIR, groups = (threads + desc->slices - 1) / desc->slices;
    op->pairs = (pairs + groups - 1) / groups;
    op->groups = (int)((pairs + op->pairs - 1) / op->pairs);
    int64_t chunk = CHUNK_BYTES / (int64_t)(sizeof(float) * PLACES * (size_t)(op->in + PAIR));
    if (chunk < CHUNK_LEAST) chunk = CHUNK_LEAST;
    op->chunk = (int)(chunk < op->tiles ? chunk : op->tiles);
    size_t places = sizeof(float) * PLACES;
    op->v_bytes = places * (size_t)(op->in * op->chunk);
    op->z_bytes = places * PAIR * (size_t)op->chunk;
    op->d_bytes = places * PAIR * PART;
    op->thread_bytes = op->v_bytes + op->z_bytes + op->d_bytes;
    op->part_bytes = sizeof(float) * TAPS * (size_t)(op->in * op->out);
    op->bias_bytes = desc->arg[3].rank ? align64(sizeof(float) * (size_t)op->out) : 0;
    op->base.workspace = (size_t)threads * op->thread_bytes + (size_t)desc->slices * (op->part_bytes + op->bias_bytes);
    op->base.run = weight_run;
    *out = &op->base;
    return HFF_OK;
}
