/* overlay: labels written into images; columns: what they add to the output of a linear layer.
 *
 * Bytes: overlay reads an image (from L2 but for a sample's first row) and writes a row: 2 x 512 rows of 784 f32: 3.2 MB,
 * 0.7 us at 4.8 TB/s beside a launch. columns reads span values of every row of w and class, and writes t: 10 classes of
 * 2000 units: 0.7 MB in sectors of 32 bytes.
 * Geometry: 256 threads. overlay: a thread per 4 values where all sizes allow it, else per value. columns: a thread per
 * element of t, or a warp where the sum is 32 values or more. */
#include "device.cuh"

enum { THREADS = 256 };

/* The values of a row that labels own: class c's are [first + c span, first + (c + 1) span). */
struct label_place {
    int64_t first, span;
};

template <int V>
KERNEL(THREADS)
overlay_kernel(const __grid_constant__ struct kernel_overlay_args a, struct label_place place)
{
    int64_t vectors = a.width / V, at = (int64_t)blockIdx.x * THREADS + threadIdx.x, e = at / vectors,
            i = at % vectors * V;
    if (e >= a.rows) return;
    int64_t each = a.x ? a.rows / a.batch : a.rows;
    int64_t label = a.labels ? a.labels[e] : a.tick ? a.tick[TICK_PASS] * each + e % each : -1;
    float v[V] = {};
    if (a.x && i < a.image) load(a.x + e / each * a.image + i, v);
    if (i + V > place.first && i < place.first + place.span * a.classes) {
        float on = *a.on, rest = (float)(on * a.rest);
#pragma unroll
        for (int j = 0; j < V; j++) {
            int64_t behind = i + j - place.first;
            if (behind >= 0 && behind < place.span * a.classes) v[j] = behind / place.span == label ? on : rest;
        }
    }
    store(a.y + e * a.width + i, v);
}

int kernel_overlay(const struct kernel_overlay_args *a, kernel_stream stream)
{
    struct label_place place = {0, 1};
    if (a->kind == OVERLAY_PLANE) place = {a->width - a->area, 1};
    if (a->kind == OVERLAY_PLANES) place = {a->width - a->classes * a->area, a->area};
    if (a->classes < 1 || place.first < 0 || place.first + place.span * a->classes > a->width || a->rows < 1 ||
        (a->x && (a->batch < 1 || a->rows % a->batch || a->image > a->width)))
        return KERNEL_REFUSED;
    bool wide = a->width % 4 == 0 && (!a->x || a->image % 4 == 0) && on_16_bytes(a->x) && on_16_bytes(a->y);
    return wide
               ? launch(overlay_kernel<4>, blocks_for(a->rows * (a->width / 4), THREADS), THREADS, 0, stream, *a, place)
               : launch(overlay_kernel<1>, blocks_for(a->rows * a->width, THREADS), THREADS, 0, stream, *a, place);
}

/* LANES threads an element: neighbours are the classes of one output, whose columns lie side by side. */
template <typename T, int LANES> KERNEL(THREADS) columns_kernel(const __grid_constant__ struct kernel_columns_args a)
{
    int64_t at = ((int64_t)blockIdx.x * THREADS + threadIdx.x) / LANES, o = at / a.rows;
    int r = (int)(at % a.rows), lane = (int)threadIdx.x % LANES;
    int64_t label = a.tick[TICK_PASS] * a.rows + r;
    double sum = 0;
    if (o < a.out && label < a.classes) {
        const float *w = a.w + o * a.in + a.first + label * a.span;
#pragma unroll 4
        for (int64_t i = lane; i < a.span; i += LANES) sum += w[i];
    }
    sum = warp_sum<double, LANES>(sum);
    if (o < a.pitch && lane == 0) static_cast<T *>(a.t)[r * (int64_t)a.pitch + o] = narrow<T>((float)(*a.on * sum));
}

template <typename T> static int run(const struct kernel_columns_args *a, kernel_stream stream)
{
    int64_t count = (int64_t)a->rows * a->pitch;
    return a->span < WARP ? launch(columns_kernel<T, 1>, blocks_for(count, THREADS), THREADS, 0, stream, *a)
                          : launch(columns_kernel<T, WARP>, blocks_for(count, THREADS / WARP), THREADS, 0, stream, *a);
}

int kernel_columns(const struct kernel_columns_args *a, kernel_stream stream)
{
    if (a->rows < 1 || a->pitch < a->out || a->first < 0 || a->span < 1 || a->first + a->span * a->classes > a->in)
        return KERNEL_REFUSED;
    if (a->dtype == DTYPE_F32) return run<float>(a, stream);
    if (a->dtype == DTYPE_BF16) return run<half_word>(a, stream);
    return KERNEL_REFUSED;
}
