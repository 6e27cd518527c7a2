/* readout: FF's linear softmax read-out of a stage: log-probabilities set or added up, gradient, metrics; each where it
 * is wanted.
 *
 * The probability of the label comes near 1, and p - 1 there would lose its digits: the label gets minus the sum of the
 * others' instead.
 * Bytes: logits once from memory (three passes, from L1), total read and written, dlogits written: at most 16 B C.
 * Geometry: a warp per sample, 8 samples to a block of 256 threads. */
#include "figures.cuh"

enum { THREADS = 256, WARPS = THREADS / WARP };

KERNEL(THREADS) readout_kernel(const __grid_constant__ struct kernel_readout_args a)
{
    SHARED(double, figures, WARPS *METRICS);
    int64_t b = (int64_t)blockIdx.x * WARPS + warp_index();
    double *own = figures + warp_index() * METRICS;
    if (b < a.batch) {
        const float *logits = a.logits + b * a.classes;
        float *total = a.total ? a.total + b * a.classes : nullptr;
        float *dlogits = a.dlogits ? a.dlogits + b * a.classes : nullptr;
        double count = a.weight[b];
        int label = count != 0 || dlogits ? a.y[b] : -1; /* that of padding may be any */
        if (label < 0 || label >= a.classes) label = -1;
        softmax_row row = softmax_of(logits, a.classes, label);
        float share = (float)(1.0 / (double)a.global_batch), inverse = 1 / row.sum, shift = logf(row.sum);
        for (int c = lane_index(); c < a.classes; c += WARP) {
            float below = logits[c] - row.first.value, log_p = below - shift;
            if (total) total[c] = a.first ? log_p : total[c] + log_p;
            if (dlogits) dlogits[c] = share * inverse * (c == label ? -row.others : expf(below));
        }
        if (lane_index() == 0) softmax_figures(row, a.classes, label, count, own);
    } else if (lane_index() < METRICS) {
        own[lane_index()] = 0;
    }
    if (a.metrics) figures_join<THREADS>(figures, WARPS, static_cast<double *>(a.workspace), a.tickets, a.metrics);
}

size_t kernel_readout_workspace(const struct kernel_readout_args *a)
{
    return figures_workspace(blocks_for(a->batch, WARPS));
}

int kernel_readout(const struct kernel_readout_args *a, kernel_stream stream)
{
    if (a->batch < 1 || a->classes < 1 || a->global_batch < 1) return KERNEL_REFUSED;
    return launch(readout_kernel, blocks_for(a->batch, WARPS), THREADS, 0, stream, *a);
}
