/* Pooling windows, shared by pool.cu and by norm.cu, which pools on the way. */
#ifndef HFF_KERNELS_WINDOW_CUH
#define HFF_KERNELS_WINDOW_CUH

#include "device.cuh"

/* y and its place against the window's k-th values. */
template <int V> DEVICE void window_most(int k, const float (&v)[V], float (&y)[V], uint8_t (&place)[V])
{
#pragma unroll
    for (int i = 0; i < V; i++)
        if (!(v[i] <= y[i]) && y[i] == y[i]) { /* the first that is not a number wins, and is noticed */
            y[i] = v[i];
            place[i] = (uint8_t)k;
        }
}

/* y: the window's maxima, with their places row kernel + column, or its means. value(row, column, v) gives the V channels
 * of one of the window's positions. */
template <int V, typename VALUE>
DEVICE void window_pool(bool max, int kernel, float (&y)[V], uint8_t (&place)[V], VALUE value)
{
#pragma unroll
    for (int i = 0; i < V; i++) y[i] = 0, place[i] = 0;
    if (max && kernel == 2) { /* the usual one: its loads are all under way before the first is compared */
        float v[4][V];
#pragma unroll
        for (int k = 0; k < 4; k++) value(k / 2, k % 2, v[k]);
#pragma unroll
        for (int i = 0; i < V; i++) y[i] = v[0][i];
#pragma unroll
        for (int k = 1; k < 4; k++) window_most<V>(k, v[k], y, place);
        return;
    }
    for (int k = 0; k < kernel * kernel; k++) {
        float v[V];
        value(k / kernel, k % kernel, v);
        if (k == 0) {
#pragma unroll
            for (int i = 0; i < V; i++) y[i] = v[i];
        } else if (max) {
            window_most<V>(k, v, y, place);
        } else {
#pragma unroll
            for (int i = 0; i < V; i++) y[i] += v[i];
        }
    }
    float share = 1.0f / (float)(kernel * kernel);
#pragma unroll
    for (int i = 0; i < V; i++)
        if (!max) y[i] *= share;
}

struct window_sizes {
    bool max;
    int kernel, stride, out_height, out_width, pitch;
};

/* As window_back, where windows do not lie over one another (kernel <= stride): there is one at most, and its loads stand
 * without a test before them, so that a caller's rows can be read together. Where there is none, y's first position is read
 * and not used; where there is no index, bytes of dy. */
template <typename T, int V>
DEVICE void window_back_one(const struct window_sizes &s, const T *dy, const uint8_t *index, int b, int row, int column,
                            int channel, float (&g)[V])
{
    int r = row / s.stride, c = column / s.stride, down = row - r * s.stride, right = column - c * s.stride;
    bool covered = r < s.out_height && c < s.out_width && down < s.kernel && right < s.kernel;
    int64_t at = (covered ? (((int64_t)b * s.out_height + r) * s.out_width + c) * s.pitch : 0) + channel;
    int place = covered && s.max ? down * s.kernel + right : -1; /* -1: no byte */
    bool all = covered && !s.max;
    float d[V], share = s.max ? 1.0f : 1.0f / (float)(s.kernel * s.kernel);
    uint8_t from[V];
    load(dy + at, d);
    load_bytes((s.max ? index : reinterpret_cast<const uint8_t *>(dy)) + at, from);
#pragma unroll
    for (int i = 0; i < V; i++) {
        g[i] = 0;
        if (all | (from[i] == place)) g[i] += share * d[i];
    }
}

/* g: what the windows over x's position (b, row, column) give back to channels channel .. channel + V - 1. Mostly there is
 * one window: unrolled, the loops would only take registers from the caller's. */
template <typename T, int V>
DEVICE void window_back(const struct window_sizes &s, const T *dy, const uint8_t *index, int b, int row, int column,
                        int channel, float (&g)[V])
{
    /* Windows r with stride r <= row < stride r + kernel, likewise columns. */
    int top = row < s.kernel ? 0 : (row - s.kernel) / s.stride + 1, bottom = min(row / s.stride, s.out_height - 1);
    int left = column < s.kernel ? 0 : (column - s.kernel) / s.stride + 1;
    int right = min(column / s.stride, s.out_width - 1);
    float share = s.max ? 1.0f : 1.0f / (float)(s.kernel * s.kernel);
#pragma unroll
    for (int i = 0; i < V; i++) g[i] = 0;
#pragma unroll 1
    for (int r = top; r <= bottom; r++)
#pragma unroll 1
        for (int c = left; c <= right; c++) {
            int64_t at = (((int64_t)b * s.out_height + r) * s.out_width + c) * s.pitch + channel;
            int place = (row - r * s.stride) * s.kernel + column - c * s.stride;
            float d[V];
            uint8_t from[V];
            load(dy + at, d);
            if (s.max) load_bytes(index + at, from);
#pragma unroll
            for (int i = 0; i < V; i++)
                if (!s.max || from[i] == place) g[i] += share * d[i];
        }
}

#endif
