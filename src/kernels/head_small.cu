/* The prototype head for few prototypes, on chip: products, norms, scores, loss and de of 8 or 16 samples by one block,
 * with all of p beside them in shared memory (METHOD.md 1.1-1.4; head.cuh). dP and the sums over blocks follow in one
 * launch of head.cu's gradients, which reads the dcos and z that are written here: less traffic than a partial dP per
 * block, and a fixed order.
 *
 * Shared memory: e (16, D), p (R, D), dcos (16, R) as the products read them, cos (16, R) and eight warps' parts of it,
 * where the scores lie later: (512, 256, 10, 4) bf16: 84 KB. D is at most 512 with bf16 products, 256 with f32.
 * Bytes: every block reads p (40 KB; p_half 20 KB) and its 8 KB of e, writes de, z and dcos: for 64 blocks 1.8 MB in
 * (L2), 0.8 MB out. It is nearly all latency, a chain of steps in one warp. Expected on an H200 at 1.7 GHz, counted from
 * the chain and not yet measured: start 1.0 us, p and e with ||e|| beside them 1.1, cos 0.4, loss 1.4, de and results
 * 0.8: 4.7 us; then 0.8 us between launches and 2.8 of dP: 8.5 us of the 12 that are allowed.
 * Geometry: 256 threads. cos: the warps share D, every warp all prototypes; loss: a warp per sample, one each (two where
 * the batch has more than 8 samples for each of 132 multiprocessors); de: the warps share D's columns, 32 at a time. */
#include "head.cuh"

enum { SMALL_ROWS = 128, SMALL_COLUMNS = 32 };

/* Sizes in shared memory, in elements of the products or floats. */
struct small_sizes {
    int rows, width;                        /* rounded up to 32 */
    int width_pitch, dcos_pitch, cos_pitch; /* of e and p; dcos; cos */
    size_t p, dcos, cos, part;              /* offsets in bytes; e is at 0 */
    size_t bytes;
};

static struct small_sizes sizes_of(const struct kernel_hff_args *a)
{
    struct small_sizes s;
    size_t element = element_bytes(a->math);
    int pad = a->math == MATH_BF16 ? math_of<MATH_BF16>::PAD : math_of<MATH_F32>::PAD;
    s.rows = (int)round_up((int64_t)a->classes * a->per_class, SMALL_COLUMNS);
    s.width = (int)round_up(a->width, SMALL_COLUMNS);
    s.width_pitch = s.width + pad;
    s.dcos_pitch = s.rows + pad;
    s.cos_pitch = s.rows + 4;
    s.p = (size_t)SMALL_SAMPLES * (size_t)s.width_pitch * element;
    s.dcos = s.p + (size_t)s.rows * (size_t)s.width_pitch * element;
    s.cos = s.dcos + (size_t)SMALL_SAMPLES * (size_t)s.dcos_pitch * element;
    s.part = s.cos + (size_t)SMALL_SAMPLES * (size_t)s.cos_pitch * sizeof(float);
    s.bytes = s.part + (size_t)TILE_WARPS * SMALL_SAMPLES * (size_t)s.cos_pitch * sizeof(float);
    return s;
}

bool head_small_fits(const struct kernel_hff_args *a)
{
    int64_t rows = (int64_t)a->classes * a->per_class;
    int most = a->math == MATH_BF16 ? math_of<MATH_BF16>::CHUNK : math_of<MATH_F32>::CHUNK;
    return rows <= SMALL_ROWS && a->width <= most && sizes_of(a).bytes <= SHARED_MOST - 4096;
}

struct small_args {
    struct head_rule rule;
    struct small_sizes sizes;
    struct head_space space;
    int batch, width, each; /* each: samples of a block */
    const float *e;
    float *scores, *de;
};

/* This block's samples. */
struct small_range {
    int64_t first, end;
};

DEVICE small_range range_of(const struct small_args &a)
{
    int64_t first = (int64_t)blockIdx.x * a.each, end = first + a.each;
    return {first, end < a.batch ? end : a.batch};
}

/* cos = e p^T for the block's samples: each warp its share of k, then everyone adds the warps' parts in their order. */
template <int MATH>
DEVICE void small_cos(const struct small_sizes &z, const typename math_of<MATH>::element *e,
                      const typename math_of<MATH>::element *p, float *part, float *cos)
{
    int g = lane_index() / 4, t = lane_index() % 4, pitch = z.cos_pitch;
    for (int n = 0; n < z.rows; n += SMALL_COLUMNS) {
        float acc[4][4] = {};
        warp_product<MATH, 4, false, false>(acc, e, z.width_pitch, p + n * z.width_pitch, z.width_pitch, warp_index(),
                                            TILE_WARPS, z.width / math_of<MATH>::STEP);
        float *own = part + (warp_index() * SMALL_SAMPLES + g) * pitch + n + 2 * t;
#pragma unroll
        for (int f = 0; f < 4; f++) {
            own[8 * f] = acc[f][0];
            own[8 * f + 1] = acc[f][1];
            own[8 * f + 8 * pitch] = acc[f][2];
            own[8 * f + 8 * pitch + 1] = acc[f][3];
        }
    }
    BLOCK_SYNC();
    for (int i = (int)threadIdx.x; i < SMALL_SAMPLES * z.rows; i += TILE_THREADS) {
        int at = i / z.rows * pitch + i % z.rows;
        float sum = 0;
#pragma unroll
        for (int w = 0; w < TILE_WARPS; w++) sum += part[w * SMALL_SAMPLES * pitch + at];
        cos[at] = sum;
    }
}

/* de = (dcos p - z along) / ||e||. */
template <int MATH>
DEVICE void small_de(const struct small_args &a, const typename math_of<MATH>::element *dcos,
                     const typename math_of<MATH>::element *p, const float *along, const float *inverse)
{
    int g = lane_index() / 4, t = lane_index() % 4;
    small_range own = range_of(a);
    for (int n = warp_index() * SMALL_COLUMNS; n < a.width; n += TILE_WARPS * SMALL_COLUMNS) {
        float acc[4][4] = {}, e[16]; /* read before anything is written, and while the product is made */
        auto row_of = [&](int i) { return g + i % 4 / 2 * 8; };
        auto column_of = [&](int i) { return n + i / 4 * 8 + 2 * t + i % 2; };
        auto is_own = [&](int i) { return own.first + row_of(i) < own.end && column_of(i) < a.width; };
#pragma unroll
        for (int i = 0; i < 16; i++) e[i] = is_own(i) ? a.e[(own.first + row_of(i)) * a.width + column_of(i)] : 0.0f;
        warp_product<MATH, 4, false, true>(acc, dcos, a.sizes.dcos_pitch, p + n, a.sizes.width_pitch, 0, 1,
                                           a.sizes.rows / math_of<MATH>::STEP);
#pragma unroll
        for (int i = 0; i < 16; i++) {
            int row = row_of(i);
            float value = (acc[i / 4][i % 4] - e[i] * inverse[row] * along[row]) * inverse[row];
            if (is_own(i)) a.de[(own.first + row) * a.width + column_of(i)] = value;
        }
    }
}

/* Scores, and what dP and the sums over blocks need: dcos, and this block's sums of q and of figures. */
template <int MATH>
DEVICE void small_results(const struct small_args &a, const typename math_of<MATH>::element *dcos, const float *cos,
                          const float *scores, const float *inverse, const double *figures)
{
    typedef typename math_of<MATH>::element element;
    small_range own = range_of(a);
    int rows = a.rule.rows, pitch = (int)a.space.rows_pitch, classes = a.rule.classes;
    if (threadIdx.x < FIGURES) {
        double sum = 0;
        for (int i = 0; i < SMALL_SAMPLES; i++) sum += figures[i * FIGURES + (int)threadIdx.x];
        a.space.figures[(int64_t)blockIdx.x * FIGURES + threadIdx.x] = sum;
    }
    for (int i = (int)threadIdx.x; i < (int)(own.end - own.first) * classes; i += TILE_THREADS)
        a.scores[own.first * classes + i] = scores[i / classes * a.sizes.cos_pitch + i % classes];
    if (a.rule.eval) return;
    int eights = pitch / 8;
    for (int i = (int)threadIdx.x; i < (int)(own.end - own.first) * eights; i += TILE_THREADS) {
        int row = i / eights, r = i % eights * 8;
        float v[8];
        load_eight(dcos + row * a.sizes.dcos_pitch + r, v);
        store_eight(static_cast<element *>(a.space.dcos) + (own.first + row) * pitch + r, v);
    }
    for (int r = (int)threadIdx.x; r < rows; r += TILE_THREADS) {
        float sum = 0;
        for (int i = 0; i < SMALL_SAMPLES; i++)
            sum += widen(dcos[i * a.sizes.dcos_pitch + r]) * (cos[i * a.sizes.cos_pitch + r] * inverse[i]);
        a.space.q[(int64_t)blockIdx.x * rows + r] = sum;
    }
}

template <int MATH, typename P, typename KIND>
KERNEL(TILE_THREADS)
small_kernel(const __grid_constant__ struct small_args a, struct matrix<P> prototypes)
{
    typedef typename math_of<MATH>::element element;
    constexpr bool MANY = SMALL_ROWS / (KIND::K > 0 ? KIND::K : 1) > WARP;
    DYNAMIC_SHARED(char, shared);
    SHARED(double, figures, SMALL_SAMPLES *FIGURES);
    SHARED(double, lengths, SMALL_SAMPLES);
    SHARED(float, inverse, SMALL_SAMPLES);
    SHARED(float, along, SMALL_SAMPLES);
    SHARED(int, labels, 2 * SMALL_SAMPLES);
    SHARED(float, weights, SMALL_SAMPLES);
    const struct small_sizes &z = a.sizes;
    element *e = reinterpret_cast<element *>(shared), *p = reinterpret_cast<element *>(shared + z.p);
    element *dcos = reinterpret_cast<element *>(shared + z.dcos);
    float *cos = reinterpret_cast<float *>(shared + z.cos), *part = reinterpret_cast<float *>(shared + z.part);
    float *scores = part; /* whose sums are in cos by then */
    small_range range = range_of(a);
    struct matrix<float> samples = {
        a.e, a.width, range.end, a.width, a.width % 4 == 0
    };
    float log_scale = *a.rule.log_scale; /* this and the labels with the rest: each load alone would be as long */
    if (range.first + threadIdx.x < range.end && threadIdx.x < SMALL_SAMPLES) {
        labels[threadIdx.x] = a.rule.y1[range.first + threadIdx.x];
        labels[SMALL_SAMPLES + threadIdx.x] = a.rule.y2[range.first + threadIdx.x];
        weights[threadIdx.x] = a.rule.weight[range.first + threadIdx.x];
    }
    stage<MATH>(p, z.width_pitch, prototypes, 0, z.rows, 0, z.width);
    stage<MATH>(e, z.width_pitch, samples, range.first, SMALL_SAMPLES, 0, z.width);
    for (int i = warp_index(); i < SMALL_SAMPLES && range.first + i < range.end; i += TILE_WARPS) {
        const float *own = a.e + (range.first + i) * a.width;
        double length = length_of(own, a.width);
        if (lane_index() == 0) lengths[i] = length;
        if (!a.rule.eval)
            write_z<MATH>(own, a.width, inverse_length(length),
                          static_cast<element *>(a.space.z) + (range.first + i) * a.space.width_pitch,
                          a.space.width_pitch);
    }
    copies_wait();
    BLOCK_SYNC();
    small_cos<MATH>(z, e, p, part, cos);
    BLOCK_SYNC();
    for (int i = warp_index(); i < SMALL_SAMPLES; i += TILE_WARPS) {
        int64_t b = range.first + i;
        float sum = 0, factor = 0;
        if (b < range.end) {
            factor = inverse_length(lengths[i]);
            struct head_sample s = {cos + i * z.cos_pitch,     factor,     lengths[i],
                                    scores + i * z.cos_pitch,  nullptr,    labels[i],
                                    labels[SMALL_SAMPLES + i], weights[i], log_scale};
            sum = sample_loss<MATH, KIND, MANY>(a.rule, s, dcos + i * z.dcos_pitch, z.rows, figures + i * FIGURES);
        } else {
            for (int r = lane_index(); r < z.rows; r += WARP) dcos[i * z.dcos_pitch + r] = narrow<element>(0.0f);
            if (lane_index() < FIGURES) figures[i * FIGURES + lane_index()] = 0;
        }
        if (lane_index() == 0) along[i] = sum, inverse[i] = factor;
    }
    BLOCK_SYNC();
    small_results<MATH>(a, dcos, cos, scores, inverse, figures);
    if (!a.rule.eval) small_de<MATH>(a, dcos, p, along, inverse);
}

template <int MATH, typename P> static int run(const struct small_args *s, const P *p, kernel_stream stream)
{
    struct matrix<P> prototypes = matrix_of(p, s->width, s->rule.rows, s->width);
    return for_kind<MATH>(s->rule, [=](auto kind) {
        return launch(small_kernel<MATH, P, decltype(kind)>, blocks_for(s->batch, s->each), TILE_THREADS,
                      s->sizes.bytes, stream, *s, prototypes);
    });
}

int head_small(const struct kernel_hff_args *a, const struct head_space *space, kernel_stream stream)
{
    struct small_args s = {head_rule_of(a), sizes_of(a), *space, a->batch, a->width, small_samples_of(a->batch), a->e,
                           a->scores,       a->de};
    switch (a->math) {
    case MATH_F32: return run<MATH_F32>(&s, a->p, stream);
    case MATH_TF32: return run<MATH_TF32>(&s, a->p, stream);
    case MATH_BF16:
        return a->p_half ? run<MATH_BF16>(&s, static_cast<const half_word *>(a->p_half), stream)
                         : run<MATH_BF16>(&s, a->p, stream);
    }
    return KERNEL_REFUSED;
}
