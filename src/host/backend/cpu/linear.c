/* linear and linear_data: a product cut into tiles. In bf16 a tile is made in f32 in scratch memory, so that it is
 * rounded once, with its bias. */
#include "element.h"
#include "tiles.h"

#include <stdlib.h>

/* Columns of a tile of y and dx: about as quick as more, and leave work for many threads. With few samples a tile of y
 * is the time to read its part of w. */
enum { TILE_Y = 256, TILE_Y_FEW = 64, TILE_DX = 128, SAMPLES = 128, SAMPLES_LEAST = 16 };

struct linear_op {
    struct cpu_op base;
    struct tiles tiles;
    enum dtype dtype;
    size_t thread_bytes; /* the product's, then a tile where it is not made in place */
};

struct linear_run {
    const struct linear_op *op;
    const char *a, *b;
    const float *bias;
    char *c, *workspace;
};

static void linear_destroy(struct cpu_op *op)
{
    tiles_free(&((struct linear_op *)op)->tiles);
}

CPU_SIMD static void add_bias(float *y, int64_t step, const float *bias, int64_t rows, int64_t columns)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++) y[r * step + c] += bias[c];
}

CPU_SIMD static void store_tile(bf16 *y, int64_t step, const float *tile, int64_t tile_step, const float *bias,
                                int64_t rows, int64_t columns)
{
    for (int64_t r = 0; r < rows; r++, y += step, tile += tile_step) {
        if (bias)
            for (int64_t c = 0; c < columns; c++) y[c] = bf16_near(tile[c] + bias[c]);
        else
            for (int64_t c = 0; c < columns; c++) y[c] = bf16_near(tile[c]);
    }
}

/* Neighbouring tasks use the same part of w, which then stays in the cache. */
static void linear_task(void *context, int task, int thread)
{
    const struct linear_run *run = context;
    const struct linear_op *op = run->op;
    const struct tiles *tiles = &op->tiles;
    int i = task % tiles->m.count, j = task / tiles->m.count;
    int64_t row = cut_start(&tiles->m, i), column = cut_start(&tiles->n, j);
    int forward = op->base.op.desc.kind == OP_LINEAR;
    int64_t k = op->base.op.desc.arg[0].dim[1], n = tiles->n.total, size = (int64_t)dtype_bytes(op->dtype);
    int64_t rows = cut_length(&tiles->m, i), columns = cut_length(&tiles->n, j);
    char *scratch = run->workspace + (size_t)thread * op->thread_bytes, *c = run->c + (row * n + column) * size;
    int in_place = op->dtype == DTYPE_F32;
    float *tile = (float *)(in_place ? c : scratch + tiles->scratch);
    const float *bias = run->bias ? run->bias + column : NULL;
    product_run(tiles_product(tiles, i, j), run->a + row * k * size, run->b + (forward ? column * k : column) * size,
                tile, scratch);
    if (!in_place)
        store_tile((bf16 *)c, n, tile, tiles->n.size, bias, rows, columns);
    else if (bias)
        add_bias(tile, n, bias, rows, columns);
}

static hff_status run_all(struct cpu_op *base, struct team *team, void *const *args, void *workspace)
{
    struct linear_op *op = (struct linear_op *)base;
    int forward = base->op.desc.kind == OP_LINEAR;
    const float *bias = forward && base->op.desc.arg[2].rank ? args[2] : NULL;
    struct linear_run run = {op, args[0], args[1], bias, args[forward ? 3 : 2], workspace};
    team_run(team, op->tiles.m.count * op->tiles.n.count, linear_task, &run);
    return HFF_OK;
}

/* w (O, I): the product's k is I forward and O for dx. */
static hff_status linear_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    int forward = desc->kind == OP_LINEAR;
    int64_t samples, batch = desc->arg[0].dim[0], outs = desc->arg[1].dim[0], ins = desc->arg[1].dim[1];
    TRY(slice_samples(desc, &samples));
    struct linear_op *op = cpu_op_new(backend, desc, sizeof *op);
    if (!op) return HFF_E_MEMORY;
    op->dtype = desc->arg[0].dtype;
    op->base.op.desc.arg[1].layout = LAYOUT_PLAIN; /* also where it was left open */
    op->base.op.desc.arg[1].dtype = op->dtype;
    struct product_desc product = {
        .k = forward ? ins : outs, .lda = forward ? ins : outs, .ldb = ins, .transpose_b = forward, .dtype = op->dtype};
    int64_t piece = slice_piece(samples, SAMPLES);
    if (piece < SAMPLES_LEAST) piece = samples; /* rather one large product than many small ones */
    struct cut m = cut_exact(batch, piece), n = cut_even(forward ? outs : ins, !forward                ? TILE_DX
                                                                               : batch < SAMPLES_LEAST ? TILE_Y_FEW
                                                                                                       : TILE_Y);
    product.ldc = op->dtype == DTYPE_F32 ? n.total : n.size;
    hff_status status = tiles_create(&op->tiles, m, n, &product);
    if (status != HFF_OK) {
        linear_destroy(&op->base);
        free(op);
        return status;
    }
    op->thread_bytes = op->tiles.scratch;
    if (op->dtype != DTYPE_F32) op->thread_bytes += align64((size_t)(m.size * n.size) * sizeof(float));
    op->base.workspace = op->thread_bytes * (size_t)backend->base.threads;
    op->base.run = run_all;
    op->base.destroy = linear_destroy;
    *out = &op->base;
    return HFF_OK;
}

hff_status cpu_linear_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    return linear_create(backend, desc, out);
}

hff_status cpu_linear_data_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    return linear_create(backend, desc, out);
}
