/* Pooling without padding, channels last: y[b,r,c] = max or mean of x's kernel x kernel window at (stride r, stride c).
 *
 * Max takes the first of equal maxima in row-major order and, where asked, writes its place in the window to an index of
 * bytes; not-a-number wins. Backward gathers: every x position adds what the windows over it give back, in the order of
 * the windows.
 * Bytes: forward reads x (rows that no window covers apart) and writes y and index; backward reads dy and index (once
 * from memory: the windows over neighbours come from L1 and L2) and writes dx.
 * Geometry: a thread per 16 bytes of channels of one output position (forward) or x position (backward), 256 threads. */
#include "device.cuh"

#include "window.cuh"

enum { THREADS = 256 };

template <typename T, int V> KERNEL(THREADS) pool_kernel(struct kernel_pool_args a)
{
    int vectors = a.pitch / V, at = (int)(blockIdx.x * THREADS + threadIdx.x);
    int position = at / vectors, channel = at % vectors * V;
    if (position >= (int)a.batch * a.out_height * a.out_width) return;
    int column = position % a.out_width, row = position / a.out_width % a.out_height;
    int64_t b = position / a.out_width / a.out_height;
    const T *x = static_cast<const T *>(a.x) +
                 ((b * a.height + row * a.stride) * a.width + column * a.stride) * (int64_t)a.pitch + channel;
    float y[V];
    uint8_t place[V];
    window_pool<V>(a.kind == POOL_MAX, a.kernel, y, place,
                   [&](int r, int c, float(&v)[V]) { load(x + ((int64_t)r * a.width + c) * a.pitch, v); });
    int64_t to = (int64_t)position * a.pitch + channel;
    store(static_cast<T *>(a.y) + to, y);
    if (a.index) store_bytes(a.index + to, place);
}

template <typename T, int V> KERNEL(THREADS) pool_back_kernel(struct kernel_pool_args a)
{
    int vectors = a.pitch / V, at = (int)(blockIdx.x * THREADS + threadIdx.x);
    int position = at / vectors, channel = at % vectors * V;
    if (position >= (int)a.batch * a.height * a.width) return;
    int column = position % a.width, row = position / a.width % a.height, b = position / a.width / a.height;
    struct window_sizes sizes = {a.kind == POOL_MAX, a.kernel, a.stride, a.out_height, a.out_width, a.pitch};
    float dx[V];
    if (a.kernel <= a.stride)
        window_back_one<T, V>(sizes, static_cast<const T *>(a.dy), a.index, b, row, column, channel, dx);
    else
        window_back<T, V>(sizes, static_cast<const T *>(a.dy), a.index, b, row, column, channel, dx);
    store(static_cast<T *>(a.dx) + (int64_t)position * a.pitch + channel, dx);
}

template <typename T, int V> static int run(const struct kernel_pool_args *a, kernel_stream stream)
{
    int64_t count = a->batch * a->out_height * a->out_width * (a->pitch / V);
    if (count > INT32_MAX - THREADS) return KERNEL_REFUSED;
    return launch(pool_kernel<T, V>, blocks_for(count, THREADS), THREADS, 0, stream, *a);
}

template <typename T, int V> static int run_back(const struct kernel_pool_args *a, kernel_stream stream)
{
    int64_t count = a->batch * a->height * a->width * (a->pitch / V);
    if (count > INT32_MAX - THREADS) return KERNEL_REFUSED;
    return launch(pool_back_kernel<T, V>, blocks_for(count, THREADS), THREADS, 0, stream, *a);
}

static bool sizes_fit(const struct kernel_pool_args *a)
{
    return a->kernel > 0 && a->kernel <= 16 && a->stride > 0 && a->height >= a->kernel && a->width >= a->kernel &&
           a->out_height == (a->height - a->kernel) / a->stride + 1 &&
           a->out_width == (a->width - a->kernel) / a->stride + 1;
}

int kernel_pool(const struct kernel_pool_args *a, kernel_stream stream)
{
    if (!sizes_fit(a)) return KERNEL_REFUSED;
    return DISPATCH(a->dtype, pitch_is_wide(a->dtype, a->pitch), run, a, stream);
}

int kernel_pool_back(const struct kernel_pool_args *a, kernel_stream stream)
{
    if (!sizes_fit(a) || (a->kind == POOL_MAX && !a->index)) return KERNEL_REFUSED;
    return DISPATCH(a->dtype, pitch_is_wide(a->dtype, a->pitch), run_back, a, stream);
}
