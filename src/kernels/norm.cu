/* Batch normalisation, activation and pooling, channels last: op.h's norm, norm_eval and norm_back.
 *
 *   forward   mean, var over the rows of each channel; y = act(gamma (x - mean) invstd + beta), then pooled
 *   backward  v = (x - mean) invstd, g = dy act'(gamma v + beta) (dy through the pool's windows first);
 *             dbeta = sum g, dgamma = sum g v, dx = gamma invstd (g - dbeta / n - v dgamma / n)
 *
 * Two launches each way: sums over rows (columns.cuh), then rows one by one.
 * Statistics are sums of x - pivot and its square, pivot being the channel's value in row 0: mean and variance come from
 * them in f64 without cancellation, since a pivot taken from the data lies within its spread.
 * Bytes, S = rows pitch sizeof(T), y smaller by the pool's area: forward reads x twice and writes y (and its index);
 * backward reads x and dy twice and writes dx. The second reading comes from L2 while S is under some 40 MB. 128 x 32 x 32
 * x 96 bf16 (25 MB), 4.8 TB/s: forward 5.2 us from memory + 5.2 us to memory + 3 us from L2 at 8 TB/s; backward 10.5 +
 * 5.2 + 6. Pooled by 2: a quarter of the writing. Expected beside that: 2 us for two launches and the join.
 * Geometry: sums as in columns.cuh; rows: 256 threads, each 16 bytes of channels of up to 8 rows, whose constants stay
 * in registers; several rows are read before the first is written, and 3 or 4 blocks share a multiprocessor. */
#include "columns.cuh"
#include "window.cuh"

enum { ROW_THREADS = 256, ROW_BLOCKS = 264, ROW_MOST = 8, ROW_BATCH = 4, GRADIENT_BATCH = 2 };

/* A kernel of rows, compiled so that `blocks` of its blocks fit into a multiprocessor. */
#define ROW_KERNEL(blocks) static __global__ void __launch_bounds__(ROW_THREADS, blocks)

/* How rows are dealt to threads: `across` vectors side by side, `down` rows below one another, `each` per thread; a chunk is
 * a block's down x each rows. */
struct dealt {
    int64_t rows, rows_of_split;
    int vectors, across, down, tiles, each, splits, chunks; /* chunks: of a split */
};

/* splits: the runs that the launch before this one went through side by side. */
static struct dealt deal(int64_t rows, int pitch, int vector, int splits)
{
    struct dealt d;
    d.rows = rows;
    d.vectors = pitch / vector;
    d.tiles = (int)blocks_for(d.vectors, WARP);
    d.across = (int)blocks_for(d.vectors, d.tiles);
    d.down = ROW_THREADS / d.across;
    int64_t each = rows * d.vectors / (ROW_THREADS * ROW_BLOCKS);
    d.each = each < 1 ? 1 : each >= ROW_MOST ? ROW_MOST : each >= ROW_MOST / 2 ? ROW_MOST / 2 : (int)each;
    d.splits = splits;
    d.rows_of_split = blocks_for(rows, splits);
    d.chunks = (int)blocks_for(d.rows_of_split, (int64_t)d.down * d.each);
    return d;
}

static int64_t blocks_of(const struct dealt &d)
{
    return (int64_t)d.tiles * d.splits * d.chunks;
}

/* This thread's first row, its first channel, and how many rows there are from the first to the end of the chunk: not
 * positive when it has none. The splits' last chunks come first: the launch before this one ended with them all, so they
 * are what L2 still holds. */
DEVICE int dealt_place(const struct dealt &d, int vector, int64_t &row, int &channel)
{
    int tile = (int)blockIdx.x % d.tiles, ty = (int)threadIdx.x / d.across, chunk = (int)blockIdx.x / d.tiles;
    int number = tile * d.across + (int)threadIdx.x % d.across, split = chunk % d.splits;
    int64_t first = split * d.rows_of_split + (int64_t)(d.chunks - 1 - chunk / d.splits) * d.down * d.each;
    int64_t end = min(min(first + d.down * d.each, (split + 1) * d.rows_of_split), d.rows);
    row = first + ty;
    channel = number * vector;
    return ty < d.down && number < d.vectors && row < end ? (int)(end - row) : 0;
}

/* The activation is a template argument where it is none or relu: a switch in every element takes longer than the rest of
 * it, and its branches keep loads apart. ANY: as `act` says. */
enum { ANY = ACT_COUNT };

/* What a thread keeps of its V channels. Padding channels get 0 throughout: y and dx are 0 there. */
template <int V> struct channel_constants {
    float mean[V], factor[V], beta[V]; /* factor = gamma invstd */
};

template <int V>
DEVICE void constants_load(channel_constants<V> &k, const struct kernel_norm_args &a, int channel, bool eval)
{
#pragma unroll
    for (int i = 0; i < V; i++) {
        int c = channel + i;
        bool counts = c < a.channels;
        float invstd = 0;
        if (counts) invstd = eval ? (float)(1 / sqrt(a.run_var[c] + a.eps)) : a.invstd[c];
        k.mean[i] = counts ? (eval ? a.run_mean[c] : a.mean[c]) : 0.0f;
        k.factor[i] = counts ? a.gamma[c] * invstd : 0.0f;
        k.beta[i] = counts ? a.beta[c] : 0.0f;
    }
}

template <int ACT, int V>
DEVICE void normalise(const channel_constants<V> &k, int act, const float (&x)[V], float (&y)[V])
{
#pragma unroll
    for (int i = 0; i < V; i++) y[i] = act_value(ACT == ANY ? act : ACT, (x[i] - k.mean[i]) * k.factor[i] + k.beta[i]);
}

/* ---- forward ---- */

template <typename T, int V> KERNEL(COLUMN_THREADS) statistics_kernel(struct columns c, struct kernel_norm_args a)
{
    const T *x = static_cast<const T *>(a.x);
    int vector = (int)blockIdx.x % c.tiles * c.across + (int)threadIdx.x % c.across;
    float pivot[V] = {};
    if (vector < c.vectors) load(x + vector * V, pivot);
    columns_sum<V, 2, 1, 8>(
        c, a.pitch, static_cast<double *>(a.workspace), a.tickets,
        [&](int64_t row, int channel, float(&v)[1][V]) { load(x + row * a.pitch + channel, v[0]); },
        [&](const float(&v)[1][V], float(&sum)[2][V]) {
#pragma unroll
            for (int i = 0; i < V; i++) {
                float d = v[0][i] - pivot[i];
                sum[0][i] += d;
                sum[1][i] += d * d;
            }
        },
        [&](int channel, const double(&total)[2]) {
            if (channel >= a.channels) return;
            double n = (double)c.rows, shift = total[0] / n, var = total[1] / n - shift * shift;
            double mean = (double)widen(x[channel]) + shift, unbiased = n > 1 ? n / (n - 1) : 1;
            var = var < 0 ? 0 : var; /* not a number stays */
            a.mean[channel] = (float)mean;
            a.invstd[channel] = (float)(1 / sqrt(var + a.eps));
            if (!a.run_mean) return;
            a.run_mean[channel] = (float)(a.run_mean[channel] + a.momentum * (mean - a.run_mean[channel]));
            a.run_var[channel] = (float)(a.run_var[channel] + a.momentum * (var * unbiased - a.run_var[channel]));
        });
}

template <typename T, int V, bool EVAL, int ACT> ROW_KERNEL(4) apply_kernel(struct dealt d, struct kernel_norm_args a)
{
    int64_t row;
    int channel, left = dealt_place(d, V, row, channel);
    if (left <= 0) return;
    channel_constants<V> k;
    constants_load(k, a, channel, EVAL);
    const T *__restrict__ x = static_cast<const T *>(a.x) + channel;
    T *__restrict__ y = static_cast<T *>(a.y) + channel;
    in_batches<ACT == ANY ? 2 : ROW_BATCH, 1, V>(
        row, left, d.down, [&](int64_t at, float(&v)[1][V]) { load(x + at * a.pitch, v[0]); },
        [&](int64_t at, const float(&v)[1][V]) {
            float out[V];
            normalise<ACT>(k, a.act, v[0], out);
            store(y + at * a.pitch, out);
        });
}

/* Rows are those of y here. Values are rounded as they would be had they been written before pooling. */
template <typename T, int V, bool EVAL, int ACT>
ROW_KERNEL(2)
apply_pool_kernel(struct dealt d, struct kernel_norm_args a, int out_height, int out_width)
{
    int64_t row;
    int channel, left = dealt_place(d, V, row, channel);
    if (left <= 0) return;
    channel_constants<V> k;
    constants_load(k, a, channel, EVAL);
    for (; left > 0; left -= d.down, row += d.down) {
        int at = (int)row, column = at % out_width, line = at / out_width % out_height;
        int64_t b = at / out_width / out_height, to = row * a.pitch + channel;
        const T *x = static_cast<const T *>(a.x) + channel +
                     ((b * a.height + line * a.pool.stride) * a.width + column * a.pool.stride) * (int64_t)a.pitch;
        float y[V];
        uint8_t place[V];
        window_pool<V>(a.pool.kind == POOL_MAX, a.pool.kernel, y, place, [&](int r, int c, float(&v)[V]) {
            load(x + ((int64_t)r * a.width + c) * a.pitch, v);
            normalise<ACT>(k, a.act, v, v);
#pragma unroll
            for (int j = 0; j < V; j++) v[j] = rounded<T>(v[j]);
        });
        store(static_cast<T *>(a.y) + to, y);
        if (a.index) store_bytes(a.index + to, place);
    }
}

/* ---- backward ---- */

/* Not pooled; by windows that do not lie over one another; by windows that do, for which there are kernels with ANY alone. */
enum pooling { POOLED_NOT, POOLED_APART, POOLED_OVER };

/* g before the activation: dy, or what the pool gives back, at one row of x. */
template <typename T, int V, int POOLED>
DEVICE void incoming(const struct kernel_norm_args &a, const struct window_sizes &w, int64_t row, int channel,
                     float (&g)[V])
{
    const T *dy = static_cast<const T *>(a.dy);
    if constexpr (POOLED != POOLED_NOT) {
        int at = (int)row;
        int b = at / a.width / a.height, line = at / a.width % a.height, column = at % a.width;
        if constexpr (POOLED == POOLED_APART)
            window_back_one<T, V>(w, dy, a.index, b, line, column, channel, g);
        else
            window_back<T, V>(w, dy, a.index, b, line, column, channel, g);
#pragma unroll
        for (int i = 0; i < V; i++) g[i] = rounded<T>(g[i]);
    } else {
        load(dy + row * a.pitch + channel, g);
    }
}

/* sum g and sum g (x - mean); invstd comes in at the end. */
template <typename T, int V, int POOLED, int ACT>
KERNEL(COLUMN_THREADS)
gradient_sums_kernel(struct columns c, struct kernel_norm_args a, struct window_sizes w)
{
    /* Rows at once: what 128 registers hold beside sums and constants. Windows are walked through row by row. */
    enum { BATCH = POOLED != POOLED_NOT ? 1 : ACT == ACT_NONE ? 4 : 2 };
    const T *x = static_cast<const T *>(a.x);
    int vector = (int)blockIdx.x % c.tiles * c.across + (int)threadIdx.x % c.across;
    channel_constants<V> k = {};
    if (vector < c.vectors) constants_load(k, a, vector * V, false);
    columns_sum<V, 2, 2, BATCH>(
        c, a.pitch, static_cast<double *>(a.workspace), a.tickets,
        [&](int64_t row, int channel, float(&v)[2][V]) {
            if (POOLED != POOLED_OVER) load(x + row * a.pitch + channel, v[0]);
            incoming<T, V, POOLED>(a, w, row, channel, v[1]);
            if (POOLED == POOLED_OVER) load(x + row * a.pitch + channel, v[0]); /* windows take many registers */
        },
        [&](const float(&v)[2][V], float(&sum)[2][V]) {
#pragma unroll
            for (int i = 0; i < V; i++) {
                float centred = v[0][i] - k.mean[i];
                float through = v[1][i] * act_slope(ACT == ANY ? a.act : ACT, centred * k.factor[i] + k.beta[i]);
                sum[0][i] += through;
                sum[1][i] += through * centred;
            }
        },
        [&](int channel, const double(&total)[2]) {
            if (channel >= a.channels) return;
            a.dbeta[channel] = (float)total[0];
            a.dgamma[channel] = (float)(total[1] * a.invstd[channel]);
        });
}

/* dx = factor g - (x - mean) slope - level, with level = factor dbeta / n and slope = factor invstd dgamma / n. dx may be
 * dy: a thread reads its own elements before it writes them. */
template <typename T, int V, int POOLED, int ACT>
ROW_KERNEL(POOLED != POOLED_NOT || ACT == ANY ? 2 : 3)
gradient_kernel(struct dealt d, struct kernel_norm_args a, struct window_sizes w)
{
    int64_t row;
    int channel, left = dealt_place(d, V, row, channel);
    if (left <= 0) return;
    channel_constants<V> k;
    constants_load(k, a, channel, false);
    float level[V], slope[V], share = 1.0f / (float)d.rows;
#pragma unroll
    for (int i = 0; i < V; i++) {
        int c = channel + i;
        level[i] = c < a.channels ? k.factor[i] * a.dbeta[c] * share : 0.0f;
        slope[i] = c < a.channels ? k.factor[i] * a.invstd[c] * a.dgamma[c] * share : 0.0f;
    }
    const T *x = static_cast<const T *>(a.x) + channel;
    T *dx = static_cast<T *>(a.dx) + channel;
    in_batches<POOLED == POOLED_OVER ? 1 : GRADIENT_BATCH, 2, V>(
        row, left, d.down,
        [&](int64_t at, float(&v)[2][V]) {
            load(x + at * a.pitch, v[0]);
            incoming<T, V, POOLED>(a, w, at, channel, v[1]);
        },
        [&](int64_t at, const float(&v)[2][V]) {
            float out[V];
#pragma unroll
            for (int i = 0; i < V; i++) {
                float centred = v[0][i] - k.mean[i];
                float through = v[1][i] * act_slope(ACT == ANY ? a.act : ACT, centred * k.factor[i] + k.beta[i]);
                out[i] = k.factor[i] * through - centred * slope[i] - level[i];
            }
            store(dx + at * a.pitch, out);
        });
}

/* ---- launchers ---- */

static int64_t rows_of(const struct kernel_norm_args *a)
{
    return a->batch * a->height * a->width;
}

static int pooled_size(int size, const struct kernel_norm_args *a)
{
    return (size - a->pool.kernel) / a->pool.stride + 1;
}

static struct window_sizes windows_of(const struct kernel_norm_args *a)
{
    if (a->pool.kernel == 0) return {};
    return {a->pool.kind == POOL_MAX,  a->pool.kernel,           a->pool.stride,
            pooled_size(a->height, a), pooled_size(a->width, a), a->pitch};
}

static bool sizes_fit(const struct kernel_norm_args *a)
{
    if (a->channels < 1 || a->channels > a->pitch || rows_of(a) < 1) return false;
    if (a->pool.kernel == 0) return true;
    return a->pool.kernel > 0 && a->pool.kernel <= 16 && a->pool.stride > 0 && a->height >= a->pool.kernel &&
           a->width >= a->pool.kernel && rows_of(a) <= INT32_MAX;
}

/* One element at a time is rare: there are no kernels of its own for none and relu then. */
static constexpr int act_of_kernel(int act, int vector)
{
    return vector > 1 ? act : (int)ANY;
}

/* run<T, V, FLAG, activation>(a, ...) */
#define BY_ACT(run, T, V, FLAG, a, ...)                                                                                \
    ((a)->act == ACT_NONE   ? run<T, V, FLAG, act_of_kernel(ACT_NONE, V)>(a, __VA_ARGS__)                              \
     : (a)->act == ACT_RELU ? run<T, V, FLAG, act_of_kernel(ACT_RELU, V)>(a, __VA_ARGS__)                              \
                            : run<T, V, FLAG, ANY>(a, __VA_ARGS__))

template <typename T, int V, bool EVAL, int ACT>
static int apply(const struct kernel_norm_args *a, int splits, kernel_stream stream)
{
    if (a->pool.kernel == 0) {
        struct dealt d = deal(rows_of(a), a->pitch, V, splits);
        return launch(apply_kernel<T, V, EVAL, ACT>, blocks_of(d), ROW_THREADS, 0, stream, d, *a);
    }
    int height = pooled_size(a->height, a), width = pooled_size(a->width, a);
    struct dealt d = deal(a->batch * height * width, a->pitch, V, splits);
    return launch(apply_pool_kernel<T, V, EVAL, ACT>, blocks_of(d), ROW_THREADS, 0, stream, d, *a, height, width);
}

template <typename T, int V> static int run(const struct kernel_norm_args *a, kernel_stream stream)
{
    struct columns c = columns_of(rows_of(a), a->pitch, V);
    if (c.tiles > KERNEL_TICKETS) return KERNEL_REFUSED;
    int status = launch(statistics_kernel<T, V>, c.tiles * c.splits, COLUMN_THREADS, 0, stream, c, *a);
    return status != KERNEL_OK ? status : BY_ACT(apply, T, V, false, a, c.splits, stream);
}

template <typename T, int V> static int run_eval(const struct kernel_norm_args *a, kernel_stream stream)
{
    return BY_ACT(apply, T, V, true, a, 1, stream);
}

template <typename T, int V, int POOLED, int ACT>
static int back(const struct kernel_norm_args *a, kernel_stream stream)
{
    struct columns c = columns_of(rows_of(a), a->pitch, V);
    struct dealt d = deal(rows_of(a), a->pitch, V, c.splits);
    struct window_sizes w = windows_of(a);
    if (c.tiles > KERNEL_TICKETS) return KERNEL_REFUSED;
    int status =
        launch(gradient_sums_kernel<T, V, POOLED, ACT>, c.tiles * c.splits, COLUMN_THREADS, 0, stream, c, *a, w);
    if (status != KERNEL_OK) return status;
    return launch(gradient_kernel<T, V, POOLED, ACT>, blocks_of(d), ROW_THREADS, 0, stream, d, *a, w);
}

template <typename T, int V> static int run_back(const struct kernel_norm_args *a, kernel_stream stream)
{
    if (a->pool.kernel == 0) return BY_ACT(back, T, V, POOLED_NOT, a, stream);
    if (a->pool.kernel <= a->pool.stride) return BY_ACT(back, T, V, POOLED_APART, a, stream);
    return back<T, V, POOLED_OVER, ANY>(a, stream);
}

size_t kernel_norm_workspace(const struct kernel_norm_args *a)
{
    return columns_workspace(a->pitch);
}

int kernel_norm(const struct kernel_norm_args *a, kernel_stream stream)
{
    if (!sizes_fit(a)) return KERNEL_REFUSED;
    return DISPATCH(a->dtype, pitch_is_wide(a->dtype, a->pitch), run, a, stream);
}

int kernel_norm_eval(const struct kernel_norm_args *a, kernel_stream stream)
{
    if (!sizes_fit(a)) return KERNEL_REFUSED;
    return DISPATCH(a->dtype, pitch_is_wide(a->dtype, a->pitch), run_eval, a, stream);
}

int kernel_norm_back(const struct kernel_norm_args *a, kernel_stream stream)
{
    if (!sizes_fit(a) || (a->pool.kernel && a->pool.kind == POOL_MAX && !a->index)) return KERNEL_REFUSED;
    return DISPATCH(a->dtype, pitch_is_wide(a->dtype, a->pitch), run_back, a, stream);
}
