/* Sums over the positions of one sample, channel by channel, by one block: what energy and deviation are made of.
 *
 * A sample is (area, pitch). Thread (tx, ty) takes 16 bytes of channels at positions ty, ty + down, ...; more channels
 * than the block has threads for are taken tile by tile. Sums are f64; a tree over ty joins the threads. */
#ifndef HFF_KERNELS_PLANES_CUH
#define HFF_KERNELS_PLANES_CUH

#include "columns.cuh" /* in_batches */

enum { PLANE_THREADS = 512, PLANE_BATCH = 4 };

/* This thread's part of the block. */
struct plane_place {
    int vectors, across, down, tx, ty;
};

DEVICE plane_place plane_place_of(int pitch, int vector)
{
    plane_place p;
    p.vectors = pitch / vector;
    p.across = p.vectors < PLANE_THREADS ? p.vectors : PLANE_THREADS;
    p.down = PLANE_THREADS / p.across;
    p.tx = (int)threadIdx.x % p.across;
    p.ty = (int)threadIdx.x / p.across;
    return p;
}

/* Bytes of dynamic shared memory: the threads' sums, then the channels'. */
static inline size_t plane_bytes(int sums, int vector, int pitch)
{
    return ((size_t)PLANE_THREADS * (size_t)vector + (size_t)pitch) * (size_t)sums * sizeof(double);
}

/* add(v, origin, sum) adds V channels at one position to their N sums; origin is what they are at position 0. Returns
 * where the sums lie: sum n of channel c at n pitch + c, for every thread to read. */
template <typename T, int V, int N, typename ADD>
DEVICE double *plane_sums(const T *x, int64_t area, int pitch, double *shared, ADD add)
{
    double *threads = shared, *total = shared + N * V * PLANE_THREADS;
    plane_place p = plane_place_of(pitch, V);
    int top = 1;
    while (top * 2 < p.down) top *= 2;
    for (int tile = 0; tile < p.vectors; tile += p.across) {
        int channel = (tile + p.tx) * V;
        bool works = p.ty < p.down && channel < pitch;
        double sum[N][V] = {};
        if (works) {
            float origin[V];
            load(x + channel, origin);
            in_batches<PLANE_BATCH, 1, V>(
                p.ty, (int)area - p.ty, p.down,
                [&](int64_t i, float(&v)[1][V]) { load(x + i * pitch + channel, v[0]); },
                [&](int64_t, const float(&v)[1][V]) { add(v[0], origin, sum); });
        }
#pragma unroll
        for (int i = 0; i < N * V; i++) threads[i * PLANE_THREADS + (int)threadIdx.x] = sum[i / V][i % V];
        BLOCK_SYNC();
        for (int gap = top; gap > 0; gap /= 2) {
            if (p.ty < gap && p.ty + gap < p.down) {
#pragma unroll
                for (int i = 0; i < N * V; i++) {
                    sum[i / V][i % V] += threads[i * PLANE_THREADS + (int)threadIdx.x + gap * p.across];
                    threads[i * PLANE_THREADS + (int)threadIdx.x] = sum[i / V][i % V];
                }
            }
            BLOCK_SYNC();
        }
        if (works && p.ty == 0) {
#pragma unroll
            for (int i = 0; i < N * V; i++) total[i / V * pitch + channel + i % V] = sum[i / V][i % V];
        }
        BLOCK_SYNC();
    }
    return total;
}

#endif
