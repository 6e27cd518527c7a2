/* Sums over the rows of (rows, pitch), column by column, in two levels and one launch: what batch norm and bias gradients
 * are made of.
 *
 * The columns are cut into tiles of 32 (64 or 128 bytes of a row), the rows into `splits` runs, so that tiles x splits
 * is about one block for each of 132 multiprocessors, whatever the processor: the cut depends on the shape alone. In a
 * block thread (tx, ty) adds up rows ty, ty + down, ... of its 16 bytes of columns, in f32 for 32 rows at most and then
 * in f64, several rows loaded before the first is added; a tree over ty joins the threads in shared memory; the block
 * writes its sums (f64) to the workspace. The last block of a tile to arrive (a ticket) adds the tile's splits in their
 * order and finishes.
 * The workspace's traffic is 16 N channels splits bytes, a few hundred KB. */
#ifndef HFF_KERNELS_COLUMNS_CUH
#define HFF_KERNELS_COLUMNS_CUH

#include "device.cuh"

enum { COLUMN_THREADS = 512, COLUMN_BLOCKS = 132, COLUMN_TILE = 32, COLUMN_RUN = 32, COLUMN_SUMS = 2 };
enum { SPLIT_BATCH = 8 };

struct columns {
    int64_t rows, rows_of_split;
    int vectors, across, down, tiles, splits; /* across: vectors of a tile; down: threads over one another */
};

static inline struct columns columns_of(int64_t rows, int pitch, int vector)
{
    struct columns c;
    c.rows = rows;
    c.vectors = pitch / vector;
    c.tiles = (int)blocks_for(c.vectors, COLUMN_TILE / vector);
    c.across = (int)blocks_for(c.vectors, c.tiles);
    c.down = COLUMN_THREADS / c.across;
    int64_t most = blocks_for(rows, (int64_t)c.down * 4); /* at least 4 rows a thread */
    int64_t splits = COLUMN_BLOCKS / c.tiles < most ? COLUMN_BLOCKS / c.tiles : most;
    c.splits = splits < 1 ? 1 : (int)splits;
    c.rows_of_split = blocks_for(rows, c.splits);
    return c;
}

/* Rows row, row + step, ... of the `left` that begin at row, BATCH of them read before the first is used:
 * fetch(row, v) reads V elements of each of M tensors, use(row, v) is called in the rows' order.
 * Between the loads of a batch there is no test, or the compiler would wait for each. Where fewer than BATCH rows are left,
 * the first of them is read again in the others' places and not used. */
template <int BATCH, int M, int V, typename FETCH, typename USE>
DEVICE void in_batches(int64_t row, int left, int step, FETCH fetch, USE use)
{
#pragma unroll 1
    for (; left > (BATCH - 1) * step; left -= BATCH * step, row += BATCH * step) {
        float v[BATCH][M][V];
#pragma unroll
        for (int j = 0; j < BATCH; j++) fetch(row + j * step, v[j]);
#pragma unroll
        for (int j = 0; j < BATCH; j++) use(row + j * step, v[j]);
    }
    if (BATCH > 1 && left > 0) {
        float v[BATCH][M][V];
#pragma unroll
        for (int j = 0; j < BATCH - 1; j++) fetch(row + (j * step < left ? j * step : 0), v[j]);
#pragma unroll
        for (int j = 0; j < BATCH - 1; j++)
            if (j == 0 || j * step < left) use(row + j * step, v[j]);
    }
}

/* Whatever the width of loads: for the launchers' _workspace functions. */
static inline size_t columns_workspace(int pitch)
{
    return (size_t)COLUMN_BLOCKS * COLUMN_TILE * COLUMN_SUMS * sizeof(double) +
           (size_t)pitch * COLUMN_SUMS * sizeof(double);
}

/* Adds the block's threads together; the sums of its columns end up in the threads with ty = 0. */
template <int V, int N> DEVICE void columns_join(const struct columns &c, double (&sum)[N][V], double *scratch)
{
    int ty = (int)threadIdx.x / c.across, gap = 1;
    while (gap * 2 < c.down) gap *= 2;
    for (; gap > 0; gap /= 2) {
        int slot = (int)threadIdx.x - gap * c.across;
        if (ty >= gap && ty < 2 * gap && ty < c.down) {
#pragma unroll
            for (int i = 0; i < N * V; i++) scratch[i * (COLUMN_THREADS / 2) + slot] = sum[i / V][i % V];
        }
        BLOCK_SYNC();
        if (ty < gap && ty + gap < c.down) {
#pragma unroll
            for (int i = 0; i < N * V; i++) sum[i / V][i % V] += scratch[i * (COLUMN_THREADS / 2) + (int)threadIdx.x];
        }
        BLOCK_SYNC();
    }
}

/* The last block: all splits of its tile, summed in their order by several groups of threads, into scratch: sum n of the
 * tile's column i at n columns + i. */
template <int N>
DEVICE void columns_total(const struct columns &c, int columns, int first, int pitch, const double *partial,
                          double *scratch)
{
    int items = N * columns, groups = COLUMN_THREADS / items, group = (int)threadIdx.x / items;
    int item = (int)threadIdx.x % items, n = item / columns, column = first + item % columns;
    double sum = 0;
    if (group < groups && column < pitch) {
        for (int s = group; s < c.splits; s += SPLIT_BATCH * groups) {
            double v[SPLIT_BATCH];
#pragma unroll
            for (int j = 0; j < SPLIT_BATCH; j++) {
                int at = s + j * groups;
                v[j] = at < c.splits ? load_fresh(&partial[((int64_t)at * N + n) * pitch + column]) : 0;
            }
#pragma unroll
            for (int j = 0; j < SPLIT_BATCH; j++)
                if (s + j * groups < c.splits) sum += v[j];
        }
    }
    scratch[threadIdx.x] = sum;
    BLOCK_SYNC();
    if (group == 0) {
        for (int g = 1; g < groups; g++) sum += scratch[g * items + item];
    }
    BLOCK_SYNC();
    if (group == 0) scratch[item] = sum;
    BLOCK_SYNC();
}

/* The whole: fetch(row, column, v) reads V columns of a row of each of M tensors; add(v, sum) adds them to sum (N of
 * them); finish(column, total) gets each column's N sums once. All columns of the pitch are summed. Grid: tiles x splits
 * blocks of COLUMN_THREADS. Rows are read BATCH at once. */
template <int V, int N, int M, int BATCH, typename FETCH, typename ADD, typename FINISH>
DEVICE void columns_sum(const struct columns &c, int pitch, double *partial, unsigned *tickets, FETCH fetch, ADD add,
                        FINISH finish)
{
    static_assert(N <= COLUMN_SUMS, "the workspace holds as many");
    SHARED(double, scratch,
           N *V *(COLUMN_THREADS / 2) < COLUMN_THREADS ? COLUMN_THREADS : N * V * (COLUMN_THREADS / 2));
    int tile = (int)blockIdx.x % c.tiles, split = (int)blockIdx.x / c.tiles;
    int ty = (int)threadIdx.x / c.across, vector = tile * c.across + (int)threadIdx.x % c.across;
    int columns = c.across * V, first = tile * columns;
    bool works = ty < c.down && vector < c.vectors;
    int64_t row = split * c.rows_of_split + ty;
    int left = works ? (int)min(c.rows_of_split - ty, c.rows - row) : 0, run = COLUMN_RUN * c.down;
    double sum[N][V] = {};
    for (; left > 0; left -= run, row += run) {
        float part[N][V] = {};
        in_batches<BATCH, M, V>(
            row, min(left, run), c.down, [&](int64_t at, float(&v)[M][V]) { fetch(at, vector * V, v); },
            [&](int64_t, const float(&v)[M][V]) { add(v, part); });
#pragma unroll
        for (int i = 0; i < N * V; i++) sum[i / V][i % V] += part[i / V][i % V];
    }
    columns_join<V, N>(c, sum, scratch);
    if (works && ty == 0) {
#pragma unroll
        for (int i = 0; i < N * V; i++)
            partial[((int64_t)split * N + i / V) * pitch + vector * V + i % V] = sum[i / V][i % V];
    }
    if (!last_block(tickets + tile, (unsigned)c.splits)) return;
    columns_total<N>(c, columns, first, pitch, partial, scratch);
    int column = first + (int)threadIdx.x;
    if ((int)threadIdx.x < columns && column < pitch) {
        double total[N];
        for (int n = 0; n < N; n++) total[n] = scratch[n * columns + (int)threadIdx.x];
        finish(column, total);
    }
}

#endif
