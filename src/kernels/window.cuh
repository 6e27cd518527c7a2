/* Pooling windows, shared by pool.cu and by norm.cu, which pools on the way. */
#ifndef HFF_KERNELS_WINDOW_CUH
#define HFF_KERNELS_WINDOW_CUH

#include "device.cuh"

/* y: the window's maxima, with their places row kernel + column, or its means. value(row, column, v) gives the V channels
 * of one of the window's positions. */
template <int V, typename VALUE>
DEVICE void window_pool(bool max, int kernel, float (&y)[V], uint8_t (&place)[V], VALUE value)
{
#pragma unroll
    for (int i = 0; i < V; i++) place[i] = 0;
    value(0, 0, y);
    for (int k = 1; k < kernel * kernel; k++) {
        float v[V];
        value(k / kernel, k % kernel, v);
#pragma unroll
        for (int i = 0; i < V; i++) {
            if (!max) {
                y[i] += v[i];
            } else if (!(v[i] <= y[i]) && y[i] == y[i]) { /* the first that is not a number wins, and is noticed */
                y[i] = v[i];
                place[i] = (uint8_t)k;
            }
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
