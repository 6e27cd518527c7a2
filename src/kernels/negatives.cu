/* negatives: for each sample its label and a wrong one, with the numbers that backend/wrong_label.c draws: each wrong
 * class as likely as the others, or in proportion to exp(score).
 *
 * Weights are added and taken away one by one in f64, as on the host: the same label, but for what the last bit of the
 * two sides' exp may do.
 * Bytes: 12 B, and 4 B C of scores. Geometry: a warp per sample, 8 to a block (fewer where a block's shared memory would
 * not hold their weights); lanes make the weights, one lane draws. With C = 1000 classes that lane's two walks take some
 * 10 us, with 10 nothing to speak of. */
#include "philox.cuh"

enum { THREADS = 256, WARPS = THREADS / WARP };

/* Weights exp(score - greatest) of the wrong classes, 0 for the true one. */
DEVICE void weigh(const float *scores, int classes, int label, double *weights)
{
    float top = -INFINITY;
    for (int c = lane_index(); c < classes; c += WARP)
        if (c != label) top = fmaxf(top, scores[c]);
    top = warp_max(top);
    for (int c = lane_index(); c < classes; c += WARP)
        weights[c] = c == label ? 0 : exp((double)scores[c] - (double)top);
    WARP_SYNC();
}

/* One lane. weights NULL: all alike; so too where they say nothing. */
DEVICE int draw_wrong(struct draws &d, const double *weights, int classes, int label)
{
    double left = 0;
    for (int c = 0; weights && c < classes; c++) left += weights[c];
    if (!(left > 0) || !isfinite(left)) {
        int wrong = (int)draw_below(d, (uint32_t)classes - 1);
        return wrong + (wrong >= label);
    }
    int chosen = -1;
    left = times(left, (double)draw_uniform(d));
    for (int c = 0; c < classes && (chosen < 0 || left >= 0); c++)
        if (weights[c] > 0) {
            chosen = c;
            left -= weights[c];
        }
    return chosen;
}

KERNEL(THREADS) negatives_kernel(const __grid_constant__ struct kernel_negatives_args a)
{
    DYNAMIC_SHARED(double, all);
    int64_t b = (int64_t)blockIdx.x * (blockDim.x / WARP) + warp_index(), step = a.tick[TICK_STEP];
    if (b >= a.batch) return;
    int label = a.y[b];
    double *weights = a.score && step >= a.from ? all + (int64_t)warp_index() * a.classes : nullptr;
    if (weights) weigh(a.score + b * a.classes, a.classes, label, weights);
    if (lane_index() > 0) return;
    struct draws d;
    draws_open(d, a.seed, RNG_NEGATIVES, (uint64_t)step, (uint32_t)(a.tick[TICK_SAMPLE] + b));
    a.labels[2 * b] = label;
    a.labels[2 * b + 1] = draw_wrong(d, weights, a.classes, label);
}

int kernel_negatives(const struct kernel_negatives_args *a, kernel_stream stream)
{
    size_t each = a->score ? (size_t)a->classes * sizeof(double) : 0;
    if (a->classes < 2 || each > SHARED_MOST) return KERNEL_REFUSED;
    int warps = each * WARPS <= SHARED_MOST ? WARPS : (int)(SHARED_MOST / each);
    return launch(negatives_kernel, blocks_for(a->batch, warps), warps * WARP, each * (size_t)warps, stream, *a);
}
