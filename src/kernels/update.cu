/* Parameter updates, a stage's groups in one launch: op.h's adamw and sgd, fp32 masters and moments; retract and clamp.
 *
 * Nothing happens where norm is latched. Learning rate and bias corrections come from `hyper` on the device.
 * Bytes per parameter: adamw reads p, g, m, v and writes p, m, v: 28; sgd with momentum 20, without 12. A stage of 1 M
 * parameters: 28 MB, 5.8 us at 4.8 TB/s.
 * Geometry: 256 threads, 8 elements each as two times 16 bytes (one by one where a tensor does not lie on 16 bytes). All
 * are read first: the latch, and the division and the root in f64 that the rates take, come while the memory answers. Rows
 * of the tensors' table go to the kernel by value.
 * retract: a block of 128 threads per row, which it reads twice (the second time from L1) and writes once. */
#include "device.cuh"

enum { THREADS = 256, PER_THREAD = 8, CHUNK = THREADS * PER_THREAD, ROW_THREADS = 128 };

struct update_table {
    struct kernel_param param[GRAD_GROUPS];
    int first_block[GRAD_GROUPS + 1];
    bool wide[GRAD_GROUPS];
};

/* What an update needs, once per block. */
struct update_rule {
    const double *hyper, *norm;
    float beta1, beta2, eps, momentum;
    int nesterov;
};

enum update_kind { UPDATE_ADAMW, UPDATE_SGD };

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
    load(t.g + at, e.g);
    if (t.m) load(t.m + at, e.m);
    if (KIND == UPDATE_ADAMW) load(t.v + at, e.v);
}

template <int KIND, int V>
DEVICE void update_write(const struct kernel_param &t, const struct update_rule &rule, const struct update_numbers &n,
                         int64_t at, update_values<V> &e)
{
#pragma unroll
    for (int i = 0; i < V; i++) step<KIND>(rule, n, e.g[i], e.p[i], e.m[i], e.v[i], t.m != nullptr);
    store(t.p + at, e.p);
    if (t.m) store(t.m + at, e.m);
    if (KIND == UPDATE_ADAMW) store(t.v + at, e.v);
}

/* What the rates are made of, as it lies on the device. */
struct update_scalars {
    double latch, factor, rate, bias1, bias2;
};

template <int KIND> DEVICE update_scalars scalars_read(const struct update_rule &rule)
{
    return {rule.norm[NORM_LATCH], rule.norm[NORM_FACTOR], rule.hyper[HYPER_LR],
            KIND == UPDATE_ADAMW ? rule.hyper[HYPER_BIAS1] : 1, KIND == UPDATE_ADAMW ? rule.hyper[HYPER_BIAS2] : 1};
}

template <int KIND> DEVICE update_numbers numbers_of(const struct kernel_param &t, const update_scalars &s)
{
    return {(float)s.factor, (float)(s.rate * t.lr_factor), t.decay, KIND == UPDATE_ADAMW ? (float)(1 / s.bias1) : 0.0f,
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
    return on_16_bytes(p->p) && on_16_bytes(p->g) && on_16_bytes(p->m) && on_16_bytes(p->v);
}

template <int KIND> static int run(const struct kernel_update_args *a, kernel_stream stream)
{
    struct update_rule rule = {a->hyper,           a->norm,    (float)a->beta1, (float)a->beta2, (float)a->eps,
                               (float)a->momentum, a->nesterov};
    if (a->params > GRAD_GROUPS) return KERNEL_REFUSED;
    struct update_table table = {};
    for (int i = 0; i < a->params; i++) {
        table.param[i] = a->param[i];
        table.wide[i] = is_wide(&a->param[i]);
        table.first_block[i + 1] = table.first_block[i] + (int)blocks_for(a->param[i].count, CHUNK);
    }
    return launch(update_kernel<KIND>, table.first_block[a->params], THREADS, 0, stream, table, rule);
}

int kernel_adamw(const struct kernel_update_args *a, kernel_stream stream)
{
    return run<UPDATE_ADAMW>(a, stream);
}

int kernel_sgd(const struct kernel_update_args *a, kernel_stream stream)
{
    return run<UPDATE_SGD>(a, stream);
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
    for (int i = (int)threadIdx.x; i < a.width; i += ROW_THREADS) p[i] = (float)(p[i] * factor);
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
