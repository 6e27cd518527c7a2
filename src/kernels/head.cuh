/* The prototype head, what its variants share: one sample's scores, loss, gradients and figures, by one warp
 * (METHOD.md 1.2-1.4), and where things lie in the workspace.
 *
 * Two identities save both projections a pass over D, given q[b,r] = dcos[b,r] cos[b,r]:
 *     <z_b, dz_b> = sum_r q[b,r]          so de = (dz - z along_b) / ||e||, along_b = sum_r q[b,r]
 *     <p_r, dP_raw_r> = sum_b q[b,r]      so dP = dP_raw - p dot_r,         dot_r = sum_b q[b,r]
 * and scale * dL/dscale (but for the margin's part) is sum_b along_b. dcos is taken as it is rounded for the products.
 *
 * The probability of the label comes near 1, and G = p - t there would lose its digits: the label with the larger share
 * gets minus the sum of all other classes' G instead (they add up to 0). */
#ifndef HFF_KERNELS_HEAD_CUH
#define HFF_KERNELS_HEAD_CUH

#include "head_row.cuh"

enum { FIGURE_DSCALE = METRICS, FIGURES = METRICS + 1 }; /* what a sample adds: its metrics, and its part of dscale */
enum { HEAD_SAMPLES = TILE_WARPS, HEAD_PARTS = 128 };    /* samples at a time in a block; most partial sums of q */

/* What all samples share. */
struct head_rule {
    int classes, per_class, rows, pairwise, eval;
    float margin, smoothing, share; /* share: of a sample's gradient in the batch's: (1 - discount) / global batch */
    double kept;                    /* 1 - discount */
    const float *log_scale;
    const int32_t *y1, *y2;
    const float *weight;
    int64_t *wins;
};

/* One sample's, for its warp. cos: (rows), as the product gave them: times `factor` they are cosines. */
struct head_sample {
    const float *cos;
    float factor;
    double length;
    float *scores; /* (classes) out */
    float *q;      /* (rows), on 16 bytes where a class has 4 of them, added to; NULL: not wanted */
    int y1, y2;
    float w;
    float log_scale; /* read early by the caller: nothing waits for it then */
};

/* Prototypes of a class, 0: any number; which loss, EITHER: the rule says it. Kernels have them compiled in, for an
 * instruction that is never run still lies between others that have to be fetched. */
enum { EITHER = -1 };
template <int K_, int LOSS_> struct head_kind {
    static constexpr int K = K_, LOSS = LOSS_;
};

DEVICE bool is_dead(double length)
{
    return length <= 1e-6;
}

/* 0 for a dead sample; not a number stays so. */
DEVICE float inverse_length(double length)
{
    return is_dead(length) ? 0.0f : (float)(1 / length);
}

/* One class's prototypes: the greatest cosine, its place, and sum_k exp(scale (cos_k - greatest)). */
struct class_view {
    float best, sum;
    int place;
};

/* K: per_class where it is known when compiled, so that several classes' loads are under way together; 0: it is not. */
template <int K>
DEVICE class_view view_class(const struct head_rule &h, const struct head_sample &s, float scale, int c)
{
    const float *cos = s.cos + (int64_t)c * h.per_class;
    if constexpr (K > 0) {
        float v[K];
        load(cos, v); /* rows of cos lie on 16 bytes */
        class_view view = {v[0] * s.factor, 0, 0};
#pragma unroll
        for (int k = 1; k < K; k++)
            if (v[k] * s.factor > view.best) view.best = v[k] * s.factor, view.place = k;
#pragma unroll
        for (int k = 0; k < K; k++) view.sum += K == 1 ? 1.0f : expf(scale * (v[k] * s.factor - view.best));
        return view;
    }
    class_view view = {cos[0] * s.factor, 0, 0};
    for (int k = 1; k < h.per_class; k++) {
        float v = cos[k] * s.factor;
        if (v > view.best) view.best = v, view.place = k;
    }
    for (int k = 0; k < h.per_class; k++) view.sum += expf(scale * (cos[k] * s.factor - view.best));
    return view;
}

/* What the first pass over the classes finds out. */
struct head_view {
    float scale;
    best first;    /* the class with the greatest score */
    float s1, s2;  /* the labels' scores */
    float most;    /* the greatest score less margins */
    float own;     /* cosine of the best prototype of the label that counts */
    int own_place; /* which of the class's */
    float other;   /* greatest cosine of any other class */
};

/* Scores of N classes a lane, from `first` on: all their cosines are read before anything is written. */
template <int K, int N>
DEVICE void view_some(const struct head_rule &h, const struct head_sample &s, head_view &v, int first, int label,
                      float m1, float m2)
{
    class_view view[N];
    float score[N];
#pragma unroll
    for (int j = 0; j < N; j++) {
        int c = first + j * WARP + lane_index();
        view[j] = view_class<K>(h, s, v.scale, c < h.classes ? c : h.classes - 1);
    }
#pragma unroll
    for (int j = 0; j < N; j++) {
        score[j] = v.scale * view[j].best;
        if (K != 1) score[j] += logf(view[j].sum / (float)h.per_class);
    }
#pragma unroll
    for (int j = 0; j < N; j++) {
        int c = first + j * WARP + lane_index();
        if (c >= h.classes) continue;
        s.scores[c] = score[j];
        v.first = better(v.first, best{score[j], c});
        if (c != label) v.other = fmaxf(v.other, view[j].best);
        if (label >= 0) score[j] -= (c == s.y1 ? m1 : 0.0f) + (c == s.y2 ? m2 : 0.0f);
        v.most = fmaxf(v.most, score[j]);
    }
}

/* Scores of all classes. Only where the labels mean something (has_labels) are they looked at. */
template <int K, bool MANY>
DEVICE head_view view_all(const struct head_rule &h, const struct head_sample &s, bool has_labels)
{
    head_view v = {expf(s.log_scale), {-INFINITY, INT32_MAX}, 0, 0, -INFINITY, 0, 0, -2};
    float m1 = v.scale * h.margin * s.w, m2 = v.scale * h.margin * (1 - s.w);
    int label = has_labels ? (s.w >= 1 - s.w ? s.y1 : s.y2) : -1;
    for (int first = 0; first < h.classes;) {
        if (MANY && h.classes - first > WARP) {
            view_some<K, 4>(h, s, v, first, label, m1, m2);
            first += 4 * WARP;
        } else {
            view_some<K, 1>(h, s, v, first, label, m1, m2);
            first += WARP;
        }
    }
    WARP_SYNC(); /* the labels' scores are other lanes' */
    v.first = warp_best(v.first);
    v.most = warp_max(v.most);
    v.other = warp_max(v.other);
    if (has_labels) {
        class_view view = view_class<K>(h, s, v.scale, label);
        v.own = view.best;
        v.own_place = view.place;
        v.s1 = s.scores[s.y1];
        v.s2 = s.scores[s.y2];
    }
    return v;
}

/* G of all classes, in two steps: what the others need, then class by class. */
struct head_loss {
    float loss, g1, g2; /* g1, g2: dL/ds of the labels' classes; where y1 = y2 g1 is all of it */
    float sum, sum1, sum2;
    float dmargin; /* derivative by scale through M = scale m alone */
};

DEVICE float softplus(float v)
{
    return fmaxf(v, 0.0f) + log1pf(expf(-fabsf(v)));
}

DEVICE float sigmoid(float v)
{
    return 1 / (1 + expf(-v));
}

/* G of a class that is no label, of the sample's own loss. */
DEVICE float other_gradient(const struct head_rule &h, const struct head_sample &s, const head_view &v,
                            const head_loss &l, float score)
{
    if (!h.pairwise) return expf(score - v.most) / l.sum - h.smoothing / (float)h.classes;
    float room = v.scale * h.margin, g = 0;
    if (s.w != 0) g += s.w * sigmoid(score - v.s1 + room);
    if (s.w != 1) g += (1 - s.w) * sigmoid(score - v.s2 + room);
    return g;
}

/* - sum_c t_c log softmax(s')_c. */
DEVICE head_loss softmax_loss(const struct head_rule &h, const struct head_sample &s, const head_view &v)
{
    head_loss l = {};
    constexpr int AT_ONCE = 4;
    float even = h.smoothing / (float)h.classes, kept = 1 - h.smoothing, below = 0, others = 0;
    float m = v.scale * h.margin;
    bool one = s.y1 == s.y2;
    float below1 = v.s1 - m * (one ? 1 : s.w) - v.most, below2 = one ? below1 : v.s2 - m * (1 - s.w) - v.most;
#pragma unroll 1
    for (int first = lane_index(); first < h.classes; first += AT_ONCE * WARP) {
        float d[AT_ONCE];
#pragma unroll
        for (int j = 0; j < AT_ONCE; j++) { /* labels and what is no class add 0: a branch would keep the loads apart */
            int c = first + j * WARP;
            d[j] = s.scores[c < h.classes ? c : h.classes - 1] - v.most;
        }
#pragma unroll
        for (int j = 0; j < AT_ONCE; j++) {
            int c = first + j * WARP;
            bool counts = (c < h.classes) & (c != s.y1) & (c != s.y2);
            float power = expf(d[j]);
            below += counts ? d[j] : 0.0f;
            others += counts ? power : 0.0f;
        }
    }
    below = warp_sum(below);
    others = warp_sum(others);
    float power1 = expf(below1), power2 = one ? 0.0f : expf(below2);
    l.sum = others + power1 + power2;
    l.loss = logf(l.sum) - kept * (s.w * below1 + (1 - s.w) * below2) - even * (below + below1 + (one ? 0.0f : below2));
    /* The others' G add up to this; the larger label's is what is missing to 0. */
    float rest = others / l.sum - even * (float)(h.classes - (one ? 1 : 2));
    if (one) {
        l.g1 = -rest;
    } else if (s.w >= 1 - s.w) {
        l.g2 = power2 / l.sum - even - kept * (1 - s.w);
        l.g1 = -(rest + l.g2);
    } else {
        l.g1 = power1 / l.sum - even - kept * s.w;
        l.g2 = -(rest + l.g1);
    }
    l.dmargin = one ? -h.margin * l.g1 : -h.margin * (s.w * l.g1 + (1 - s.w) * l.g2);
    return l;
}

/* sum over labels of share times sum_{c != y} softplus(s_c - s_y + M). */
DEVICE head_loss pairwise_loss(const struct head_rule &h, const struct head_sample &s, const head_view &v)
{
    head_loss l = {};
    float m = v.scale * h.margin, share1 = s.w, share2 = 1 - s.w;
    for (int c = lane_index(); c < h.classes; c += WARP) {
        float score = s.scores[c];
        if (c != s.y1 && share1 != 0) {
            l.loss += share1 * softplus(score - v.s1 + m);
            l.sum1 += share1 * sigmoid(score - v.s1 + m);
        }
        if (c != s.y2 && share2 != 0) {
            l.loss += share2 * softplus(score - v.s2 + m);
            l.sum2 += share2 * sigmoid(score - v.s2 + m);
        }
    }
    l.loss = warp_sum(l.loss);
    l.sum1 = warp_sum(l.sum1);
    l.sum2 = warp_sum(l.sum2);
    l.dmargin = h.margin * (l.sum1 + l.sum2);
    if (s.y1 == s.y2) {
        l.g1 = -(l.sum1 + l.sum2);
    } else {
        l.g1 = (share2 != 0 ? share2 * sigmoid(v.s1 - v.s2 + m) : 0.0f) - l.sum1;
        l.g2 = (share1 != 0 ? share1 * sigmoid(v.s2 - v.s1 + m) : 0.0f) - l.sum2;
    }
    return l;
}

/* dcos of N classes a lane, from `first` on; adds to the lane's sums of q and of unrounded q. A prototype's share of its
 * class is exp(scale cos - score) / per_class. All that is needed is read before anything is written. */
template <int MATH, int K, int N>
DEVICE void some_gradients(const struct head_rule &h, const struct head_sample &s, const head_view &v,
                           const head_loss &l, int first, typename math_of<MATH>::element *dcos, float &along,
                           float &slope)
{
    typedef typename math_of<MATH>::element element;
    constexpr int COUNT = K > 0 ? K : 1;
    float cos[N][COUNT], near[N][COUNT], score[N], each[N];
#pragma unroll
    for (int j = 0; j < N; j++) {
        int c = first + j * WARP + lane_index(), place = c < h.classes ? c : h.classes - 1;
        score[j] = s.scores[place];
        if (K > 0) load(s.cos + (int64_t)place * COUNT, cos[j]);
    }
#pragma unroll
    for (int j = 0; j < N; j++) {
        int c = first + j * WARP + lane_index();
        float g = other_gradient(h, s, v, l, score[j]);
        g = h.share * (c == s.y1 ? l.g1 : c == s.y2 ? l.g2 : g);
        each[j] = c < h.classes ? v.scale * g / (float)h.per_class : 0.0f; /* what is no class adds 0 */
    }
    for (int group = 0; group < (K > 0 ? 1 : h.per_class); group++) {
#pragma unroll
        for (int j = 0; j < N; j++) {
            int c = first + j * WARP + lane_index();
            if (K == 0) cos[j][0] = s.cos[(int64_t)(c < h.classes ? c : h.classes - 1) * h.per_class + group];
#pragma unroll
            for (int k = 0; k < COUNT; k++) {
                float own = cos[j][k] *= s.factor;
                float exact = K == 1 ? each[j] : each[j] * expf(v.scale * own - score[j]);
                near[j][k] = rounded<element>(for_product<MATH>(exact));
                along += near[j][k] * own;
                slope += exact * own;
            }
        }
#pragma unroll
        for (int j = 0; j < N; j++) {
            int c = first + j * WARP + lane_index();
            if (c >= h.classes) continue;
            int64_t at = (int64_t)c * h.per_class + group;
            store_few(dcos + at, near[j]);
            if (!s.q) continue;
            float sum[COUNT];
            load(s.q + at, sum);
#pragma unroll
            for (int k = 0; k < COUNT; k++) sum[k] += near[j][k] * cos[j][k];
            store(s.q + at, sum);
        }
    }
}

/* The sample's scores, loss and, unless the rule is eval, dcos (rows up to `pitch` become 0). MANY: a lane may have
 * several classes. Returns along; figures, in shared memory or out of it, gets what the sample adds (lane 0 writes). */
template <int MATH, typename KIND, bool MANY>
DEVICE float sample_loss(const struct head_rule &any, const struct head_sample &s,
                         typename math_of<MATH>::element *dcos, int64_t pitch, double *figures)
{
    typedef typename math_of<MATH>::element element;
    constexpr int K = KIND::K;
    struct head_rule h = any;
    if (KIND::LOSS != EITHER) h.pairwise = KIND::LOSS == HFF_LOSS_PAIRWISE;
    if (K > 0) h.per_class = K;
    bool padding = h.eval && s.w == 0, dead = is_dead(s.length);
    double count = h.eval ? s.w : 1;
    struct head_sample own = s;
    if (h.eval) own.w = 1;
    head_view v = view_all<K, MANY>(h, own, !padding);
    head_loss l = {};
    if (!padding) l = h.pairwise ? pairwise_loss(h, own, v) : softmax_loss(h, own, v);
    float along = 0, slope = 0;
    if (!h.eval) {
#pragma unroll 1
        for (int64_t r = (dead ? 0 : h.rows) + lane_index(); r < pitch; r += WARP) dcos[r] = narrow<element>(0.0f);
        for (int first = 0; first < h.classes && !dead;) {
            if (MANY && K > 0 && h.classes - first > WARP) {
                some_gradients<MATH, K, 4>(h, s, v, l, first, dcos, along, slope);
                first += 4 * WARP;
            } else {
                some_gradients<MATH, K, 1>(h, s, v, l, first, dcos, along, slope);
                first += WARP;
            }
        }
        along = warp_sum(along);
        slope = warp_sum(slope);
    }
    if (lane_index() > 0) return along;
    int label = own.w >= 1 - own.w ? s.y1 : s.y2;
    for (int i = 0; i < FIGURES; i++) figures[i] = 0;
    if (padding) return along;
    figures[METRIC_SAMPLES] = count;
    figures[METRIC_LOSS] = count * h.kept * l.loss;
    figures[METRIC_CORRECT] = v.first.place == label ? count : 0;
    figures[METRIC_OWN] = count * v.own;
    figures[METRIC_OTHER] = h.classes > 1 ? count * v.other : 0;
    figures[METRIC_NORM] = count * s.length;
    figures[METRIC_DEAD] = dead ? count : 0;
    if (h.eval || dead) return along;
    figures[FIGURE_DSCALE] = (double)slope / v.scale + (double)l.dmargin * h.share;
    if (h.wins) count_one(&h.wins[(int64_t)label * h.per_class + v.own_place]);
    return along;
}

/* ---- what the launchers share ---- */

static inline struct head_rule head_rule_of(const struct kernel_hff_args *a)
{
    struct head_rule h = {a->classes,
                          a->per_class,
                          a->classes * a->per_class,
                          a->loss == HFF_LOSS_PAIRWISE,
                          a->eval,
                          a->eval ? 0.0f : (float)a->margin,
                          a->eval ? 0.0f : (float)a->smoothing,
                          a->eval ? 0.0f : (float)((1 - a->discount) / (double)a->global_batch),
                          a->eval ? 1.0 : 1 - a->discount,
                          a->log_scale,
                          a->y1,
                          a->eval ? a->y1 : a->y2,
                          a->weight,
                          a->eval ? nullptr : a->wins};
    return h;
}

/* run(head_kind) with the rule's. Both losses are in one kernel where nobody counts microseconds, for nvcc takes most of a
 * second for each kernel. */
template <int MATH, typename RUN> static inline int for_kind(const struct head_rule &h, RUN run)
{
    constexpr bool EACH = MATH == MATH_BF16;
    constexpr int SOFTMAX = EACH ? (int)HFF_LOSS_SOFTMAX : EITHER, PAIRWISE = EACH ? (int)HFF_LOSS_PAIRWISE : EITHER;
    if (h.per_class == 1) return h.pairwise ? run(head_kind<1, PAIRWISE>()) : run(head_kind<1, SOFTMAX>());
    if (h.per_class == 4) return h.pairwise ? run(head_kind<4, PAIRWISE>()) : run(head_kind<4, SOFTMAX>());
    return run(head_kind<0, EITHER>());
}

/* Where the variants without the caller's products keep things. */
struct head_space {
    int64_t rows_pitch, width_pitch; /* of cos and dcos; of z */
    int parts;                       /* blocks that make partial figures and sums of q */
    float *cos;                      /* (B, R): <e, p>, not yet divided by ||e|| */
    float *along, *inverse;          /* (B): see above; 1 / ||e||, 0 for a dead sample */
    float *q;                        /* (parts, R) */
    void *dcos, *z;                  /* (B, R), (B, D), elements of the products */
    double *figures;                 /* (parts, FIGURES) */
    size_t bytes;
};

/* head_loss.cu: sample_loss for `batch` samples, and what they add up to, in `parts` blocks. */
struct head_loss_args {
    struct head_rule rule;
    int batch, per_part; /* samples of a block: a multiple of HEAD_SAMPLES */
    const float *cos;
    void *dcos;
    int64_t rows_pitch;
    float *scores, *along;
    float *q; /* (parts, R), NULL: not wanted */
    double *figures;
    /* Either cos are cosines and `length` is known, or e is given: then length is computed, cos are divided by it, and
     * inverse and (for dP) z are written. */
    const double *length;
    const float *e;
    int width;
    int64_t width_pitch;
    float *inverse;
    void *z;
};
int head_loss(enum kernel_math math, const struct head_loss_args *a, kernel_stream stream);
static inline int head_parts(const struct head_loss_args *a)
{
    return (int)blocks_for(a->batch, a->per_part);
}

/* head_loss.cu: adds the parts' figures up in their order, to the metrics and dlog_scale. */
int head_figures(const struct kernel_hff_args *a, const double *figures, int parts, kernel_stream stream);

/* head_small.cu: whether the head fits on chip, and the launch that does all but dP and the sums over parts. A block has
 * 16 rows of samples; while there are multiprocessors left, half of them are empty: then each warp has one sample. */
enum { SMALL_SAMPLES = 16 };
static inline int small_samples_of(int batch)
{
    return batch <= 132 * TILE_WARPS ? (int)TILE_WARPS : (int)SMALL_SAMPLES;
}
bool head_small_fits(const struct kernel_hff_args *a);
int head_small(const struct kernel_hff_args *a, const struct head_space *space, kernel_stream stream);

/* The parts' figures, by a whole block: groups of threads add every GROUPS-th part, then the groups' sums in their order. */
template <int THREADS>
DEVICE void figures_total(const double *figures, int parts, double *metrics, float *dlog_scale, const float *log_scale)
{
    constexpr int GROUPS = THREADS / FIGURES;
    SHARED(double, sums, GROUPS *FIGURES);
    int i = (int)threadIdx.x % FIGURES, group = (int)threadIdx.x / FIGURES;
    double sum = 0;
#pragma unroll 4
    for (int part = group; part < parts && group < GROUPS; part += GROUPS) sum += figures[(int64_t)part * FIGURES + i];
    if (group < GROUPS) sums[threadIdx.x] = sum;
    BLOCK_SYNC();
    if (group > 0) return;
    for (int g = 1; g < GROUPS; g++) sum += sums[g * FIGURES + i];
    if (i < METRICS)
        metrics[i] += sum;
    else if (dlog_scale)
        *dlog_scale = (float)(exp((double)*log_scale) * sum);
}

#endif
