/* Parameter updates, many tensors in one launch: op.h's adamw and sgd, fp32 masters and moments, with the packed copy
 * that the products read written in the same pass; retract and clamp.
 *
 * Nothing happens where norm is latched. Learning rate and bias corrections come from `hyper` on the device.
 * Bytes per parameter: adamw reads p, g, m, v and writes p, m, v: 28; sgd with momentum 20, without 12; a bf16 copy 2
 * more, an f32 copy 4. A stage of 1 M parameters with bf16 copies: 30 MB, 6.3 us at 4.8 TB/s.
 * Geometry: 256 threads, 8 elements each as two times 16 bytes (one by one where a tensor does not lie on 16 bytes or
 * its gradient is packed). All are read first: the latch, and the division and the root in f64 that the rates take, come
 * while the memory answers. Rows of the tensors' table go to the kernel by value, at most 48 of them a launch.
 * retract: a block of 128 threads per row, which it reads twice (the second time from L1) and writes once. */
#include "device.cuh"

enum { THREADS = 256, PER_THREAD = 8, CHUNK = THREADS * PER_THREAD, PARAMS_MOST = 40, ROW_THREADS = 128 };

struct update_table {
    struct kernel_param param[PARAMS_MOST];
    int first_block[PARAMS_MOST + 1];
    int params;
    bool wide[PARAMS_MOST];
};

/* What an update needs, once per block. */
struct update_rule {
    const double *hyper, *norm;
    float beta1, beta2, eps, momentum;
    int nesterov;
};

enum update_kind { UPDATE_ADAMW, UPDATE_SGD, UPDATE_COPY };

/* Where element i of a plain (outer, channels, area) tensor lies in (outer, area, pitch). */
DEVICE int64_t packed_place(const struct kernel_param &p, int64_t i)
{
    if (p.area == 0) return i;
    unsigned at = (unsigned)i, channels = (unsigned)p.channels, area = (unsigned)p.area;
    unsigned position = at % area, c = at / area % channels, outer = at / area / channels;
    return ((int64_t)outer * area + position) * p.pitch + c;
}

DEVICE void copy_write(const struct kernel_param &p, int64_t i, float v)
{
    if (!p.copy) return;
    int64_t at = packed_place(p, i);
    if (p.copy_dtype == DTYPE_BF16)
        static_cast<half_word *>(p.copy)[at] = narrow<half_word>(v);
    else
        static_cast<float *>(p.copy)[at] = v;
}

/* Everything that elements of one tensor share. */
struct update_numbers {
    float factor, rate, decay, bias1, root_bias2;
};

/* One element: p, m, v in and out. */
template <int KIND>
DEVICE void step(const struct update_rule &rule, const struct update_numbers &n, float g, float &p, float &m, float &v,
                 bool has_m)
{
    g *= n.factor;
    if (KIND == UPDATE_ADAMW) {
        m = rule.beta1 * m + (1 - rule.beta1) * g;
        v = rule.beta2 * v + (1 - rule.beta2) * g * g;
        p -= n.rate * (n.decay * p + m * n.bias1 / (sqrtf(v) * n.root_bias2 + rule.eps));
    } else {
        g += n.decay * p;
        if (has_m) {
            m = rule.momentum * m + g;
            g = rule.nesterov ? g + rule.momentum * m : m;
        }
        p -= n.rate * g;
    }
}

/* V elements of a tensor, their gradient and moments. */
template <int V> struct update_values {
    float p[V], g[V], m[V], v[V];
};

template <int KIND, int V> DEVICE void update_read(const struct kernel_param &t, int64_t at, update_values<V> &e)
{
    load(t.p + at, e.p);
    if constexpr (KIND != UPDATE_COPY) {
        if (V == 1 && t.g_packed)
            e.g[0] = t.g[packed_place(t, at)];
        else
            load(t.g + at, e.g);
        if (t.m) load(t.m + at, e.m);
        if (KIND == UPDATE_ADAMW) load(t.v + at, e.v);
    }
}

template <int KIND, int V>
DEVICE void update_write(const struct kernel_param &t, const struct update_rule &rule, const struct update_numbers &n,
                         int64_t at, update_values<V> &e)
{
    if constexpr (KIND != UPDATE_COPY) {
#pragma unroll
        for (int i = 0; i < V; i++) step<KIND>(rule, n, e.g[i], e.p[i], e.m[i], e.v[i], t.m != nullptr);
        store(t.p + at, e.p);
        if (t.m) store(t.m + at, e.m);
        if (KIND == UPDATE_ADAMW) store(t.v + at, e.v);
    }
    if constexpr (V == 4) {
        if (t.copy && t.area == 0 && t.copy_dtype == DTYPE_BF16) {
            uint32_t *copy = reinterpret_cast<uint32_t *>(static_cast<half_word *>(t.copy) + at);
            copy[0] = narrow_two(e.p[0], e.p[1]);
            copy[1] = narrow_two(e.p[2], e.p[3]);
            return;
        }
    }
#pragma unroll
    for (int i = 0; i < V; i++) copy_write(t, at + i, e.p[i]);
}

/* What the rates are made of, as it lies on the device. */
struct update_scalars {
    double latch, factor, rate, bias1, bias2;
};

template <int KIND> DEVICE update_scalars scalars_read(const struct update_rule &rule)
{
    if constexpr (KIND == UPDATE_COPY)
        return {};
    else
        return {rule.norm[NORM_LATCH], rule.norm[NORM_FACTOR], rule.hyper[HYPER_LR],
                KIND == UPDATE_ADAMW ? rule.hyper[HYPER_BIAS1] : 1, KIND == UPDATE_ADAMW ? rule.hyper[HYPER_BIAS2] : 1};
}

template <int KIND> DEVICE update_numbers numbers_of(const struct kernel_param &t, const update_scalars &s)
{
    if constexpr (KIND == UPDATE_COPY)
        return {};
    else
        return {(float)s.factor, (float)(s.rate * t.lr_factor), t.decay,
                KIND == UPDATE_ADAMW ? (float)(1 / s.bias1) : 0.0f,
                KIND == UPDATE_ADAMW ? (float)(1 / sqrt(s.bias2)) : 0.0f};
}

/* This thread's elements of t[first .. end), at most CHUNK, V at a time; end - first is a multiple of V. */
template <int KIND, int V>
DEVICE void update_chunk(const struct kernel_param &t, const struct update_rule &rule, int64_t first, int64_t end)
{
    update_values<V> e[PER_THREAD / V];
    update_scalars scalars = scalars_read<KIND>(rule);
    first += threadIdx.x * V;
#pragma unroll
    for (int j = 0; j < PER_THREAD / V; j++) {
        e[j] = {};
        if (first + j * THREADS * V < end) update_read<KIND>(t, first + j * THREADS * V, e[j]);
    }
    if (scalars.latch != 0) return;
    update_numbers n = numbers_of<KIND>(t, scalars);
#pragma unroll
    for (int j = 0; j < PER_THREAD / V; j++)
        if (first + j * THREADS * V < end) update_write<KIND>(t, rule, n, first + j * THREADS * V, e[j]);
}

template <int KIND>
KERNEL(THREADS)
update_kernel(const __grid_constant__ struct update_table table, struct update_rule rule)
{
    int i = 0;
    while ((int)blockIdx.x >= table.first_block[i + 1]) i++;
    const struct kernel_param &t = table.param[i];
    int64_t first = (int64_t)((int)blockIdx.x - table.first_block[i]) * CHUNK;
    int64_t end = first + CHUNK < t.count ? first + CHUNK : t.count;
    int64_t whole = table.wide[i] ? first + (end - first) / 4 * 4 : first;
    if (first < whole) update_chunk<KIND, 4>(t, rule, first, whole);
    if (whole < end) update_chunk<KIND, 1>(t, rule, whole, end);
}

static bool is_wide(const struct kernel_param *p)
{
    return !p->g_packed && on_16_bytes(p->p) && on_16_bytes(p->g) && on_16_bytes(p->m) && on_16_bytes(p->v) &&
           on_16_bytes(p->copy);
}

template <int KIND> static int run(const struct kernel_update_args *a, kernel_stream stream)
{
    struct update_rule rule = {a->hyper,           a->norm,    (float)a->beta1, (float)a->beta2, (float)a->eps,
                               (float)a->momentum, a->nesterov};
    for (int done = 0; done < a->params;) {
        struct update_table table = {};
        while (table.params < PARAMS_MOST && done < a->params) {
            const struct kernel_param *p = &a->param[done++];
            if (p->count > (p->area ? UINT32_MAX : INT64_MAX)) return KERNEL_REFUSED;
            table.param[table.params] = *p;
            table.wide[table.params] = is_wide(p);
            table.first_block[table.params + 1] = table.first_block[table.params] + (int)blocks_for(p->count, CHUNK);
            table.params++;
        }
        int status = launch(update_kernel<KIND>, table.first_block[table.params], THREADS, 0, stream, table, rule);
        if (status != KERNEL_OK) return status;
    }
    return KERNEL_OK;
}

int kernel_adamw(const struct kernel_update_args *a, kernel_stream stream)
{
    return run<UPDATE_ADAMW>(a, stream);
}

int kernel_sgd(const struct kernel_update_args *a, kernel_stream stream)
{
    return run<UPDATE_SGD>(a, stream);
}

int kernel_copies(const struct kernel_update_args *a, kernel_stream stream)
{
    return run<UPDATE_COPY>(a, stream);
}

/* ---- constraints ---- */

KERNEL(ROW_THREADS) retract_kernel(struct kernel_retract_args a)
{
    SHARED(double, scratch, ROW_THREADS / WARP);
    if (a.norm[NORM_LATCH] != 0) return;
    float *p = a.p + (int64_t)blockIdx.x * a.width;
    double squares = 0;
    for (int i = (int)threadIdx.x; i < a.width; i += ROW_THREADS) squares += (double)p[i] * p[i];
    squares = block_sum(squares, scratch);
    double factor = squares > 0 ? 1 / sqrt(squares) : 1;
    for (int i = (int)threadIdx.x; i < a.width; i += ROW_THREADS) {
        float v = (float)(p[i] * factor);
        p[i] = v;
        int64_t at = (int64_t)blockIdx.x * a.width + i;
        if (a.copy && a.copy_dtype == DTYPE_BF16)
            static_cast<half_word *>(a.copy)[at] = narrow<half_word>(v);
        else if (a.copy)
            static_cast<float *>(a.copy)[at] = v;
    }
}

int kernel_retract(const struct kernel_retract_args *a, kernel_stream stream)
{
    return launch(retract_kernel, a->rows, ROW_THREADS, 0, stream, *a);
}

KERNEL(THREADS) clamp_kernel(struct kernel_clamp_args a)
{
    int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (i >= a.count || a.norm[NORM_LATCH] != 0) return;
    a.p[i] = (float)fmin(fmax((double)a.p[i], a.lo), a.hi);
}

int kernel_clamp(const struct kernel_clamp_args *a, kernel_stream stream)
{
    return launch(clamp_kernel, blocks_for(a->count, THREADS), THREADS, 0, stream, *a);
}
