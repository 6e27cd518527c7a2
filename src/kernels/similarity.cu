/* similarity: cosines between the samples of a slice against those of their targets, forward and backward together
 * (METHOD.md section 3), in three launches:
 *
 *   1. u = (x - mean) / ||x - mean||, as the products read it
 *   2. R = u u^T slice by slice; dR = 4 share (R - T) / (n global_batch), T the targets' cosines; sums of (R - T)^2
 *   3. dx = (dR u - u along) / ||x - mean||, along_i = <u_i, (dR u)_i> = sum_j dR_ij R_ij (launch 2 has summed it up)
 *
 * dR is taken as it is rounded for the products. R is symmetric, but half of it would be as many blocks.
 * Bytes, B = 512 in 4 slices of n = 128, D = 1024, bf16 products: launch 1: x 2.1 MB, u 1 MB; 2: 128 blocks of 16 x 32
 * that read 96 KB each from L2 and write 131 KB of dR in all; 3: 128 blocks of 64 x 64 that read 33 KB each, u and dR from
 * L2, dx 2.1 MB. 268 MFLOP. Expected on an H200, not yet measured: 2.5 + 4 + 3.5 us and twice 0.8 us between launches.
 * Geometry: launch 1 a warp per sample; 2 and 3 tiles of 64 x 64 or, where those are too few, 16 x 32 (tile.cuh). */
#include "figures.cuh"
#include "head.cuh"

enum { LARGE_ENOUGH = 100 };

template <int MATH, bool LARGE>
using cosine_shape = tile_shape<MATH, LARGE ? 64 : 16, LARGE ? 64 : 32, LARGE ? 2 : 1, false, false>;
template <int MATH, bool LARGE>
using back_shape = tile_shape<MATH, LARGE ? 64 : 16, LARGE ? 64 : 32, LARGE ? 2 : 1, false, true>;

/* Sizes and places in the workspace. u, dr: elements of the products. */
struct similarity_space {
    int samples; /* of a slice */
    int64_t width_pitch, samples_pitch;
    int large_cosine, large_back; /* which tiles */
    int down, across;             /* tiles of a slice's R */
    void *u, *dr;                 /* (B, width_pitch), (B, samples_pitch) */
    double *target;               /* (B): 1 / length of the target, 0 where it has no direction */
    float *inverse;               /* (B): 1 / ||x - mean||, 0 where that is all but 0 */
    float *along;                 /* (B, across): parts of it */
    double *figures;
    size_t bytes;
};

/* <t_i, t_j> of two samples' targets less 1 / C, not yet at length 1. */
DEVICE double target_product(const struct kernel_similarity_args &a, int64_t i, int64_t j)
{
    double v = a.weight[i], w = a.weight[j], sum = -1 / (double)a.classes;
    int a1 = a.y1[i], a2 = a.y2[i], b1 = a.y1[j], b2 = a.y2[j];
    if (a1 == b1) sum += v * w;
    if (a1 == b2) sum += v * (1 - w);
    if (a2 == b1) sum += (1 - v) * w;
    if (a2 == b2) sum += (1 - v) * (1 - w);
    return sum;
}

template <int MATH>
KERNEL(TILE_THREADS)
centre_kernel(const __grid_constant__ struct kernel_similarity_args a,
              const __grid_constant__ struct similarity_space s)
{
    typedef typename math_of<MATH>::element element;
    int64_t b = (int64_t)blockIdx.x * TILE_WARPS + warp_index();
    if (b >= a.batch) return;
    const float *x = a.x + b * a.width;
    element *u = static_cast<element *>(s.u) + b * s.width_pitch;
    double sum = 0, squares = 0;
#pragma unroll 4
    for (int d = lane_index(); d < a.width; d += WARP) sum += x[d];
    double mean = warp_sum(sum) / a.width;
#pragma unroll 4
    for (int d = lane_index(); d < a.width; d += WARP) squares += (x[d] - mean) * (x[d] - mean);
    float inverse = inverse_length(sqrt(warp_sum(squares)));
#pragma unroll 4
    for (int d = lane_index(); d < (int)s.width_pitch; d += WARP)
        u[d] = narrow<element>(d < a.width ? for_product<MATH>((float)(x[d] - mean) * inverse) : 0.0f);
    if (lane_index() > 0) return;
    double own = target_product(a, b, b);
    s.target[b] = own > 1e-12 ? 1 / sqrt(own) : 0;
    s.inverse[b] = inverse;
}

template <int MATH, bool LARGE>
KERNEL(TILE_THREADS)
cosine_kernel(const __grid_constant__ struct kernel_similarity_args a,
              const __grid_constant__ struct similarity_space s)
{
    typedef typename math_of<MATH>::element element;
    typedef cosine_shape<MATH, LARGE> shape;
    DYNAMIC_SHARED(unsigned char, shared);
    SHARED(double, scratch, TILE_WARPS);
    SHARED(double, figures, METRICS);
    int tiles = s.down * s.across, tile = (int)blockIdx.x % tiles;
    int64_t first = (int64_t)((int)blockIdx.x / tiles) * s.samples;
    int m = tile / s.across * shape::BM, n = tile % s.across * shape::BN;
    struct matrix<element> u = {
        static_cast<const element *>(s.u) + first *s.width_pitch, s.width_pitch, s.samples, a.width, true
    };
    element *dr = static_cast<element *>(s.dr) + first * s.samples_pitch;
    float *q =
        reinterpret_cast<float *>(shared); /* where the tile's sums lay, each read by the thread that writes here */
    float factor = (float)(4 * a.share / ((double)s.samples * (double)a.global_batch));
    double loss = 0;
    block_product<shape>(
        shared, u, m, u, n, a.width, do_nothing, read_nothing, [&](int row, int column, float value, nothing) {
            int i = m + row, j = n + column;
            float part = 0;
            if (i < s.samples && j < s.samples) {
                double target = target_product(a, first + i, first + j) * s.target[first + i] * s.target[first + j];
                float off = (float)(value - target), near = rounded<element>(for_product<MATH>(factor * off));
                loss += (double)off * off;
                dr[i * s.samples_pitch + j] = narrow<element>(near);
                part = near * value;
            }
            q[row * shape::C_PITCH + column] = part;
        });
    BLOCK_SYNC();
    for (int row = warp_index(); row < shape::BM; row += TILE_WARPS) {
        float sum = 0;
#pragma unroll
        for (int c = 0; c < shape::BN; c += WARP) sum += q[row * shape::C_PITCH + c + lane_index()];
        sum = warp_sum(sum);
        if (lane_index() == 0 && m + row < s.samples) s.along[(first + m + row) * s.across + n / shape::BN] = sum;
    }
    loss = block_sum(loss, scratch) / s.samples;
    if (threadIdx.x == 0) {
        for (int i = 0; i < METRICS; i++) figures[i] = 0;
        figures[METRIC_LOSS] = a.share * loss;
        figures[METRIC_SIMILARITY] = loss;
    }
    figures_join<TILE_THREADS>(figures, 1, s.figures, a.tickets, a.metrics);
}

template <int MATH, bool LARGE>
KERNEL(TILE_THREADS)
back_kernel(const __grid_constant__ struct kernel_similarity_args a, const __grid_constant__ struct similarity_space s)
{
    typedef typename math_of<MATH>::element element;
    typedef back_shape<MATH, LARGE> shape;
    DYNAMIC_SHARED(unsigned char, shared);
    SHARED(float, along, shape::BM);
    int across = (a.width + shape::BN - 1) / shape::BN, tiles = (s.samples + shape::BM - 1) / shape::BM * across;
    int tile = (int)blockIdx.x % tiles, m = tile / across * shape::BM, n = tile % across * shape::BN;
    int64_t first = (int64_t)((int)blockIdx.x / tiles) * s.samples;
    const element *u = static_cast<const element *>(s.u) + first * s.width_pitch;
    struct matrix<element> left = {
        static_cast<const element *>(s.dr) + first *s.samples_pitch, s.samples_pitch, s.samples, s.samples, true
    };
    struct matrix<element> right = {
        u, s.width_pitch, s.samples, a.width, true
    };
    if ((int)threadIdx.x < shape::BM) { /* barriers of the product come before the sums are read */
        float sum = 0;
        for (int part = 0; part < s.across && m + (int)threadIdx.x < s.samples; part++)
            sum += s.along[(first + m + (int)threadIdx.x) * s.across + part];
        along[threadIdx.x] = sum;
    }
    struct own {
        float u, inverse;
    };
    auto read = [&](int row, int column) {
        int64_t i = clamped(m + row, s.samples), d = clamped(n + column, a.width);
        return own{widen(u[i * s.width_pitch + d]), s.inverse[first + i]};
    };
    block_product<shape>(shared, left, m, right, n, s.samples, do_nothing, read,
                         [&](int row, int column, float value, own o) {
                             int i = m + row, d = n + column;
                             if ((i < s.samples) & (d < a.width))
                                 a.dx[(first + i) * a.width + d] = (value - o.u * along[row]) * o.inverse;
                         });
}

/* ---- launchers ---- */

static int64_t tiles_of(int64_t rows, int64_t columns, bool large)
{
    return large ? blocks_for(rows, 64) * blocks_for(columns, 64) : blocks_for(rows, 16) * blocks_for(columns, 32);
}

static struct similarity_space space_of(const struct kernel_similarity_args *a)
{
    struct similarity_space s = {};
    size_t element = element_bytes(a->math), batch = (size_t)a->batch;
    char *base = static_cast<char *>(a->workspace);
    auto take = [&](size_t bytes) {
        char *at = base ? base + s.bytes : nullptr;
        s.bytes += (size_t)round_up((int64_t)bytes, 128);
        return static_cast<void *>(at);
    };
    s.samples = a->batch / a->slices;
    s.width_pitch = round_up(a->width, 8);
    s.samples_pitch = round_up(s.samples, 8);
    s.large_cosine = a->slices * tiles_of(s.samples, s.samples, true) >= LARGE_ENOUGH;
    s.large_back = a->slices * tiles_of(s.samples, a->width, true) >= LARGE_ENOUGH;
    s.down = (int)blocks_for(s.samples, s.large_cosine ? 64 : 16);
    s.across = (int)blocks_for(s.samples, s.large_cosine ? 64 : 32);
    s.u = take(batch * (size_t)s.width_pitch * element);
    s.dr = take(batch * (size_t)s.samples_pitch * element);
    s.target = static_cast<double *>(take(batch * sizeof(double)));
    s.inverse = static_cast<float *>(take(batch * sizeof(float)));
    s.along = static_cast<float *>(take(batch * (size_t)s.across * sizeof(float)));
    s.figures = static_cast<double *>(take(figures_workspace((int64_t)a->slices * s.down * s.across)));
    return s;
}

template <int MATH> static int run(const struct kernel_similarity_args *a, kernel_stream stream)
{
    struct similarity_space s = space_of(a);
    int64_t cosines = (int64_t)a->slices * s.down * s.across;
    int64_t backs = a->slices * tiles_of(s.samples, a->width, s.large_back);
    int status = launch(centre_kernel<MATH>, blocks_for(a->batch, TILE_WARPS), TILE_THREADS, 0, stream, *a, s);
    if (status != KERNEL_OK) return status;
    status = s.large_cosine ? launch(cosine_kernel<MATH, true>, cosines, TILE_THREADS, cosine_shape<MATH, true>::BYTES,
                                     stream, *a, s)
                            : launch(cosine_kernel<MATH, false>, cosines, TILE_THREADS,
                                     cosine_shape<MATH, false>::BYTES, stream, *a, s);
    if (status != KERNEL_OK) return status;
    return s.large_back
               ? launch(back_kernel<MATH, true>, backs, TILE_THREADS, back_shape<MATH, true>::BYTES, stream, *a, s)
               : launch(back_kernel<MATH, false>, backs, TILE_THREADS, back_shape<MATH, false>::BYTES, stream, *a, s);
}

size_t kernel_similarity_workspace(const struct kernel_similarity_args *a)
{
    return space_of(a).bytes;
}

int kernel_similarity(const struct kernel_similarity_args *a, kernel_stream stream)
{
    if (a->batch < 1 || a->width < 1 || a->slices < 1 || a->batch % a->slices || a->classes < 1 || a->global_batch < 1)
        return KERNEL_REFUSED;
    switch (a->math) {
    case MATH_F32: return run<MATH_F32>(a, stream);
    case MATH_TF32: return run<MATH_TF32>(a, stream);
    case MATH_BF16: return run<MATH_BF16>(a, stream);
    }
    return KERNEL_REFUSED;
}
