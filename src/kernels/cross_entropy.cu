/* cross_entropy and its evaluation: loss of scores that a layer computed, and its gradient (METHOD.md 1.3, softmax without
 * a margin). One launch, sums over samples included.
 *
 * The scores are the result of a product that every class's weights enter, and their gradient the operand of two more;
 * unlike the prototype head nothing else is to be computed between those, so there is nothing to gain by making the
 * products here. Scores come from memory once: a row's three passes (greatest, sum, gradient) find it in L1.
 * Bytes: 8 B C, and 64 a block of figures. (512, 100): 0.4 MB, all in L2: some 3 us, nearly all of it latency.
 * Geometry: a warp per sample, 8 samples to a block. */
#include "figures.cuh"
#include "head.cuh"

enum { THREADS = TILE_THREADS, WARPS = TILE_WARPS };

/* The greatest score and the labels' as head.cuh's losses want them. */
DEVICE head_view view_scores(const float *scores, int classes, const struct head_sample &s)
{
    head_view v = {1, {-INFINITY, INT32_MAX}, 0, 0, 0, 0, 0, 0};
    for (int c = lane_index(); c < classes; c += WARP) v.first = better(v.first, best{scores[c], c});
    v.first = warp_best(v.first);
    v.most = v.first.value;
    v.s1 = scores[s.y1];
    v.s2 = scores[s.y2];
    return v;
}

KERNEL(THREADS) cross_entropy_kernel(const __grid_constant__ struct kernel_cross_entropy_args a)
{
    SHARED(double, figures, WARPS *METRICS);
    int64_t b = (int64_t)blockIdx.x * WARPS + warp_index();
    double *own = figures + warp_index() * METRICS;
    float w = b < a.batch ? a.weight[b] : 0.0f;
    double count = !a.eval ? 1 : w;
    if (lane_index() < METRICS) own[lane_index()] = 0;
    WARP_SYNC();
    if (b < a.batch && count != 0) { /* the label of padding means nothing */
        const float *scores = a.scores + b * a.classes;
        struct head_rule rule = {};
        rule.classes = a.classes;
        rule.smoothing = a.eval ? 0.0f : (float)a.smoothing;
        struct head_sample s = {};
        s.scores = const_cast<float *>(scores); /* read only, here */
        s.w = a.eval ? 1.0f : w;
        s.y1 = a.y1[b];
        s.y2 = a.eval ? s.y1 : a.y2[b];
        head_view v = view_scores(scores, a.classes, s);
        struct head_loss l = softmax_loss(rule, s, v);
        float share = (float)((1 - a.discount) / (double)a.global_batch);
        for (int c = lane_index(); c < a.classes && !a.eval; c += WARP) {
            float g = c == s.y1 ? l.g1 : c == s.y2 ? l.g2 : other_gradient(rule, s, v, l, scores[c]);
            a.dscores[b * a.classes + c] = g * share;
        }
        if (lane_index() == 0) {
            own[METRIC_SAMPLES] = count;
            own[METRIC_LOSS] = count * (a.eval ? 1 : 1 - a.discount) * l.loss;
            own[METRIC_CORRECT] = v.first.place == (s.w >= 1 - s.w ? s.y1 : s.y2) ? count : 0;
        }
    }
    figures_join<THREADS>(figures, WARPS, static_cast<double *>(a.workspace), a.tickets, a.metrics);
}

size_t kernel_cross_entropy_workspace(const struct kernel_cross_entropy_args *a)
{
    return figures_workspace(blocks_for(a->batch, WARPS));
}

int kernel_cross_entropy(const struct kernel_cross_entropy_args *a, kernel_stream stream)
{
    if (a->batch < 1 || a->classes < 1 || (!a->eval && a->global_batch < 1)) return KERNEL_REFUSED;
    return launch(cross_entropy_kernel, blocks_for(a->batch, WARPS), THREADS, 0, stream, *a);
}
