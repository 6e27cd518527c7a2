/* The prototype head, forward and backward, products included, in three launches (METHOD.md 1.1-1.4; head.cuh has the
 * identities that make this possible):
 *
 *   1. cos (B, R) = e p^T, not yet divided by ||e||: tiles of 32 samples x 64 prototypes
 *   2. head_loss.cu: ||e||, scores, loss, dcos, sums over samples
 *   3. de = (dcos p - z along) / ||e|| and dP = dcos^T z - p dot, tiles of both side by side in one launch, 64 x 64 or,
 *      where that gives too few, 16 x 32; one more block adds up the figures
 *
 * A head whose prototypes fit beside 16 samples in shared memory has 1, 2 and de of 3 in one launch (head_small.cu), and
 * dP in the second.
 * Bytes, (512, 512, 100, 4) with bf16 products: launch 1: 112 blocks read 64 KB of e and 128 KB of p each (p_half: 64 KB)
 * from L2; launch 2: head_loss.cu; launch 3: 120 blocks, 118 KB to 147 KB each. All of it stays in L2 (3 MB of data).
 * Expected on an H200 (132 multiprocessors, about 64 bytes a clock each from L2 at 1.7 GHz), not yet measured: 3.2 + 4.0 +
 * 4.3 us and twice 0.8 us between launches, 13 us of the 16 that are allowed; mma.sync works 0.6 us of it.
 * (512, 256, 10, 4): head_small.cu. */
#include "head.cuh"

/* ---- 1: cos ---- */

template <int MATH> using cos_shape = tile_shape<MATH, 32, 64, 4, false, false>;

template <int MATH, typename P>
KERNEL(TILE_THREADS)
cos_kernel(struct matrix<float> e, struct matrix<P> p, float *cos, int64_t pitch)
{
    typedef cos_shape<MATH> shape;
    DYNAMIC_SHARED(unsigned char, shared);
    int64_t across = (p.rows + shape::BN - 1) / shape::BN;
    int64_t m = blockIdx.x / across * shape::BM, n = blockIdx.x % across * shape::BN;
    block_product<shape>(shared, e, m, p, n, e.columns, do_nothing, read_nothing,
                         [&](int row, int column, float value, nothing) {
                             if ((m + row < e.rows) & (n + column < p.rows))
                                 cos[(m + row) * pitch + n + column] = value;
                         });
}

/* ---- 3: de and dP ---- */

template <int MATH, bool LARGE>
using de_shape = tile_shape<MATH, LARGE ? 64 : 16, LARGE ? 64 : 32, LARGE ? 2 : 1, false, true>;
template <int MATH, bool LARGE>
using dp_shape = tile_shape<MATH, LARGE ? 64 : 16, LARGE ? 64 : 32, LARGE ? 2 : 1, true, true>;

/* Elements of the products apart. */
struct gradient_args {
    struct head_space space;
    int batch, width, rows;
    int64_t de_tiles, dp_tiles;
    const float *e, *p, *log_scale;
    float *de, *dp, *dlog_scale;
    double *metrics;
};

/* dot_r for rows m .. m + BM - 1: the parts' sums of q, by groups of threads, in a fixed order. */
template <int BM> DEVICE void dots_total(const struct gradient_args &a, int64_t m, float *dots)
{
    constexpr int GROUPS_OF = TILE_THREADS / BM;
    SHARED(float, sums, TILE_THREADS);
    int r = (int)threadIdx.x % BM, group = (int)threadIdx.x / BM;
    float sum = 0;
    if (m + r < a.rows) {
#pragma unroll 8
        for (int part = group; part < a.space.parts; part += GROUPS_OF)
            sum += a.space.q[(int64_t)part * a.rows + m + r];
    }
    sums[threadIdx.x] = sum;
    BLOCK_SYNC();
    if (group > 0) return;
    for (int g = 1; g < GROUPS_OF; g++) sum += sums[g * BM + r];
    dots[r] = sum;
}

template <int MATH, bool LARGE, typename P>
KERNEL(TILE_THREADS)
gradients_kernel(const __grid_constant__ struct gradient_args a, struct matrix<P> p)
{
    typedef typename math_of<MATH>::element element;
    typedef de_shape<MATH, LARGE> de;
    typedef dp_shape<MATH, LARGE> dp;
    DYNAMIC_SHARED(unsigned char, shared);
    SHARED(float, dots, dp::BM);
    int64_t block = blockIdx.x, across = (a.width + de::BN - 1) / de::BN;
    /* dcos and z are 0 up to their pitch: all of it may be read eight at a time. */
    struct matrix<element> dcos = {
        static_cast<const element *>(a.space.dcos), a.space.rows_pitch, a.batch, a.space.rows_pitch, true
    };
    if (block < a.de_tiles) {
        int64_t m = block / across * de::BM, n = block % across * de::BN;
        struct own {
            float e, along, inverse;
        };
        auto read = [&](int row, int column) {
            int64_t b = clamped(m + row, a.batch), d = clamped(n + column, a.width);
            return own{a.e[b * a.width + d], a.space.along[b], a.space.inverse[b]};
        };
        block_product<de>(shared, dcos, m, p, n, a.rows, do_nothing, read,
                          [&](int row, int column, float value, own o) {
                              int64_t b = m + row, d = n + column;
                              if ((b < a.batch) & (d < a.width))
                                  a.de[b * a.width + d] = (value - o.e * o.inverse * o.along) * o.inverse;
                          });
    } else if (block < a.de_tiles + a.dp_tiles) {
        block -= a.de_tiles;
        int64_t m = block / across * dp::BM, n = block % across * dp::BN;
        struct matrix<element> z = {
            static_cast<const element *>(a.space.z), a.space.width_pitch, a.batch, a.space.width_pitch, true
        };
        auto sum_dots = [&]() { dots_total<dp::BM>(a, m, dots); };
        auto read = [&](int row, int column) {
            return a.p[clamped(m + row, a.rows) * a.width + clamped(n + column, a.width)];
        };
        block_product<dp>(shared, dcos, m, z, n, a.batch, sum_dots, read,
                          [&](int row, int column, float value, float own) {
                              if ((m + row < a.rows) & (n + column < a.width))
                                  a.dp[(m + row) * a.width + n + column] = value - own * dots[row];
                          });
    } else {
        figures_total<TILE_THREADS>(a.space.figures, a.space.parts, a.metrics, a.dlog_scale, a.log_scale);
    }
}

/* ---- launchers ---- */

template <int MATH, bool LARGE, typename P>
static int gradients(const struct gradient_args *a, struct matrix<P> p, kernel_stream stream)
{
    size_t shared = de_shape<MATH, LARGE>::BYTES;
    if ((size_t)dp_shape<MATH, LARGE>::BYTES > shared) shared = dp_shape<MATH, LARGE>::BYTES;
    return launch(gradients_kernel<MATH, LARGE, P>, a->de_tiles + a->dp_tiles + 1, TILE_THREADS, shared, stream, *a, p);
}

/* Large tiles where they alone keep most of 132 multiprocessors busy. */
enum { LARGE_ENOUGH = 100 };

static int64_t tiles_of(int64_t rows, int64_t columns, int bm, int bn)
{
    return blocks_for(rows, bm) * blocks_for(columns, bn);
}

/* How many samples a block of the loss takes where there are sums of q: at most HEAD_PARTS blocks. */
static int samples_per_part(int batch)
{
    return (int)round_up(blocks_for(batch, HEAD_PARTS), HEAD_SAMPLES);
}

/* de is done already where a head is small. */
template <int MATH, typename P>
static int run_gradients(const struct kernel_hff_args *a, const struct head_space *space, bool with_de, const P *p,
                         kernel_stream stream)
{
    int rows = a->classes * a->per_class;
    struct gradient_args g = {*space,       a->batch, a->width, rows,          0,         0, a->e, a->p,
                              a->log_scale, a->de,    a->dp,    a->dlog_scale, a->metrics};
    int64_t large =
        (with_de ? tiles_of(a->batch, a->width, 64, 64) : 0) + (a->dp ? tiles_of(rows, a->width, 64, 64) : 0);
    int bm = large >= LARGE_ENOUGH ? 64 : 16, bn = large >= LARGE_ENOUGH ? 64 : 32;
    g.de_tiles = with_de ? tiles_of(a->batch, a->width, bm, bn) : 0;
    g.dp_tiles = a->dp ? tiles_of(rows, a->width, bm, bn) : 0;
    struct matrix<P> prototypes = matrix_of(p, a->width, rows, a->width);
    return bm == 64 ? gradients<MATH, true>(&g, prototypes, stream) : gradients<MATH, false>(&g, prototypes, stream);
}

template <int MATH, typename P>
static int run(const struct kernel_hff_args *a, const struct head_space *space, const P *p, kernel_stream stream)
{
    int rows = a->classes * a->per_class, status;
    if (head_small_fits(a)) {
        status = head_small(a, space, stream);
    } else {
        typedef cos_shape<MATH> shape;
        struct head_loss_args loss = {};
        loss.rule = head_rule_of(a);
        loss.batch = a->batch;
        loss.per_part = samples_per_part(a->batch);
        loss.cos = space->cos;
        loss.dcos = space->dcos;
        loss.rows_pitch = space->rows_pitch;
        loss.scores = a->scores;
        loss.along = space->along;
        loss.q = a->eval || !a->dp ? nullptr : space->q;
        loss.figures = space->figures;
        loss.e = a->e;
        loss.width = a->width;
        loss.width_pitch = space->width_pitch;
        loss.inverse = space->inverse;
        loss.z = a->eval || !a->dp ? nullptr : space->z;
        status = launch(cos_kernel<MATH, P>, tiles_of(a->batch, rows, shape::BM, shape::BN), TILE_THREADS, shape::BYTES,
                        stream, matrix_of(a->e, a->width, a->batch, a->width), matrix_of(p, a->width, rows, a->width),
                        space->cos, space->rows_pitch);
        if (status == KERNEL_OK) status = head_loss(a->math, &loss, stream);
    }
    if (status != KERNEL_OK) return status;
    if (a->eval) return head_figures(a, space->figures, space->parts, stream);
    return run_gradients<MATH, P>(a, space, !head_small_fits(a), p, stream);
}

static struct head_space space_of(const struct kernel_hff_args *a)
{
    struct head_space s = {};
    int64_t rows = (int64_t)a->classes * a->per_class;
    size_t element = element_bytes(a->math), batch = (size_t)a->batch;
    char *base = static_cast<char *>(a->workspace);
    auto take = [&](size_t bytes) {
        char *at = base ? base + s.bytes : nullptr;
        s.bytes += (size_t)round_up((int64_t)bytes, 128);
        return static_cast<void *>(at);
    };
    s.rows_pitch = round_up(rows, 8);
    s.width_pitch = round_up(a->width, 8);
    s.parts = head_small_fits(a) ? (int)blocks_for(a->batch, small_samples_of(a->batch))
                                 : (int)blocks_for(a->batch, samples_per_part(a->batch));
    s.cos = static_cast<float *>(take(batch * (size_t)s.rows_pitch * sizeof(float)));
    s.along = static_cast<float *>(take(batch * sizeof(float)));
    s.inverse = static_cast<float *>(take(batch * sizeof(float)));
    s.q = static_cast<float *>(take((size_t)s.parts * (size_t)rows * sizeof(float)));
    s.dcos = take(batch * (size_t)s.rows_pitch * element);
    s.z = take(batch * (size_t)s.width_pitch * element);
    s.figures = static_cast<double *>(take((size_t)s.parts * FIGURES * sizeof(double)));
    return s;
}

/* Own products up to 2^29 multiply-adds each and 1024 prototypes; beyond that cuBLASLt's are worth their launches. */
int kernel_hff_fits(const struct kernel_hff_args *a)
{
    int64_t rows = (int64_t)a->classes * a->per_class;
    return rows <= 1024 && (int64_t)a->batch * a->width <= ((int64_t)1 << 29) / rows;
}

size_t kernel_hff_workspace(const struct kernel_hff_args *a)
{
    return space_of(a).bytes;
}

int kernel_hff(const struct kernel_hff_args *a, kernel_stream stream)
{
    if (a->batch < 1 || a->width < 1 || a->classes < 1 || a->per_class < 1 || !kernel_hff_fits(a))
        return KERNEL_REFUSED;
    struct head_space space = space_of(a);
    switch (a->math) {
    case MATH_F32: return run<MATH_F32>(a, &space, a->p, stream);
    case MATH_TF32: return run<MATH_TF32>(a, &space, a->p, stream);
    case MATH_BF16:
        return a->p_half ? run<MATH_BF16>(a, &space, static_cast<const half_word *>(a->p_half), stream)
                         : run<MATH_BF16>(a, &space, a->p, stream);
    }
    return KERNEL_REFUSED;
}
