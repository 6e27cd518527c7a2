/* unit: y = x sqrt(n) / max(||x||, 1e-6) per sample, over its n elements (METHOD 1.5), and the way back: with y = f x,
 * dx = f (dy - x <x, dy> / ||x||^2), or f dy where f is constant. Sums are made in f64.
 *
 * Bytes: unit reads x twice (the second time from L2, or L1 where a sample is small) and writes y; unit_back reads x and
 * dy twice and writes dx.
 * Geometry: a block of 512 threads per sample, 16 bytes per thread and turn. */
#include "device.cuh"

enum { THREADS = 512 };

/* not a number stays so */
DEVICE double unit_factor(double n, double length)
{
    return sqrt(n) / (length < 1e-6 ? 1e-6 : length);
}

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
    double factor = unit_factor(n, sqrt(block_sum(squares, scratch)));
    for (int64_t at = (int64_t)threadIdx.x * V; at < elements; at += THREADS * V) {
        float v[V];
        load(x + at, v);
#pragma unroll
        for (int i = 0; i < V; i++) v[i] = (float)(v[i] * factor);
        store(y + at, v);
    }
}

template <typename T, int V>
KERNEL(THREADS)
unit_back_kernel(int64_t elements, double n, const T *x, const T *dy, T *dx)
{
    SHARED(double, scratch, THREADS / WARP);
    int64_t first = (int64_t)blockIdx.x * elements;
    double squares = 0, along = 0;
    for (int64_t at = first + (int64_t)threadIdx.x * V; at < first + elements; at += THREADS * V) {
        float v[V], d[V];
        load(x + at, v);
        load(dy + at, d);
#pragma unroll
        for (int i = 0; i < V; i++) {
            squares += (double)v[i] * v[i];
            along += (double)v[i] * d[i];
        }
    }
    squares = block_sum(squares, scratch);
    along = block_sum(along, scratch);
    double length = sqrt(squares), factor = unit_factor(n, length), back = length > 1e-6 ? along / squares : 0;
    for (int64_t at = first + (int64_t)threadIdx.x * V; at < first + elements; at += THREADS * V) {
        float v[V], d[V];
        load(x + at, v);
        load(dy + at, d);
#pragma unroll
        for (int i = 0; i < V; i++) d[i] = (float)(factor * (d[i] - back * v[i]));
        store(dx + at, d);
    }
}

template <typename T, int V> static int run(const struct kernel_unit_args *a, bool back, kernel_stream stream)
{
    const T *x = static_cast<const T *>(a->x), *dy = static_cast<const T *>(a->dy);
    return back ? launch(unit_back_kernel<T, V>, a->batch, THREADS, 0, stream, a->elements, (double)a->n, x, dy,
                         static_cast<T *>(a->dx))
                : launch(unit_kernel<T, V>, a->batch, THREADS, 0, stream, a->elements, (double)a->n, x,
                         static_cast<T *>(a->y));
}

int kernel_unit(const struct kernel_unit_args *a, kernel_stream stream)
{
    return DISPATCH(a->dtype, pitch_is_wide(a->dtype, a->elements), run, a, false, stream);
}

int kernel_unit_back(const struct kernel_unit_args *a, kernel_stream stream)
{
    return DISPATCH(a->dtype, pitch_is_wide(a->dtype, a->elements), run, a, true, stream);
}
