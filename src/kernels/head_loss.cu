/* The prototype head between its products: from cos to scores, loss, dcos and all sums over samples (head.cuh).
 *
 * Shapes: cos, dcos (B, R), scores (B, C). Also ||e|| and z where the caller has not computed them.
 * Bytes: cos three times (twice from L1), scores written and twice read, dcos written; e read and z written: B (4 R + 4 C
 * + 2 R + 4 D + 2 D) for bf16 products. (512, 512, 100, 4): 2.9 MB, all in L2; 0.5 us of traffic, about 4 us of
 * latency: e, the three passes over the classes and the sums between them come one after the other.
 * Geometry: a warp per sample, 8 samples at a time in a block of 256 threads, at most 128 blocks where the sums of q are
 * wanted (a row of R floats per warp in shared memory). */
#include "head.cuh"

template <int MATH, typename KIND> KERNEL(TILE_THREADS) loss_kernel(const __grid_constant__ struct head_loss_args a)
{
    typedef typename math_of<MATH>::element element;
    DYNAMIC_SHARED(float, q);
    SHARED(double, figures, TILE_WARPS *FIGURES);
    SHARED(double, one, TILE_WARPS *FIGURES);
    int warp = warp_index(), rows = a.rule.rows, end = ((int)blockIdx.x + 1) * a.per_part;
    if (end > a.batch) end = a.batch;
    float log_scale = *a.rule.log_scale;
    for (int i = lane_index(); i < FIGURES; i += WARP) figures[warp * FIGURES + i] = 0;
    for (int r = lane_index(); a.q && r < rows; r += WARP) q[warp * rows + r] = 0;
    WARP_SYNC();
    for (int64_t b = (int64_t)blockIdx.x * a.per_part + warp; b < end; b += TILE_WARPS) {
        struct head_sample s = {a.cos + b * a.rows_pitch,
                                1.0f,
                                0,
                                a.scores + b * a.rule.classes,
                                a.q ? q + warp * rows : nullptr,
                                a.rule.y1[b],
                                a.rule.y2[b],
                                a.rule.weight[b],
                                log_scale};
        if (a.e) {
            const float *e = a.e + b * a.width;
            s.length = length_of(e, a.width);
            s.factor = inverse_length(s.length);
            if (lane_index() == 0) a.inverse[b] = s.factor;
            if (a.z)
                write_z<MATH>(e, a.width, s.factor, static_cast<element *>(a.z) + b * a.width_pitch, a.width_pitch);
        } else {
            s.length = a.length[b];
        }
        float along = sample_loss<MATH, KIND, true>(a.rule, s, static_cast<element *>(a.dcos) + b * a.rows_pitch,
                                                    a.rows_pitch, one + warp * FIGURES);
        if (lane_index() == 0 && !a.rule.eval) a.along[b] = along;
        WARP_SYNC();
        if (lane_index() < FIGURES) figures[warp * FIGURES + lane_index()] += one[warp * FIGURES + lane_index()];
        WARP_SYNC();
    }
    BLOCK_SYNC();
    if (threadIdx.x < FIGURES) {
        double sum = 0;
        for (int w = 0; w < TILE_WARPS; w++) sum += figures[w * FIGURES + (int)threadIdx.x];
        a.figures[(int64_t)blockIdx.x * FIGURES + threadIdx.x] = sum;
    }
    for (int r = (int)threadIdx.x; a.q && r < rows; r += TILE_THREADS) {
        float sum = 0;
        for (int w = 0; w < TILE_WARPS; w++) sum += q[w * rows + r];
        a.q[(int64_t)blockIdx.x * rows + r] = sum;
    }
}

template <int MATH> static int run(const struct head_loss_args *a, kernel_stream stream)
{
    size_t shared = a->q ? (size_t)TILE_WARPS * (size_t)a->rule.rows * sizeof(float) : 0;
    return for_kind<MATH>(a->rule, [=](auto kind) {
        return launch(loss_kernel<MATH, decltype(kind)>, head_parts(a), TILE_THREADS, shared, stream, *a);
    });
}

int head_loss(enum kernel_math math, const struct head_loss_args *a, kernel_stream stream)
{
    if (math == MATH_BF16) return run<MATH_BF16>(a, stream);
    if (math == MATH_TF32) return run<MATH_TF32>(a, stream);
    return run<MATH_F32>(a, stream);
}

KERNEL(TILE_THREADS)
figures_kernel(const double *figures, int parts, double *metrics, float *dlog_scale, const float *log_scale)
{
    figures_total<TILE_THREADS>(figures, parts, metrics, dlog_scale, log_scale);
}

int head_figures(const struct kernel_hff_args *a, const double *figures, int parts, kernel_stream stream)
{
    return launch(figures_kernel, 1, TILE_THREADS, 0, stream, figures, parts, a->metrics,
                  a->eval ? nullptr : a->dlog_scale, a->log_scale);
}
