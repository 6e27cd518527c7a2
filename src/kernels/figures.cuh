/* What losses add to the metrics, in the launch that computes them: the figures of a block go to the workspace, and the
 * last block to arrive (a ticket) adds all blocks' up, in an order that the number of blocks alone decides. */
#ifndef HFF_KERNELS_FIGURES_CUH
#define HFF_KERNELS_FIGURES_CUH

#include "device.cuh"

static inline size_t figures_workspace(int64_t blocks)
{
    return (size_t)blocks * METRICS * sizeof(double);
}

/* own: `count` sets of METRICS in shared memory, which any thread has written; they are added in their order. */
template <int THREADS>
DEVICE void figures_join(const double *own, int count, double *partial, unsigned *tickets, double *metrics)
{
    constexpr int GROUPS = THREADS / METRICS;
    SHARED(double, sums, THREADS);
    int figure = (int)threadIdx.x % METRICS, group = (int)threadIdx.x / METRICS;
    BLOCK_SYNC();
    if (group == 0) {
        double sum = 0;
        for (int i = 0; i < count; i++) sum += own[i * METRICS + figure];
        partial[(int64_t)blockIdx.x * METRICS + figure] = sum;
    }
    if (!last_block(tickets, gridDim.x)) return;
    double sum = 0;
#pragma unroll 4
    for (int64_t block = group; block < (int64_t)gridDim.x; block += GROUPS)
        sum += load_fresh(&partial[block * METRICS + figure]);
    sums[threadIdx.x] = sum;
    BLOCK_SYNC();
    if (group > 0) return;
    for (int g = 1; g < GROUPS; g++) sum += sums[g * METRICS + figure];
    metrics[figure] += sum;
}

/* ---- softmax over one row of scores, by one warp ---- */

struct softmax_row {
    best first;        /* the greatest score */
    float own, other;  /* the label's, and the greatest of any other class; 0 and -infinity where there is none */
    float others, sum; /* of exp(score - greatest): all but the label's, all */
};

/* label -1: none. A row that threads of this block have just written needs a barrier before. */
DEVICE softmax_row softmax_of(const float *scores, int classes, int label)
{
    softmax_row row = {{-INFINITY, INT32_MAX}, 0, -INFINITY, 0, 0};
    for (int c = lane_index(); c < classes; c += WARP) {
        row.first = better(row.first, best{scores[c], c});
        if (c != label) row.other = fmaxf(row.other, scores[c]);
    }
    row.first = warp_best(row.first);
    row.other = warp_max(row.other);
    for (int c = lane_index(); c < classes; c += WARP)
        if (c != label) row.others += expf(scores[c] - row.first.value);
    row.others = warp_sum(row.others);
    if (label >= 0) row.own = scores[label];
    row.sum = row.others + (label >= 0 ? expf(row.own - row.first.value) : 0.0f);
    return row;
}

/* One lane: a sample's METRICS, which count `count` times; nothing where that is 0. */
DEVICE void softmax_figures(const softmax_row &row, int classes, int label, double count, double *figures)
{
    for (int i = 0; i < METRICS; i++) figures[i] = 0;
    if (count == 0) return;
    figures[METRIC_SAMPLES] = count;
    figures[METRIC_LOSS] = count * (logf(row.sum) + (row.first.value - row.own));
    figures[METRIC_CORRECT] = row.first.place == label ? count : 0;
    figures[METRIC_OWN] = count * row.own;
    figures[METRIC_OTHER] = classes > 1 ? count * row.other : 0;
}

#endif
