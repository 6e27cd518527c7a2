/* op.h's grad_norm: the norms of a stage's gradients (body and head apart), the clipping factor, and the latch that keeps
 * the first step whose norm was not finite.
 *
 * Squares are added in f64: no gradient is too large or too small to be seen.
 * Bytes: every gradient once; 1 M parameters are 4 MB, 0.9 us at 4.8 TB/s, less where the gradients still lie in L2.
 * Geometry: 256 threads, each block a run of one tensor; runs are 4096 elements, or longer so that there are at most 512
 * blocks and one for each tensor. A thread reads BATCH times 16 bytes, all that it has of 4096 elements, before it adds the
 * first. The last block to arrive (a ticket) adds the blocks' sums in their order. */
#include "columns.cuh" /* in_batches */

enum { THREADS = 256, RUN = 4096, BLOCKS = 512, BATCH = 4 };

struct norm_table {
    struct kernel_grad grad[KERNEL_GRADS];
    int first_block[KERNEL_GRADS + 1];
    int64_t run;
    int body_blocks, blocks;
};

/* The sum of partial[from .. to), in an order that the count alone decides, to every thread. */
DEVICE double total_of(const double *partial, int from, int to, double *scratch)
{
    double sum = 0;
    for (int i = from + (int)threadIdx.x; i < to; i += BATCH * THREADS) {
        double v[BATCH];
#pragma unroll
        for (int j = 0; j < BATCH; j++) v[j] = i + j * THREADS < to ? load_fresh(&partial[i + j * THREADS]) : 0;
#pragma unroll
        for (int j = 0; j < BATCH; j++)
            if (i + j * THREADS < to) sum += v[j];
    }
    return block_sum(sum, scratch);
}

/* Adds the squares of this thread's part of g[first .. end), V elements at a time, in their order. */
template <int V> DEVICE void add_squares(const float *g, int64_t first, int64_t end, double &squares)
{
    first += threadIdx.x * V;
    in_batches<BATCH, 1, V>(
        first, (int)(end - first), THREADS * V, [&](int64_t at, float(&v)[1][V]) { load(g + at, v[0]); },
        [&](int64_t, const float(&v)[1][V]) {
#pragma unroll
            for (int j = 0; j < V; j++) squares += (double)v[0][j] * v[0][j];
        });
}

KERNEL(THREADS)
grad_norm_kernel(const __grid_constant__ struct norm_table table, double clip, const double *hyper, double *norm,
                 double *partial, unsigned *tickets)
{
    SHARED(double, scratch, THREADS / WARP);
    int i = 0;
    while ((int)blockIdx.x >= table.first_block[i + 1]) i++;
    const float *g = table.grad[i].g;
    int64_t first = (int64_t)((int)blockIdx.x - table.first_block[i]) * table.run, end = first + table.run;
    if (end > table.grad[i].count) end = table.grad[i].count;
    double squares = 0;
    if (reinterpret_cast<uintptr_t>(g) % 16 == 0) { /* runs are multiples of 4 long */
        int64_t whole = (end - first) / 4;
        add_squares<4>(g, first, first + whole * 4, squares);
        if (threadIdx.x == whole % THREADS) /* whose turn it would be */
            for (int64_t at = first + whole * 4; at < end; at++) squares += (double)g[at] * g[at];
    } else {
        add_squares<1>(g, first, end, squares);
    }
    squares = block_sum(squares, scratch);
    if (threadIdx.x == 0) partial[blockIdx.x] = squares;
    if (!last_block(tickets, (unsigned)table.blocks)) return;
    double body = total_of(partial, 0, table.body_blocks, scratch);
    double head = total_of(partial, table.body_blocks, table.blocks, scratch);
    if (threadIdx.x > 0) return;
    double whole = sqrt(body + head);
    norm[NORM_BODY] = sqrt(body);
    norm[NORM_HEAD] = sqrt(head);
    norm[NORM_FACTOR] = clip > 0 && isfinite(whole) && whole > clip ? clip / whole : 1;
    if (!isfinite(whole) && norm[NORM_LATCH] == 0) norm[NORM_LATCH] = hyper[HYPER_STEP];
}

size_t kernel_grad_norm_workspace(const struct kernel_grad_norm_args *a)
{
    (void)a;
    return (BLOCKS + KERNEL_GRADS) * sizeof(double);
}

int kernel_grad_norm(const struct kernel_grad_norm_args *a, kernel_stream stream)
{
    if (a->grads < 1 || a->grads > KERNEL_GRADS || a->body < 0 || a->body > a->grads) return KERNEL_REFUSED;
    struct norm_table table = {};
    int64_t count = 0;
    for (int i = 0; i < a->grads; i++) count += a->grad[i].count;
    table.run = blocks_for(blocks_for(count, BLOCKS), 4) * 4;
    if (table.run < RUN) table.run = RUN;
    for (int i = 0; i < a->grads; i++) {
        table.grad[i] = a->grad[i];
        table.first_block[i + 1] = table.first_block[i] + (int)blocks_for(a->grad[i].count, table.run);
    }
    table.body_blocks = table.first_block[a->body];
    table.blocks = table.first_block[a->grads];
    if (table.blocks == 0) return KERNEL_REFUSED;
    return launch(grad_norm_kernel, table.blocks, THREADS, 0, stream, table, a->clip, a->hyper, a->norm,
                  static_cast<double *>(a->workspace), a->tickets);
}
