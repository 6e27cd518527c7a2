/* deviation: y[b,c] = standard deviation of a channel over the positions of a sample (divided by H W - 1); and the way
 * back, dx = dy (x - mean) / (deviation (H W - 1)), nothing where the deviation is 0.
 *
 * One pass makes both sums, of d and d^2 with d = x - x at position 0, in f64: that x is one of the values, so that
 * (mean d)^2 is at most H W times the variance and their difference keeps all digits of an f32; a constant channel gives
 * exactly 0.
 * Bytes: x once; back: x twice (the second time from L2: a sample is at most a few MB) and dx. 128 x 32 x 32 x 96 bf16:
 * 25 MB, 5.2 us at 4.8 TB/s (H200), and 10.5 us back.
 * Geometry: a block of 512 threads per sample (planes.cuh). */
#include "planes.cuh"

/* A channel's mean, and 1 / (deviation (n - 1)), 0 where the deviation is 0. */
struct channel_moments {
    double mean, deviation, inverse;
};

DEVICE channel_moments moments_of(double origin, double sum, double squares, double n)
{
    channel_moments m;
    double left = squares - sum * (sum / n);
    m.mean = origin + sum / n;
    m.deviation = sqrt((left < 0 ? 0 : left) / (n - 1)); /* not a number stays so */
    m.inverse = m.deviation == 0 ? 0 : 1 / (m.deviation * (n - 1));
    return m;
}

template <typename T, int V, bool BACK>
KERNEL(PLANE_THREADS)
deviation_kernel(const __grid_constant__ struct kernel_moments_args a)
{
    DYNAMIC_SHARED(double, shared);
    int64_t first = (int64_t)blockIdx.x * a.area * a.pitch, own = (int64_t)blockIdx.x * a.channels;
    const T *x = static_cast<const T *>(a.x) + first;
    T *dx = static_cast<T *>(a.dx) + first;
    double *sum = plane_sums<T, V, 2>(x, a.area, a.pitch, shared,
                                      [](const float(&v)[V], const float(&origin)[V], double(&sum)[2][V]) {
#pragma unroll
                                          for (int i = 0; i < V; i++) {
                                              double d = (double)v[i] - origin[i];
                                              sum[0][i] += d;
                                              sum[1][i] += d * d;
                                          }
                                      });
    double *mean = sum, *factor = sum + a.pitch;
    for (int c = (int)threadIdx.x; c < a.pitch; c += PLANE_THREADS) {
        channel_moments m = moments_of(widen(x[c]), sum[c], sum[a.pitch + c], (double)a.area);
        if (!BACK && c < a.channels) a.y[own + c] = (float)m.deviation;
        mean[c] = m.mean;
        factor[c] = BACK && c < a.channels ? a.dy[own + c] * m.inverse : 0;
    }
    if (!BACK) return;
    BLOCK_SYNC();
    plane_place p = plane_place_of(a.pitch, V);
    for (int tile = 0; tile < p.vectors && p.ty < p.down; tile += p.across) {
        int channel = (tile + p.tx) * V;
        if (channel >= a.pitch) break;
        double m[V], f[V];
#pragma unroll
        for (int i = 0; i < V; i++) m[i] = mean[channel + i], f[i] = factor[channel + i];
#pragma unroll 2
        for (int64_t i = p.ty; i < a.area; i += p.down) {
            float v[V];
            load(x + i * a.pitch + channel, v);
#pragma unroll
            for (int j = 0; j < V; j++) v[j] = (float)(f[j] * (v[j] - m[j]));
            store(dx + i * a.pitch + channel, v);
        }
    }
}

template <typename T, int V> static int run(const struct kernel_moments_args *a, bool back, kernel_stream stream)
{
    size_t shared = plane_bytes(2, V, a->pitch);
    return back ? launch(deviation_kernel<T, V, true>, a->batch, PLANE_THREADS, shared, stream, *a)
                : launch(deviation_kernel<T, V, false>, a->batch, PLANE_THREADS, shared, stream, *a);
}

int kernel_deviation(const struct kernel_moments_args *a, kernel_stream stream)
{
    if (a->area < 2 || a->pitch < a->channels) return KERNEL_REFUSED;
    return DISPATCH(a->dtype, pitch_is_wide(a->dtype, a->pitch), run, a, false, stream);
}

int kernel_deviation_back(const struct kernel_moments_args *a, kernel_stream stream)
{
    if (a->area < 2 || a->pitch < a->channels) return KERNEL_REFUSED;
    return DISPATCH(a->dtype, pitch_is_wide(a->dtype, a->pitch), run, a, true, stream);
}
