/* Adaptive average pooling, channels last: output i of a covers [i H / a, ceil((i + 1) H / a)), columns likewise. Alone, or
 * with the activation in front of it and the flattening behind it (act_apool: the end of a head's way to its embedding).
 *
 * Backward gathers: every x position adds what the windows over it give back, in the order of the windows.
 * Bytes: forward reads x and writes y; backward reads dy (from L2 but the first time), with an activation x, and writes dx.
 * Geometry: a thread per 16 bytes of channels of one output position (forward) or x position (backward), 256 threads; up
 * to BATCH of a window's loads are under way at once. Heads pool to at most a few positions: B 4 C / 8 threads of 16 loads
 * each for 8 x 8 to 2 x 2. act_apool takes the windows of a channel side by side, as y has them. */
#include "device.cuh"

enum { THREADS = 256, BATCH = 4, ANY = ACT_COUNT };

DEVICE int window_from(int i, int size, int a)
{
    return (int)((int64_t)i * size / a);
}

DEVICE int window_to(int i, int size, int a)
{
    return (int)(((int64_t)(i + 1) * size + a - 1) / a);
}

/* The mean of act over window (row, column) of one sample's V channels. */
template <int ACT, typename T, int V>
DEVICE void window_mean(int act, const T *x, int height, int width, int pitch, int rows, int columns, int row,
                        int column, float (&mean)[V])
{
    int top = window_from(row, height, rows), left = window_from(column, width, columns);
    int down = window_to(row, height, rows) - top, across = window_to(column, width, columns) - left;
    int count = down * across;
    x += ((int64_t)top * width + left) * pitch;
#pragma unroll
    for (int i = 0; i < V; i++) mean[i] = 0;
    for (int first = 0; first < count; first += BATCH) {
        float v[BATCH][V];
#pragma unroll
        for (int j = 0; j < BATCH; j++) {
            int at = first + j < count ? first + j : first;
            load(x + ((int64_t)(at / across) * width + at % across) * pitch, v[j]);
        }
#pragma unroll
        for (int j = 0; j < BATCH; j++)
#pragma unroll
            for (int i = 0; i < V; i++)
                if (first + j < count) mean[i] += act_value(ACT == ANY ? act : ACT, v[j][i]);
    }
    float share = 1.0f / (float)count;
#pragma unroll
    for (int i = 0; i < V; i++) mean[i] *= share;
}

/* What the windows over position (row, column) give back; read(i, j, d) gives the V channels of dy in window (i, j). */
template <int V, typename READ>
DEVICE void window_gather(int height, int width, int rows, int columns, int row, int column, float (&sum)[V], READ read)
{
    /* Windows i over row: i H / a < row + 1 and (i + 1) H / a > row. */
    int first_i = (int)((int64_t)row * rows / height), last_i = (int)(((int64_t)(row + 1) * rows - 1) / height);
    int first_j = (int)((int64_t)column * columns / width),
        last_j = (int)(((int64_t)(column + 1) * columns - 1) / width);
#pragma unroll
    for (int k = 0; k < V; k++) sum[k] = 0;
    for (int i = first_i; i <= last_i; i++)
        for (int j = first_j; j <= last_j; j++) {
            int down = window_to(i, height, rows) - window_from(i, height, rows);
            int across = window_to(j, width, columns) - window_from(j, width, columns);
            float d[V], share = 1.0f / (float)(down * across);
            read(i, j, d);
#pragma unroll
            for (int k = 0; k < V; k++) sum[k] += share * d[k];
        }
}

template <typename T, int V> KERNEL(THREADS) apool_kernel(struct kernel_pool_args a)
{
    int vectors = a.pitch / V, at = (int)(blockIdx.x * THREADS + threadIdx.x);
    int position = at / vectors, channel = at % vectors * V;
    if (position >= (int)a.batch * a.out_height * a.out_width) return;
    int column = position % a.out_width, row = position / a.out_width % a.out_height;
    int64_t b = position / a.out_width / a.out_height;
    const T *x = static_cast<const T *>(a.x) + b * a.height * a.width * a.pitch + channel;
    float mean[V];
    window_mean<ACT_NONE>(ACT_NONE, x, a.height, a.width, a.pitch, a.out_height, a.out_width, row, column, mean);
    store(static_cast<T *>(a.y) + (int64_t)position * a.pitch + channel, mean);
}

template <typename T, int V> KERNEL(THREADS) apool_back_kernel(struct kernel_pool_args a)
{
    int vectors = a.pitch / V, at = (int)(blockIdx.x * THREADS + threadIdx.x);
    int position = at / vectors, channel = at % vectors * V;
    if (position >= (int)a.batch * a.height * a.width) return;
    int column = position % a.width, row = position / a.width % a.height;
    int64_t b = position / a.width / a.height;
    const T *dy = static_cast<const T *>(a.dy) + b * a.out_height * a.out_width * a.pitch + channel;
    float sum[V];
    window_gather(a.height, a.width, a.out_height, a.out_width, row, column, sum,
                  [&](int i, int j, float(&d)[V]) { load(dy + ((int64_t)i * a.out_width + j) * a.pitch, d); });
    store(static_cast<T *>(a.dx) + (int64_t)position * a.pitch + channel, sum);
}

template <typename T, int V, int ACT> KERNEL(THREADS) act_apool_kernel(struct kernel_act_apool_args a)
{
    int windows = a.rows * a.columns, vectors = (a.channels + V - 1) / V;
    int at = (int)(blockIdx.x * THREADS + threadIdx.x), window = at % windows, channel = at / windows % vectors * V;
    int64_t b = at / windows / vectors;
    if (b >= a.batch) return;
    const T *x = static_cast<const T *>(a.x) + b * a.height * a.width * a.pitch + channel;
    float *y = a.y + (b * a.channels + channel) * windows + window, mean[V];
    window_mean<ACT>(a.act, x, a.height, a.width, a.pitch, a.rows, a.columns, window / a.columns, window % a.columns,
                     mean);
#pragma unroll
    for (int i = 0; i < V; i++)
        if (channel + i < a.channels) y[i * windows] = mean[i];
}

template <typename T, int V, int ACT> KERNEL(THREADS) act_apool_back_kernel(struct kernel_act_apool_args a)
{
    int windows = a.rows * a.columns, vectors = a.pitch / V, at = (int)(blockIdx.x * THREADS + threadIdx.x);
    int position = at / vectors, channel = at % vectors * V;
    if (position >= (int)a.batch * a.height * a.width) return;
    int column = position % a.width, row = position / a.width % a.height;
    int64_t b = position / a.width / a.height, place = (int64_t)position * a.pitch + channel;
    const float *dy = a.dy + (b * a.channels + channel) * windows;
    float x[V], sum[V];
    if (ACT != ACT_NONE) load(static_cast<const T *>(a.x) + place, x);
    window_gather(a.height, a.width, a.rows, a.columns, row, column, sum, [&](int i, int j, float(&d)[V]) {
#pragma unroll
        for (int k = 0; k < V; k++) d[k] = channel + k < a.channels ? dy[k * windows + i * a.columns + j] : 0.0f;
    });
#pragma unroll
    for (int k = 0; k < V; k++)
        if (ACT != ACT_NONE) sum[k] *= act_slope(ACT == ANY ? a.act : ACT, x[k]);
    store(static_cast<T *>(a.dx) + place, sum);
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

template <typename T, int V> static int run_act(const struct kernel_act_apool_args *a, bool back, kernel_stream stream)
{
    int64_t each = back ? (int64_t)a->height * a->width * (a->pitch / V)
                        : (int64_t)a->rows * a->columns * ((a->channels + V - 1) / V);
    if (a->batch * each > INT32_MAX - THREADS) return KERNEL_REFUSED;
    auto kernel = back ? act_apool_back_kernel<T, V, ANY> : act_apool_kernel<T, V, ANY>;
    if (a->act == ACT_NONE) kernel = back ? act_apool_back_kernel<T, V, ACT_NONE> : act_apool_kernel<T, V, ACT_NONE>;
    if (a->act == ACT_RELU) kernel = back ? act_apool_back_kernel<T, V, ACT_RELU> : act_apool_kernel<T, V, ACT_RELU>;
    return launch(kernel, blocks_for(a->batch * each, THREADS), THREADS, 0, stream, *a);
}

int kernel_apool(const struct kernel_pool_args *a, kernel_stream stream)
{
    return DISPATCH(a->dtype, pitch_is_wide(a->dtype, a->pitch), run, a, stream);
}

int kernel_apool_back(const struct kernel_pool_args *a, kernel_stream stream)
{
    return DISPATCH(a->dtype, pitch_is_wide(a->dtype, a->pitch), run_back, a, stream);
}

int kernel_act_apool(const struct kernel_act_apool_args *a, kernel_stream stream)
{
    return DISPATCH(a->dtype, pitch_is_wide(a->dtype, a->pitch), run_act, a, false, stream);
}

int kernel_act_apool_back(const struct kernel_act_apool_args *a, kernel_stream stream)
{
    return DISPATCH(a->dtype, pitch_is_wide(a->dtype, a->pitch), run_act, a, true, stream);
}
