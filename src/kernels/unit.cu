/* unit: y = x sqrt(n) / max(||x||, 1e-6) per sample, over its n elements (METHOD 1.5); squares are added in f64.
 *
 * Bytes: x twice (the second time from L2, or L1 where a sample is small) and y once.
 * Geometry: a block of 512 threads per sample, 16 bytes per thread and turn. */
#include "device.cuh"

enum { THREADS = 512 };

template <typename T, int V> KERNEL(THREADS) unit_kernel(int64_t elements, double n, const T *x, T *y)
{
    SHARED(double, scratch, THREADS / WARP);
    x += (int64_t)blockIdx.x * elements;
    y += (int64_t)blockIdx.x * elements;
    double squares = 0;
    for (int64_t at = (int64_t)threadIdx.x * V; at < elements; at += THREADS * V) {
        float v[V];
        load(x + at, v);
#pragma unroll
        for (int i = 0; i < V; i++) squares += (double)v[i] * v[i];
    }
    double length = sqrt(block_sum(squares, scratch));
    double factor = sqrt(n) / (length < 1e-6 ? 1e-6 : length); /* not a number stays so */
    for (int64_t at = (int64_t)threadIdx.x * V; at < elements; at += THREADS * V) {
        float v[V];
        load(x + at, v);
#pragma unroll
        for (int i = 0; i < V; i++) v[i] = (float)(v[i] * factor);
        store(y + at, v);
    }
}

template <typename T, int V> static int run(const struct kernel_unit_args *a, kernel_stream stream)
{
    return launch(unit_kernel<T, V>, a->batch, THREADS, 0, stream, a->elements, (double)a->n,
                  static_cast<const T *>(a->x), static_cast<T *>(a->y));
}

int kernel_unit(const struct kernel_unit_args *a, kernel_stream stream)
{
    return DISPATCH(a->dtype, pitch_is_wide(a->dtype, a->elements), run, a, stream);
}
