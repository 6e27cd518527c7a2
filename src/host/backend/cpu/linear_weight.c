/* linear_weight: a task computes one tile of dw for all slices, and adds the slices up while they are in its cache.
 * Where panel.c has a way for that, it does both; with products, the tree is walked depth first, so that a task holds
 * log2(S) + 2 tiles at most. */
#include "element.h"
#include "panel.h"
#include "tiles.h"

#include <stdlib.h>

enum { TILE_ROWS = 64, TILE_COLUMNS = 512, OWN_ROWS = 96, LEAVES = 4, OWN_SLICES = 64 };

struct weight_op {
    struct cpu_op base;
    struct tiles tiles;
    enum dtype dtype; /* of x and dy */
    int own;          /* panel.c's; then tiles holds no products */
    struct product_desc product;
    int64_t samples; /* of a slice */
    size_t tile_floats, thread_bytes;
};

struct weight_run {
    const struct weight_op *op;
    const char *x, *dy;
    float *dw, *dbias;
    char *workspace;
};

/* A thread's scratch memory. */
struct room {
    void *product;
    float *tile, *bias;
};

static struct room room_of(const struct weight_run *run, int thread)
{
    const struct weight_op *op = run->op;
    char *start = run->workspace + (size_t)thread * op->thread_bytes;
    float *bias = (float *)(start + op->tiles.scratch);
    return (struct room){start, bias + op->base.op.desc.slices * op->tiles.m.size, bias};
}

/* out = the sum of count (at most LEAVES) parts that follow each other, in the tree's order. */
CPU_SIMD static void add_parts(float *out, int64_t out_step, const float *part, size_t distance, int count,
                               int64_t step, int64_t rows, int64_t columns)
{
    for (int64_t r = 0; r < rows; r++, out += out_step, part += step) {
        const float *a = part, *b = a + distance, *c = b + distance, *d = c + distance;
        if (count == 2)
            for (int64_t i = 0; i < columns; i++) out[i] = a[i] + b[i];
        if (count == 3)
            for (int64_t i = 0; i < columns; i++) out[i] = (a[i] + b[i]) + c[i];
        if (count == 4)
            for (int64_t i = 0; i < columns; i++) out[i] = (a[i] + b[i]) + (c[i] + d[i]);
    }
}

INLINE void add_rows(float *out, enum dtype type, const char *dy, int64_t step, int64_t rows, int64_t columns)
{
    for (int64_t c = 0; c < columns; c++) out[c] = 0;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++) out[c] += element_get(type, dy, r * step + c);
}

CPU_SIMD static void sum_columns(float *out, enum dtype type, const char *dy, int64_t step, int64_t rows,
                                 int64_t columns)
{
    if (type == DTYPE_BF16)
        add_rows(out, DTYPE_BF16, dy, step, rows, columns);
    else
        add_rows(out, DTYPE_F32, dy, step, rows, columns);
}

static void bias_part(const struct weight_run *run, float *part, int64_t row, int64_t rows)
{
    const struct op_desc *desc = &run->op->base.op.desc;
    enum dtype type = run->op->dtype;
    int64_t outs = desc->arg[1].dim[1], samples = run->op->samples, size = (int64_t)dtype_bytes(type);
    for (int s = 0; s < desc->slices; s++)
        sum_columns(part + s * rows, type, run->dy + (s * samples * outs + row) * size, outs, samples, rows);
    TREE (desc->slices, into, from)
        for (int64_t r = 0; r < rows; r++) part[into * rows + r] += part[from * rows + r];
    for (int64_t r = 0; r < rows; r++) run->dbias[row + r] = part[r];
}

static void own_task(void *context, int task, int thread)
{
    const struct weight_run *run = context;
    const struct weight_op *op = run->op;
    const struct tiles *tiles = &op->tiles;
    int i = task / tiles->n.count, j = task % tiles->n.count;
    int64_t row = cut_start(&tiles->m, i), column = cut_start(&tiles->n, j);
    struct room room = room_of(run, thread);
    struct product_desc product = op->product;
    product.m = cut_length(&tiles->m, i);
    product.n = cut_length(&tiles->n, j);
    panel_slices_run(&product, op->base.op.desc.slices, (const float *)run->dy + row, (const float *)run->x + column,
                     run->dw + row * tiles->n.total + column, room.product);
    if (run->dbias && j == 0) bias_part(run, room.bias, row, product.m);
}

/* Where a task stands in its tile. */
struct spot {
    const struct weight_run *run;
    const struct product *product;
    float *dw, *stack;
    void *scratch;
    int64_t row, column, rows, columns;
};

/* Adds the top count parts of the stack into the lowest of them, or into dw. */
static void add_top(const struct spot *at, int top, int count, int is_root)
{
    const struct tiles *tiles = &at->run->op->tiles;
    size_t distance = at->run->op->tile_floats;
    float *lowest = at->stack + (size_t)(top - count) * distance;
    add_parts(is_root ? at->dw : lowest, is_root ? tiles->n.total : tiles->n.size, lowest, distance, count,
              tiles->n.size, at->rows, at->columns);
}

static void slice_product(const struct spot *at, int slice, float *into)
{
    const struct weight_run *run = at->run;
    int64_t first = slice * run->op->samples, ins = run->op->tiles.n.total, outs = run->op->tiles.m.total;
    int64_t size = (int64_t)dtype_bytes(run->op->dtype);
    product_run(at->product, run->dy + (first * outs + at->row) * size, run->x + (first * ins + at->column) * size,
                into, at->scratch);
}

/* Up to LEAVES slices are added at once. After a group the stack holds subtrees of falling size; those of equal size
 * are added. The last group closes the tree: what is left is added from the small to the large, the last sum going to
 * dw. */
static void sum_slices(const struct spot *at, int slices)
{
    int top = 0;
    for (int first = 0, group = 1; first < slices; first += LEAVES, group++) {
        int count = slices - first < LEAVES ? slices - first : LEAVES, is_last = first + count == slices;
        for (int i = 0; i < count; i++)
            slice_product(at, first + i, at->stack + (size_t)(top + i) * at->run->op->tile_floats);
        if (count > 1) add_top(at, top + count, count, is_last && top == 0);
        top++;
        for (int subtrees = group; top > 1 && (is_last || subtrees % 2 == 0); subtrees /= 2, top--)
            add_top(at, top, 2, is_last && top == 2);
    }
}

static void weight_task(void *context, int task, int thread)
{
    const struct weight_run *run = context;
    const struct tiles *tiles = &run->op->tiles;
    int i = task / tiles->n.count, j = task % tiles->n.count, slices = run->op->base.op.desc.slices;
    struct room room = room_of(run, thread);
    struct spot at = {.run = run, .product = tiles_product(tiles, i, j), .stack = room.tile, .scratch = room.product};
    at.row = cut_start(&tiles->m, i);
    at.rows = cut_length(&tiles->m, i);
    at.column = cut_start(&tiles->n, j);
    at.columns = cut_length(&tiles->n, j);
    at.dw = run->dw + at.row * tiles->n.total + at.column;
    if (slices == 1)
        slice_product(&at, 0, at.dw);
    else
        sum_slices(&at, slices);
    if (run->dbias && j == 0) bias_part(run, room.bias, at.row, at.rows);
}

static hff_status weight_run(struct cpu_op *base, struct team *team, void *const *args, void *workspace)
{
    struct weight_op *op = (struct weight_op *)base;
    float *dbias = base->op.desc.arg[3].rank ? args[3] : NULL;
    struct weight_run run = {op, args[0], args[1], args[2], dbias, workspace};
    team_run(team, op->tiles.m.count * op->tiles.n.count, op->own ? own_task : weight_task, &run);
    return HFF_OK;
}

static void weight_destroy(struct cpu_op *op)
{
    tiles_free(&((struct weight_op *)op)->tiles);
}

/* Parts at most at a time: a subtree for every power of two of groups, and the leaves of the next group. */
static int stack_depth(int slices)
{
    int depth = slices < LEAVES ? slices : LEAVES;
    for (int groups = (slices - 1) / LEAVES; groups; groups /= 2) depth++;
    return slices == 1 ? 0 : depth;
}

static hff_status plan_own(struct weight_op *op, struct cut n)
{
    op->tiles = (struct tiles){.m = cut_even(op->product.m, OWN_ROWS), .n = n};
    struct product_desc largest = op->product;
    largest.m = op->tiles.m.size;
    op->tiles.scratch = panel_slices_scratch(&largest, op->base.op.desc.slices);
    return HFF_OK;
}

hff_status cpu_linear_weight_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out)
{
    int64_t samples, ins = desc->arg[0].dim[1], outs = desc->arg[1].dim[1];
    TRY(slice_samples(desc, &samples));
    struct weight_op *op = cpu_op_new(backend, desc, sizeof *op);
    if (!op) return HFF_E_MEMORY;
    op->base.op.desc.arg[2].layout = LAYOUT_PLAIN; /* also where it was left open */
    op->dtype = desc->arg[0].dtype;
    struct cut m = cut_even(outs, TILE_ROWS), n = cut_even(ins, TILE_COLUMNS);
    op->product = (struct product_desc){.m = outs, .n = ins, .k = samples, .lda = outs, .ldb = ins, .ldc = ins};
    op->product.transpose_a = 1;
    op->product.dtype = op->dtype;
    op->own = panel_fits(&op->product) && desc->slices <= OWN_SLICES;
    if (!op->own && desc->slices > 1) op->product.ldc = n.size;
    hff_status status = op->own ? plan_own(op, n) : tiles_create(&op->tiles, m, n, &op->product);
    if (status == HFF_OK && !op->own) status = product_warm_up(op->dtype);
    if (status != HFF_OK) {
        weight_destroy(&op->base);
        free(op);
        return status;
    }
    op->samples = samples;
    op->tile_floats = op->own ? 0 : align64((size_t)(m.size * n.size) * sizeof(float)) / sizeof(float);
    size_t floats = (size_t)(desc->slices * op->tiles.m.size) + (size_t)stack_depth(desc->slices) * op->tile_floats;
    op->thread_bytes = align64(op->tiles.scratch + floats * sizeof(float));
    op->base.workspace = op->thread_bytes * (size_t)backend->base.threads;
    op->base.run = weight_run;
    op->base.destroy = weight_destroy;
    *out = &op->base;
    return HFF_OK;
}
