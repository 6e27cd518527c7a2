/* linear and linear_data: a product cut into tiles. */
#include "tiles.h"

#include <stdlib.h>

/* Columns of a tile of y and dx: about as quick as more, and leave work for many threads. */
enum { TILE_Y = 64, TILE_DX = 128, SAMPLES = 128, SAMPLES_LEAST = 16 };

struct linear_op {
    struct cpu_op base;
    struct tiles tiles;
    size_t thread_bytes;
};

struct linear_run {
    const struct linear_op *op;
    const float *a, *b, *bias;
    float *c;
    char *workspace;
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

/* Neighbouring tasks use the same part of w, which then stays in the cache. */
static void linear_task(void *context, int task, int thread)
{
    const struct linear_run *run = context;
    const struct linear_op *op = run->op;
    const struct tiles *tiles = &op->tiles;
    int i = task % tiles->m.count, j = task / tiles->m.count;
    int64_t row = cut_start(&tiles->m, i), column = cut_start(&tiles->n, j);
    int forward = op->base.op.desc.kind == OP_LINEAR;
    int64_t k = op->base.op.desc.arg[0].dim[1], n = tiles->n.total;
    float *c = run->c + row * n + column;
    product_run(tiles_product(tiles, i, j), run->a + row * k, run->b + (forward ? column * k : column), c,
                run->workspace + (size_t)thread * op->thread_bytes);
    if (run->bias) add_bias(c, n, run->bias + column, cut_length(&tiles->m, i), cut_length(&tiles->n, j));
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
    TRY(slice_samples(desc, forward ? 4 : 3, &samples));
    struct linear_op *op = cpu_op_new(backend, desc, sizeof *op);
    if (!op) return HFF_E_MEMORY;
    op->base.op.desc.arg[1].layout = LAYOUT_PLAIN; /* also where it was left open */
    struct product_desc product = {.k = forward ? ins : outs,
                                   .lda = forward ? ins : outs,
                                   .ldb = ins,
                                   .ldc = forward ? outs : ins,
                                   .transpose_b = forward};
    int64_t piece = slice_piece(samples, SAMPLES);
    if (piece < SAMPLES_LEAST) piece = samples; /* rather one large product than many small ones */
    struct cut n = cut_even(product.ldc, forward ? TILE_Y : TILE_DX);
    hff_status status = tiles_create(&op->tiles, cut_exact(batch, piece), n, &product);
    if (status != HFF_OK) {
        linear_destroy(&op->base);
        free(op);
        return status;
    }
    op->thread_bytes = align64(op->tiles.scratch);
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
