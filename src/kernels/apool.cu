/* Adaptive average pooling, channels last: output i of a covers [i H / a, ceil((i + 1) H / a)), columns likewise.
 *
 * Backward gathers: every x position adds what the windows over it give back, in the order of the windows.
 * Bytes: forward reads x and writes y; backward reads dy (from L2 but the first time) and writes dx.
 * Geometry: a thread per 16 bytes of channels of one output position (forward) or x position (backward), 256 threads.
 * Heads pool to at most a few positions: B 4 C / 8 threads of 16 loads each for 8 x 8 to 2 x 2. */
#include "device.cuh"

enum { THREADS = 256 };

DEVICE int window_from(int i, int size, int a)
{
    return (int)((int64_t)i * size / a);
}

DEVICE int window_to(int i, int size, int a)
{
    return (int)(((int64_t)(i + 1) * size + a - 1) / a);
}

template <typename T, int V> KERNEL(THREADS) apool_kernel(struct kernel_pool_args a)
{
    int vectors = a.pitch / V, at = (int)(blockIdx.x * THREADS + threadIdx.x);
    int position = at / vectors, channel = at % vectors * V;
    if (position >= (int)a.batch * a.out_height * a.out_width) return;
    int column = position % a.out_width, row = position / a.out_width % a.out_height;
    int64_t b = position / a.out_width / a.out_height;
    int top = window_from(row, a.height, a.out_height), bottom = window_to(row, a.height, a.out_height);
    int left = window_from(column, a.width, a.out_width), right = window_to(column, a.width, a.out_width);
    const T *x = static_cast<const T *>(a.x) + b * a.height * a.width * a.pitch + channel;
    float sum[V];
#pragma unroll
    for (int i = 0; i < V; i++) sum[i] = 0;
    for (int r = top; r < bottom; r++)
        for (int c = left; c < right; c++) {
            float v[V];
            load(x + ((int64_t)r * a.width + c) * a.pitch, v);
#pragma unroll
            for (int i = 0; i < V; i++) sum[i] += v[i];
        }
    float share = 1.0f / (float)((bottom - top) * (right - left));
#pragma unroll
    for (int i = 0; i < V; i++) sum[i] *= share;
    store(static_cast<T *>(a.y) + (int64_t)position * a.pitch + channel, sum);
}

template <typename T, int V> KERNEL(THREADS) apool_back_kernel(struct kernel_pool_args a)
{
    int vectors = a.pitch / V, at = (int)(blockIdx.x * THREADS + threadIdx.x);
    int position = at / vectors, channel = at % vectors * V;
    if (position >= (int)a.batch * a.height * a.width) return;
    int column = position % a.width, row = position / a.width % a.height;
    int64_t b = position / a.width / a.height;
    /* Windows i over row: i H / a < row + 1 and (i + 1) H / a > row. */
    int first_i = (int)((int64_t)row * a.out_height / a.height);
    int last_i = (int)(((int64_t)(row + 1) * a.out_height - 1) / a.height);
    int first_j = (int)((int64_t)column * a.out_width / a.width);
    int last_j = (int)(((int64_t)(column + 1) * a.out_width - 1) / a.width);
    const T *dy = static_cast<const T *>(a.dy) + b * a.out_height * a.out_width * a.pitch + channel;
    float sum[V];
#pragma unroll
    for (int k = 0; k < V; k++) sum[k] = 0;
    for (int i = first_i; i <= last_i; i++)
        for (int j = first_j; j <= last_j; j++) {
            int rows = window_to(i, a.height, a.out_height) - window_from(i, a.height, a.out_height);
            int columns = window_to(j, a.width, a.out_width) - window_from(j, a.width, a.out_width);
            float d[V], share = 1.0f / (float)(rows * columns);
            load(dy + ((int64_t)i * a.out_width + j) * a.pitch, d);
#pragma unroll
            for (int k = 0; k < V; k++) sum[k] += share * d[k];
        }
    store(static_cast<T *>(a.dx) + (int64_t)position * a.pitch + channel, sum);
}

template <typename T, int V> static int run(const struct kernel_pool_args *a, kernel_stream stream)
{
    int64_t count = a->batch * a->out_height * a->out_width * (a->pitch / V);
    if (count > INT32_MAX - THREADS) return KERNEL_REFUSED;
    return launch(apool_kernel<T, V>, blocks_for(count, THREADS), THREADS, 0, stream, *a);
}

template <typename T, int V> static int run_back(const struct kernel_pool_args *a, kernel_stream stream)
{
    int64_t count = a->batch * a->height * a->width * (a->pitch / V);
    if (count > INT32_MAX - THREADS) return KERNEL_REFUSED;
    return launch(apool_back_kernel<T, V>, blocks_for(count, THREADS), THREADS, 0, stream, *a);
}

int kernel_apool(const struct kernel_pool_args *a, kernel_stream stream)
{
    return DISPATCH(a->dtype, pitch_is_wide(a->dtype, a->pitch), run, a, stream);
}

int kernel_apool_back(const struct kernel_pool_args *a, kernel_stream stream)
{
    return DISPATCH(a->dtype, pitch_is_wide(a->dtype, a->pitch), run_back, a, stream);
}
