/* goodness: FF's loss of pairs of rows and its gradient; goodness_eval: goodness as the scores of classes (METHOD.md
 * section 2). Squares are added in f64, so that theta's neighbourhood is seen; sums over samples are in the same launch.
 *
 * Bytes: goodness reads h twice (the second time from L1 or L2) and writes dh: 1024 rows of 2000 bf16: 4 MB in, 4 MB out,
 * 1.7 us at 4.8 TB/s (H200) beside some 4 us of latency. goodness_eval reads h once.
 * Geometry: goodness: a block of 512 threads per pair, half of them for each row. goodness_eval: a block of 512 threads
 * per sample, whose 16 warps share its rows: several rows at a time, or one. */
#include "figures.cuh"

enum { THREADS = 512, WARPS = THREADS / WARP };

DEVICE double softplus(double v)
{
    return (v > 0 ? v : 0) + log1p(exp(-fabs(v))); /* not a number stays so */
}

/* This thread's share of a row's squares. */
template <typename T, int V> DEVICE double squares_of(const T *row, int64_t elements, int thread, int threads)
{
    double sum = 0;
#pragma unroll 4
    for (int64_t at = (int64_t)thread * V; at < elements; at += (int64_t)threads * V) {
        float v[V];
        load(row + at, v);
#pragma unroll
        for (int i = 0; i < V; i++) sum += (double)v[i] * v[i];
    }
    return sum;
}

/* One thread: the pair's figures, and what dh is h times of, for both rows. */
DEVICE void pair_loss(const struct kernel_goodness_args &a, double pos, double neg, double *figures, float *slope)
{
    double n = (double)a.n, length = sqrt(pos);
    if (a.mean) pos /= n, neg /= n;
    double along = a.alpha * (pos - neg), by_h = (a.mean ? 2 / n : 2) / (double)a.global_batch;
    double by_pos = a.alpha > 0 ? -a.alpha / (1 + exp(along)) : -1 / (1 + exp(pos - a.theta));
    double by_neg = a.alpha > 0 ? -by_pos : 1 / (1 + exp(a.theta - neg));
    slope[0] = (float)(by_pos * by_h);
    slope[1] = (float)(by_neg * by_h);
    figures[METRIC_SAMPLES] = 1;
    figures[METRIC_LOSS] = a.alpha > 0 ? softplus(-along) : softplus(a.theta - pos) + softplus(neg - a.theta);
    figures[METRIC_CORRECT] = pos > neg;
    figures[METRIC_OWN] = pos;
    figures[METRIC_OTHER] = neg;
    figures[METRIC_NORM] = length;
    figures[METRIC_DEAD] = length <= 1e-6;
    figures[METRIC_SIMILARITY] = 0;
}

template <typename T, int V> KERNEL(THREADS) goodness_kernel(const __grid_constant__ struct kernel_goodness_args a)
{
    SHARED(double, sums, WARPS);
    SHARED(double, figures, METRICS);
    SHARED(float, slope, 2);
    constexpr int HALF = THREADS / 2;
    int which = (int)threadIdx.x / HALF, thread = (int)threadIdx.x % HALF;
    int64_t first = ((int64_t)blockIdx.x * 2 + which) * a.elements;
    const T *h = static_cast<const T *>(a.h) + first;
    T *dh = static_cast<T *>(a.dh) + first;
    double squares = warp_sum(squares_of<T, V>(h, a.elements, thread, HALF));
    if (lane_index() == 0) sums[warp_index()] = squares;
    BLOCK_SYNC();
    if (threadIdx.x == 0) {
        double pos = 0, neg = 0;
        for (int w = 0; w < WARPS / 2; w++) pos += sums[w], neg += sums[WARPS / 2 + w];
        pair_loss(a, pos, neg, figures, slope);
    }
    BLOCK_SYNC();
    float by = slope[which];
    for (int64_t at = (int64_t)thread * V; at < a.elements; at += HALF * V) {
        float v[V];
        load(h + at, v);
#pragma unroll
        for (int i = 0; i < V; i++) v[i] *= by;
        store(dh + at, v);
    }
    figures_join<THREADS>(figures, 1, static_cast<double *>(a.workspace), a.tickets, a.metrics);
}

template <typename T, int V>
KERNEL(THREADS)
goodness_eval_kernel(const __grid_constant__ struct kernel_goodness_eval_args a)
{
    SHARED(double, sums, WARPS);
    SHARED(double, figures, METRICS);
    int64_t b = blockIdx.x, from = a.tick[TICK_PASS] * a.rows;
    int together = a.rows < WARPS ? WARPS / a.rows : 1, groups = WARPS / together; /* warps of a row; rows at a time */
    int group = warp_index() / together, thread = (int)threadIdx.x % (together * WARP);
    float *scores = a.scores + b * a.classes;
    const T *h = static_cast<const T *>(a.h) + b * a.rows * a.elements;
    for (int r = 0; r < a.rows && from + r < a.classes; r += groups) {
        int row = r + group;
        bool works = group < groups && row < a.rows && from + row < a.classes;
        double sum = works ? squares_of<T, V>(h + row * a.elements, a.elements, thread, together * WARP) : 0;
        sum = warp_sum(sum);
        if (lane_index() == 0) sums[warp_index()] = sum;
        BLOCK_SYNC();
        if (works && thread == 0) {
            for (int w = 1; w < together; w++) sum += sums[warp_index() + w];
            scores[from + row] = (float)(a.mean ? sum / (double)a.n : sum);
        }
        BLOCK_SYNC();
    }
    if (from + a.rows < a.classes) return; /* the last pass counts */
    if (warp_index() == 0) {
        double count = a.weight[b];
        int label = count != 0 ? a.y[b] : -1;
        softmax_row row = softmax_of(scores, a.classes, label);
        if (lane_index() == 0) softmax_figures(row, a.classes, label, count, figures);
    }
    figures_join<THREADS>(figures, 1, static_cast<double *>(a.workspace), a.tickets, a.metrics);
}

template <typename T, int V> static int run(const struct kernel_goodness_args *a, kernel_stream stream)
{
    return launch(goodness_kernel<T, V>, a->batch / 2, THREADS, 0, stream, *a);
}

template <typename T, int V> static int run_eval(const struct kernel_goodness_eval_args *a, kernel_stream stream)
{
    return launch(goodness_eval_kernel<T, V>, a->batch, THREADS, 0, stream, *a);
}

size_t kernel_goodness_workspace(const struct kernel_goodness_args *a)
{
    return figures_workspace(a->batch / 2);
}

int kernel_goodness(const struct kernel_goodness_args *a, kernel_stream stream)
{
    if (a->batch % 2 || a->n < 1 || a->global_batch < 1) return KERNEL_REFUSED;
    return DISPATCH(a->dtype, pitch_is_wide(a->dtype, a->elements), run, a, stream);
}

size_t kernel_goodness_eval_workspace(const struct kernel_goodness_eval_args *a)
{
    return figures_workspace(a->batch);
}

int kernel_goodness_eval(const struct kernel_goodness_eval_args *a, kernel_stream stream)
{
    if (a->rows < 1 || a->n < 1 || a->classes < 1) return KERNEL_REFUSED;
    return DISPATCH(a->dtype, pitch_is_wide(a->dtype, a->elements), run_eval, a, stream);
}
