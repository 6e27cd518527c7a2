/* Bias and activation after a product that has no epilogue, y = act(y + bias), and the bias gradient, dbias = sum of dy's
 * rows.
 *
 * Bytes: bias reads and writes y once; the gradient reads dy once (columns.cuh has the rest).
 * Geometry: 256 threads, 16 bytes each; the gradient as in columns.cuh. */
#include "columns.cuh"

enum { THREADS = 256 };

template <typename T, int V> KERNEL(THREADS) bias_kernel(struct kernel_bias_args a)
{
    int vectors = a.pitch / V;
    int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x, row = at / vectors;
    int channel = (int)(at % vectors) * V;
    if (row >= a.rows) return;
    T *y = static_cast<T *>(a.y) + row * a.pitch + channel;
    float v[V];
    load(y, v);
#pragma unroll
    for (int i = 0; i < V; i++) v[i] = channel + i < a.channels ? act_value(a.act, v[i] + a.bias[channel + i]) : 0.0f;
    store(y, v);
}

template <typename T, int V> KERNEL(COLUMN_THREADS) bias_grad_kernel(struct columns c, struct kernel_bias_args a)
{
    const T *dy = static_cast<const T *>(a.dy);
    columns_sum<V, 1, 1, 8>(
        c, a.pitch, static_cast<double *>(a.workspace), a.tickets,
        [&](int64_t row, int channel, float(&v)[1][V]) { load(dy + row * a.pitch + channel, v[0]); },
        [&](const float(&v)[1][V], float(&sum)[1][V]) {
#pragma unroll
            for (int i = 0; i < V; i++) sum[0][i] += v[0][i];
        },
        [&](int channel, const double(&total)[1]) {
            if (channel < a.channels) a.dbias[channel] = (float)total[0];
        });
}

template <typename T, int V> static int run(const struct kernel_bias_args *a, kernel_stream stream)
{
    return launch(bias_kernel<T, V>, blocks_for(a->rows * (a->pitch / V), THREADS), THREADS, 0, stream, *a);
}

template <typename T, int V> static int run_grad(const struct kernel_bias_args *a, kernel_stream stream)
{
    struct columns c = columns_of(a->rows, a->pitch, V);
    if (c.tiles > KERNEL_TICKETS) return KERNEL_REFUSED;
    return launch(bias_grad_kernel<T, V>, c.tiles * c.splits, COLUMN_THREADS, 0, stream, c, *a);
}

size_t kernel_bias_grad_workspace(const struct kernel_bias_args *a)
{
    return columns_workspace(a->pitch);
}

int kernel_bias(const struct kernel_bias_args *a, kernel_stream stream)
{
    return DISPATCH(a->dtype, pitch_is_wide(a->dtype, a->pitch), run, a, stream);
}

int kernel_bias_grad(const struct kernel_bias_args *a, kernel_stream stream)
{
    if (a->rows < 1 || a->channels < 1 || a->channels > a->pitch) return KERNEL_REFUSED;
    return DISPATCH(a->dtype, pitch_is_wide(a->dtype, a->pitch), run_grad, a, stream);
}
