/* The prototype head for many classes: the caller makes the three products (cuBLASLt), these kernels everything around
 * them, tile by tile over the batch within a bounded workspace (METHOD.md 1.1-1.4).
 *
 *   for a tile of samples: embed: ||e||, z | cos = z p^T | head_loss.cu: scores, loss, dcos | dz = dcos p |
 *                          finish: de = (dz - z along) / ||e|| | dP += dcos^T z
 *   at the end: dP = dP - p <p, dP> row by row, and the sums of figures.
 *
 * Bytes around the products for (1024, 2048, 1000, 4), bf16 products: embed reads 8 MB, writes 4; loss 16 MB three times
 * (twice from L1), writes 12; finish 24 MB; dP's projection 84 MB (100 in f32): 1.1e8 bytes in all, 24 us at 4.8 TB/s, against
 * 50 GFLOP of products (60 to 70 us): most of it in L2, and dP's projection the largest part.
 * Geometry: embed and finish a warp per sample, 8 to a block; projection a block of 256 threads per prototype. */
#include "head.cuh"

enum { THREADS = 256, TILE_STEP = 16 };

template <int MATH>
KERNEL(TILE_THREADS)
embed_kernel(int batch, int width, const float *e, typename math_of<MATH>::element *z, int64_t pitch, double *length)
{
    int64_t b = (int64_t)blockIdx.x * TILE_WARPS + warp_index();
    if (b >= batch) return;
    double own = length_of(e + b * width, width);
    if (lane_index() == 0) length[b] = own;
    write_z<MATH>(e + b * width, width, inverse_length(own), z + b * pitch, pitch);
}

/* dz may be de: every element is read and written by one thread, all of a thread's reads before its first write. N: 4
 * where everything lies on 16 bytes. */
template <int N>
KERNEL(TILE_THREADS)
finish_kernel(int batch, int width, const float *e, const float *along, const double *length, const float *dz,
              int64_t pitch, float *de)
{
    constexpr int AT_ONCE = 4, STEP = WARP * N;
    int64_t b = (int64_t)blockIdx.x * TILE_WARPS + warp_index();
    if (b >= batch) return;
    float inverse = inverse_length(length[b]), sum = along[b];
#pragma unroll 1
    for (int first = lane_index() * N; first < width; first += AT_ONCE * STEP) {
        float own[AT_ONCE][N], raw[AT_ONCE][N];
#pragma unroll
        for (int i = 0; i < AT_ONCE; i++) {
            int d = first + i * STEP < width ? first + i * STEP : first;
            load(e + b * width + d, own[i]);
            load(dz + b * pitch + d, raw[i]);
        }
#pragma unroll
        for (int i = 0; i < AT_ONCE; i++) {
#pragma unroll
            for (int j = 0; j < N; j++) raw[i][j] = (raw[i][j] - own[i][j] * inverse * sum) * inverse;
            if (first + i * STEP < width) store(de + b * width + first + i * STEP, raw[i]);
        }
    }
}

/* raw may be dp; p as the products read it, where its rows lie side by side: half the bytes, and some of them still in L2. N
 * elements at a time: 16 bytes of P, or 1. A row stays in registers up to AT_ONCE steps; what comes behind them is read
 * again, from L1. */
template <typename P, int N>
KERNEL(THREADS)
project_kernel(int width, const P *p, const float *raw, int64_t pitch, float *dp)
{
    SHARED(double, scratch, THREADS / WARP);
    constexpr int AT_ONCE = N > 4 ? 1 : 2, STEP = THREADS * N, V = N > 4 ? 4 : N;
    int start = (int)threadIdx.x * N;
    float own[AT_ONCE][N] = {}, sum[AT_ONCE][N] = {};
    p += (int64_t)blockIdx.x * width, dp += (int64_t)blockIdx.x * width, raw += (int64_t)blockIdx.x * pitch;
#pragma unroll
    for (int i = 0; i < AT_ONCE; i++) {
        if (start + i * STEP >= width) continue;
        load(p + start + i * STEP, own[i]);
        load_many<V>(raw + start + i * STEP, sum[i]);
    }
    double dot = 0;
#pragma unroll
    for (int i = 0; i < AT_ONCE; i++)
#pragma unroll
        for (int j = 0; j < N; j++) dot += (double)own[i][j] * sum[i][j];
#pragma unroll 1
    for (int d = start + AT_ONCE * STEP; d < width; d += STEP) {
        float v[N], w[N];
        load(p + d, v);
        load_many<V>(raw + d, w);
#pragma unroll
        for (int j = 0; j < N; j++) dot += (double)v[j] * w[j];
    }
    float along = (float)block_sum(dot, scratch);
#pragma unroll
    for (int i = 0; i < AT_ONCE; i++) {
#pragma unroll
        for (int j = 0; j < N; j++) sum[i][j] -= own[i][j] * along;
        if (start + i * STEP < width) store_many<V>(dp + start + i * STEP, sum[i]);
    }
#pragma unroll 1
    for (int d = start + AT_ONCE * STEP; d < width; d += STEP) {
        float v[N], w[N];
        load(p + d, v);
        load_many<V>(raw + d, w);
#pragma unroll
        for (int j = 0; j < N; j++) w[j] -= v[j] * along;
        store_many<V>(dp + d, w);
    }
}

/* Rows of D: where D is no multiple of 8 products of them need room of their own. */
static bool is_direct(const struct kernel_hff_args *a)
{
    return a->width % 8 == 0;
}

/* The prototypes as the products read them: as they are where that is possible. */
static bool needs_p(const struct kernel_hff_args *a)
{
    return !is_direct(a) || (a->math == MATH_BF16 && !a->p_half);
}

int kernel_hff_plan(const struct kernel_hff_args *a, size_t limit, struct kernel_hff_plan *plan)
{
    if (a->batch < 1 || a->width < 1 || a->classes < 1 || a->per_class < 1) return KERNEL_REFUSED;
    size_t element = element_bytes(a->math), rows = (size_t)a->classes * (size_t)a->per_class;
    struct kernel_hff_plan p = {};
    p.width_pitch = round_up(a->width, 8);
    p.rows_pitch = round_up((int64_t)rows, 8);
    size_t wide = (size_t)p.width_pitch, long_ = (size_t)p.rows_pitch;
    auto take = [&](size_t bytes) {
        size_t at = p.bytes;
        p.bytes += (size_t)round_up((int64_t)bytes, 128);
        return at;
    };
    p.figures = take((size_t)blocks_for(a->batch, HEAD_SAMPLES) * FIGURES * sizeof(double));
    p.p = take(needs_p(a) ? rows * wide * element : 0);
    p.dp = take(!a->eval && !is_direct(a) ? rows * wide * sizeof(float) : 0);
    size_t each = wide * element + sizeof(double) + long_ * sizeof(float);
    if (!a->eval) each += long_ * element + sizeof(float) + (is_direct(a) ? 0 : wide * sizeof(float));
    size_t slack = 8 * 128, left = limit > p.bytes + slack ? limit - p.bytes - slack : 0;
    size_t tile = left / each / TILE_STEP * TILE_STEP;
    if (tile < TILE_STEP) tile = TILE_STEP;
    p.tile = tile < (size_t)a->batch ? (int)tile : a->batch;
    tile = (size_t)p.tile;
    p.z = take(tile * wide * element);
    p.length = take(tile * (sizeof(double) + sizeof(float))); /* ||e||, then along */
    p.cos = take(tile * long_ * sizeof(float));
    p.dcos = take(a->eval ? 0 : tile * long_ * element);
    p.dz = take(!a->eval && !is_direct(a) ? tile * wide * sizeof(float) : 0);
    *plan = p;
    return KERNEL_OK;
}

/* What the walk over the tiles needs again and again. */
struct walk {
    const struct kernel_hff_args *a;
    const struct kernel_hff_plan *plan;
    kernel_product_run product;
    void *context;
    kernel_stream stream;
    int rows;
    const void *p; /* as the products read it */
    float *dp;     /* before projection */
};

static char *at(const struct walk *w, size_t offset)
{
    return static_cast<char *>(w->a->workspace) + offset;
}

static double *length_at(const struct walk *w)
{
    return reinterpret_cast<double *>(at(w, w->plan->length));
}

static float *along_at(const struct walk *w)
{
    return reinterpret_cast<float *>(length_at(w) + w->plan->tile);
}

static int embed(const struct walk *w, int first, int count)
{
    const struct kernel_hff_args *a = w->a;
    const float *e = a->e + (int64_t)first * a->width;
    void *z = at(w, w->plan->z);
    int64_t blocks = blocks_for(count, TILE_WARPS), pitch = w->plan->width_pitch;
    switch (a->math) {
    case MATH_F32:
        return launch(embed_kernel<MATH_F32>, blocks, TILE_THREADS, 0, w->stream, count, a->width, e,
                      static_cast<float *>(z), pitch, length_at(w));
    case MATH_TF32:
        return launch(embed_kernel<MATH_TF32>, blocks, TILE_THREADS, 0, w->stream, count, a->width, e,
                      static_cast<float *>(z), pitch, length_at(w));
    case MATH_BF16:
        return launch(embed_kernel<MATH_BF16>, blocks, TILE_THREADS, 0, w->stream, count, a->width, e,
                      static_cast<half_word *>(z), pitch, length_at(w));
    }
    return KERNEL_REFUSED;
}

static int loss(const struct walk *w, int first, int count)
{
    const struct kernel_hff_args *a = w->a;
    struct head_loss_args l = {};
    l.rule = head_rule_of(a);
    l.rule.y1 += first;
    l.rule.y2 += first;
    l.rule.weight += first;
    l.batch = count;
    l.per_part = HEAD_SAMPLES;
    l.cos = reinterpret_cast<const float *>(at(w, w->plan->cos));
    l.dcos = at(w, w->plan->dcos);
    l.rows_pitch = w->plan->rows_pitch;
    l.scores = a->scores + (int64_t)first * a->classes;
    l.along = along_at(w);
    l.figures = reinterpret_cast<double *>(at(w, w->plan->figures)) + (int64_t)(first / HEAD_SAMPLES) * FIGURES;
    l.length = length_at(w);
    return head_loss(a->math, &l, w->stream);
}

static int backward(const struct walk *w, int first, int count)
{
    const struct kernel_hff_args *a = w->a;
    const struct kernel_hff_plan *plan = w->plan;
    float *de = a->de + (int64_t)first * a->width, *dz = is_direct(a) ? de : reinterpret_cast<float *>(at(w, plan->dz));
    int64_t pitch = plan->width_pitch;
    struct kernel_product_args product = {
        PRODUCT_DZ, a->math, count, a->width, w->rows, at(w, plan->dcos), w->p, dz, plan->rows_pitch, pitch, pitch, 0};
    int status = w->product(w->context, &product, w->stream);
    if (status != KERNEL_OK) return status;
    const float *e = a->e + (int64_t)first * a->width;
    bool wide = is_direct(a) && on_16_bytes(e) && on_16_bytes(de);
    status = launch(wide ? finish_kernel<4> : finish_kernel<1>, blocks_for(count, TILE_WARPS), TILE_THREADS, 0,
                    w->stream, count, a->width, e, along_at(w), length_at(w), dz, pitch, de);
    if (status != KERNEL_OK || !a->dp) return status;
    product = {PRODUCT_DP,     a->math, w->rows,          a->width, count, at(w, plan->dcos),
               at(w, plan->z), w->dp,   plan->rows_pitch, pitch,    pitch, first > 0};
    return w->product(w->context, &product, w->stream);
}

static int tile(const struct walk *w, int first, int count)
{
    const struct kernel_hff_plan *plan = w->plan;
    struct kernel_product_args product = {PRODUCT_COS,
                                          w->a->math,
                                          count,
                                          w->rows,
                                          w->a->width,
                                          at(w, plan->z),
                                          w->p,
                                          reinterpret_cast<float *>(at(w, plan->cos)),
                                          plan->width_pitch,
                                          plan->width_pitch,
                                          plan->rows_pitch,
                                          0};
    int status = embed(w, first, count);
    if (status == KERNEL_OK) status = w->product(w->context, &product, w->stream);
    if (status == KERNEL_OK) status = loss(w, first, count);
    if (status == KERNEL_OK && !w->a->eval) status = backward(w, first, count);
    return status;
}

/* What the products read and write where it lies has to lie on 16 bytes, as the plan had no pointers to see. */
static bool is_aligned(const struct kernel_hff_args *a)
{
    const void *p = a->math == MATH_BF16 && a->p_half ? a->p_half : a->p;
    if (!needs_p(a) && !on_16_bytes(p)) return false;
    return a->eval || !is_direct(a) || (on_16_bytes(a->de) && on_16_bytes(a->dp));
}

/* p rounded, or with rows that can be read in pieces of 16 bytes. */
static int prototypes(struct walk *w)
{
    const struct kernel_hff_args *a = w->a;
    w->p = a->math == MATH_BF16 && a->p_half ? a->p_half : a->p;
    if (!needs_p(a)) return KERNEL_OK;
    struct kernel_reorder_args copy = {
        a->p, at(w, w->plan->p), DTYPE_F32,           a->math == MATH_BF16 ? DTYPE_BF16 : DTYPE_F32, w->rows, a->width,
        1,    a->width,          w->plan->width_pitch};
    w->p = copy.dst;
    return kernel_reorder(&copy, w->stream);
}

static int project(const struct walk *w)
{
    const struct kernel_hff_args *a = w->a;
    int64_t pitch = w->plan->width_pitch;
    if (is_direct(a) && a->math == MATH_BF16)
        return launch(project_kernel<half_word, 8>, w->rows, THREADS, 0, w->stream, a->width,
                      static_cast<const half_word *>(w->p), w->dp, pitch, a->dp);
    bool wide = is_direct(a) && on_16_bytes(a->p);
    return launch(wide ? project_kernel<float, 4> : project_kernel<float, 1>, w->rows, THREADS, 0, w->stream, a->width,
                  a->p, w->dp, pitch, a->dp);
}

int kernel_hff_tiled(const struct kernel_hff_args *a, const struct kernel_hff_plan *plan, kernel_product_run product,
                     void *context, kernel_stream stream)
{
    if (plan->tile < 1 || (plan->tile < a->batch && plan->tile % TILE_STEP) || !is_aligned(a)) return KERNEL_REFUSED;
    struct walk w = {a, plan, product, context, stream, a->classes * a->per_class, nullptr, nullptr};
    w.dp = is_direct(a) ? a->dp : reinterpret_cast<float *>(at(&w, plan->dp));
    int status = prototypes(&w);
    for (int first = 0; first < a->batch && status == KERNEL_OK; first += plan->tile)
        status = tile(&w, first, a->batch - first < plan->tile ? a->batch - first : plan->tile);
    if (status == KERNEL_OK && !a->eval && a->dp) status = project(&w);
    if (status != KERNEL_OK) return status;
    return head_figures(a, reinterpret_cast<const double *>(at(&w, plan->figures)),
                        (int)blocks_for(a->batch, HEAD_SAMPLES), stream);
}
