/* Activations, element by element: y = act(x); dx = dy act'(x).
 *
 * Bytes: act reads and writes every element once, act_back reads two and writes one: 2 and 3 times count sizeof(T). At
 * 4.8 TB/s (H200) 128 x 32 x 32 x 96 bf16 (25 MB) takes 10.5 and 15.7 us from memory; what the last kernel left in the
 * 50 MB of L2 comes quicker.
 * Geometry: 256 threads, 16 bytes each; the last block also does the elements that fill no 16 bytes. */
#include "device.cuh"

enum { THREADS = 256 };

template <typename T, int V, bool BACK>
KERNEL(THREADS)
act_kernel(int act, int64_t count, const T *x, const T *dy, T *y)
{
    int64_t whole = count / V, at = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (at < whole) {
        float v[V], d[V];
        load(x + at * V, v);
        if (BACK) load(dy + at * V, d);
#pragma unroll
        for (int i = 0; i < V; i++) v[i] = BACK ? d[i] * act_slope(act, v[i]) : act_value(act, v[i]);
        store(y + at * V, v);
    } else if (at < whole + count % V) {
        int64_t i = whole * V + at - whole;
        float v = widen(x[i]);
        y[i] = narrow<T>(BACK ? widen(dy[i]) * act_slope(act, v) : act_value(act, v));
    }
}

template <typename T, int V> static int run(const struct kernel_act_args *a, bool back, kernel_stream stream)
{
    const T *x = static_cast<const T *>(a->x), *dy = static_cast<const T *>(a->dy);
    T *y = static_cast<T *>(a->y);
    int64_t blocks = blocks_for(a->count / V + a->count % V, THREADS);
    return back ? launch(act_kernel<T, V, true>, blocks, THREADS, 0, stream, (int)a->act, a->count, x, dy, y)
                : launch(act_kernel<T, V, false>, blocks, THREADS, 0, stream, (int)a->act, a->count, x, dy, y);
}

int kernel_act(const struct kernel_act_args *a, kernel_stream stream)
{
    return DISPATCH(a->dtype, on_16_bytes(a->x) && on_16_bytes(a->y), run, a, false, stream);
}

int kernel_act_back(const struct kernel_act_args *a, kernel_stream stream)
{
    bool aligned = on_16_bytes(a->x) && on_16_bytes(a->y) && on_16_bytes(a->dy);
    return DISPATCH(a->dtype, aligned, run, a, true, stream);
}
