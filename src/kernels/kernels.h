/* The device code's only door: every kernel has one launcher here, in plain C.
 *
 * Activations lie as (rows, pitch), rows = B H W, channels last: `pitch` elements from one row to the next, of which the
 * first `channels` count and the rest are 0 and stay 0 (RGB has channels 3, pitch 8). A flat activation (B, n) is
 * rows = B, pitch = channels = n. They are f32 or bf16 (`dtype`); everything else is f32 unless its type says so, and
 * sums are made in f32 or f64 and rounded once. Every pointer is to device memory, aligned to 16 bytes, unless a comment
 * says otherwise; a pitch that is a multiple of 4 (f32) or 8 (bf16) takes the wide loads, any other works too.
 *
 * Who owns what: the caller owns all memory. `workspace` holds as many bytes as the kernel's _workspace function says
 * (from sizes and attributes alone, the pointers may be NULL then); its content does not outlive the call's kernels.
 * `tickets` is KERNEL_TICKETS words of device memory that were 0 once; each kernel leaves them 0. One array per stream.
 *
 * A launcher enqueues and returns: it allocates nothing, waits for nothing, and can be captured into a graph. It returns
 * KERNEL_OK, KERNEL_REFUSED (sizes or attributes that the kernel does not take: nothing was enqueued), or the
 * cudaError_t of the launch.
 *
 * The same inputs give the same bits, on any stream and any number of multiprocessors: sums are cut by shape alone and
 * joined in a fixed order; there are no atomic additions of floating-point numbers. */
#ifndef HFF_KERNELS_H
#define HFF_KERNELS_H

#ifdef __cplusplus
extern "C" {
#endif

#include "backend/op.h"

typedef struct CUstream_st *kernel_stream; /* cudaStream_t */

enum { KERNEL_OK = 0, KERNEL_REFUSED = -1 };
enum { KERNEL_TICKETS = 1024 };

/* ---- reorder.cu: the same elements in another layout and type ----------------------------------------------------
 * src and dst are each either planes, (batch, channels, area), or channels last, (batch, area, pitch): pitch 0 means
 * planes. Padding channels of dst become 0. Flattening NHWC to the order channel, row, column is channels last to
 * planes. The same kernel packs filters: (O, I, k k) planes to (O, k k, pitch). f32 and bf16, any pair. */
struct kernel_reorder_args {
    const void *src;
    void *dst;
    enum dtype src_dtype, dst_dtype;
    int64_t batch, channels, area;
    int64_t src_pitch, dst_pitch; /* 0: planes */
};
int kernel_reorder(const struct kernel_reorder_args *a, kernel_stream stream);
/* Several that do not depend on each other, in one launch for each pair of types: 8 at most. */
int kernel_reorders(const struct kernel_reorder_args *a, int count, kernel_stream stream);

/* ---- norm.cu: batch normalisation + activation (+ pooling) -------------------------------------------------------
 * op.h's norm, norm_eval and norm_back. With pool.kernel > 0 the activation is pooled before it is written: y has the
 * pooled shape, as pool would give it, and norm_back takes the pooled dy (and the index) and gives dx of x's shape. */
struct kernel_norm_args {
    enum dtype dtype; /* x, y, dy, dx */
    int64_t batch;
    int height, width, channels, pitch;
    enum act act;
    double eps, momentum;
    struct {
        enum pool_kind kind;
        int kernel, stride; /* kernel 0: no pooling */
    } pool;
    const void *x;
    const float *gamma, *beta;
    float *mean, *invstd;      /* (channels): norm writes, norm_back reads */
    float *run_mean, *run_var; /* norm: in and out, or both NULL; norm_eval: in */
    void *y;                   /* norm, norm_eval */
    uint8_t *index;            /* with max pooling: (y's shape); norm writes (NULL: not wanted), norm_back reads */
    const void *dy;            /* norm_back */
    void *dx;                  /* norm_back; without pooling may be dy */
    float *dgamma, *dbeta;
    void *workspace;
    unsigned *tickets;
};
size_t kernel_norm_workspace(const struct kernel_norm_args *a); /* norm and norm_back */
int kernel_norm(const struct kernel_norm_args *a, kernel_stream stream);
int kernel_norm_eval(const struct kernel_norm_args *a, kernel_stream stream);
int kernel_norm_back(const struct kernel_norm_args *a, kernel_stream stream);

/* ---- act.cu: element by element ----------------------------------------------------------------------------------*/
struct kernel_act_args {
    enum dtype dtype;
    enum act act;
    int64_t count; /* elements, padding included */
    const void *x;
    void *y;        /* act: out, may be x; act_back: dx, may be dy */
    const void *dy; /* act_back */
};
int kernel_act(const struct kernel_act_args *a, kernel_stream stream);
int kernel_act_back(const struct kernel_act_args *a, kernel_stream stream);

/* ---- bias.cu ------------------------------------------------------------------------------------------------------
 * kernel_bias: y = act(y + bias) in place, where a product has no epilogue. kernel_bias_grad: dbias = sum of dy's rows. */
struct kernel_bias_args {
    enum dtype dtype;
    enum act act; /* bias */
    int64_t rows;
    int channels, pitch;
    void *y;           /* bias: in and out */
    const float *bias; /* bias */
    const void *dy;    /* bias_grad */
    float *dbias;      /* bias_grad */
    void *workspace;   /* bias_grad */
    unsigned *tickets; /* bias_grad */
};
size_t kernel_bias_grad_workspace(const struct kernel_bias_args *a);
int kernel_bias(const struct kernel_bias_args *a, kernel_stream stream);
int kernel_bias_grad(const struct kernel_bias_args *a, kernel_stream stream);

/* ---- pool.cu, apool.cu: op.h's pool, pool_back, apool, apool_back --------------------------------------------------
 * x, dx (batch, height, width, pitch); y, dy, index (batch, out_height, out_width, pitch). */
struct kernel_pool_args {
    enum dtype dtype;
    enum pool_kind kind;
    int kernel, stride; /* pool: no padding; apool ignores both and kind */
    int64_t batch;
    int height, width, out_height, out_width, pitch;
    const void *x;  /* forward */
    void *y;        /* forward */
    uint8_t *index; /* max: pool writes (NULL: not wanted), pool_back reads */
    const void *dy; /* back */
    void *dx;       /* back */
};
int kernel_pool(const struct kernel_pool_args *a, kernel_stream stream);
int kernel_pool_back(const struct kernel_pool_args *a, kernel_stream stream);
int kernel_apool(const struct kernel_pool_args *a, kernel_stream stream);
int kernel_apool_back(const struct kernel_pool_args *a, kernel_stream stream);

/* apool.cu: op.h's act_apool and act_apool_back: act(x) pooled to (rows, columns) into y's rows of channels rows columns. */
struct kernel_act_apool_args {
    enum dtype dtype; /* x, dx */
    enum act act;
    int64_t batch;
    int height, width, channels, pitch, rows, columns;
    const void *x;   /* back: NULL with ACT_NONE */
    float *y;        /* (batch, channels rows columns); forward */
    const float *dy; /* back: as y */
    void *dx;        /* back */
};
int kernel_act_apool(const struct kernel_act_apool_args *a, kernel_stream stream);
int kernel_act_apool_back(const struct kernel_act_apool_args *a, kernel_stream stream);

/* ---- add.cu: y = a + b --------------------------------------------------------------------------------------------*/
struct kernel_add_args {
    enum dtype dtype;
    int64_t count; /* elements, padding included */
    const void *a, *b;
    void *y; /* may be a */
};
int kernel_add(const struct kernel_add_args *a, kernel_stream stream);

/* ---- unit.cu: y = x sqrt(n) / max(||x||, 1e-6) per sample, and the way back -----------------------------------------*/
struct kernel_unit_args {
    enum dtype dtype;
    int64_t batch;
    int64_t elements; /* stored ones of a sample, padding included */
    int64_t n;        /* those that count */
    const void *x;
    void *y;        /* unit; may be x */
    const void *dy; /* unit_back */
    void *dx;       /* unit_back; may be dy */
};
int kernel_unit(const struct kernel_unit_args *a, kernel_stream stream);
int kernel_unit_back(const struct kernel_unit_args *a, kernel_stream stream);

/* ---- energy.cu, deviation.cu: op.h's energy, energy_back, deviation, deviation_back ---------------------------------
 * x, dx (batch, area, pitch), 16 K channels at most for energy, 6 K for deviation. */
struct kernel_moments_args {
    enum dtype dtype; /* x, dx */
    int64_t batch, area;
    int channels, pitch;
    int groups; /* energy: divides the channels */
    const void *x;
    float *y;        /* forward: energy (batch, groups), deviation (batch, channels) */
    const float *dy; /* back: as y */
    void *dx;        /* back */
};
int kernel_energy(const struct kernel_moments_args *a, kernel_stream stream);
int kernel_energy_back(const struct kernel_moments_args *a, kernel_stream stream);
int kernel_deviation(const struct kernel_moments_args *a, kernel_stream stream);
int kernel_deviation_back(const struct kernel_moments_args *a, kernel_stream stream);

/* ---- head*.cu: the prototype head, op.h's hff and hff_eval ---------------------------------------------------------
 * R = classes per_class rows of prototypes, D = width. `math` says how the three products are made (fp32 accumulation
 * always): MATH_F32 as they are, MATH_TF32 and MATH_BF16 on tensor cores. Everything around them is fp32.
 *
 * Where kernel_hff_fits says 1, kernel_hff does everything, products included, in two launches (heads whose prototypes
 * fit beside a tile of samples in one multiprocessor's shared memory) or three. Else kernel_hff_tiled walks over the
 * batch in tiles and asks its caller for each product; its workspace is at most `limit` bytes, or the smallest
 * possible where that is more (`kernel_hff_plan`). */
enum kernel_math { MATH_F32, MATH_TF32, MATH_BF16 };

struct kernel_hff_args {
    int batch, width, classes, per_class;
    enum kernel_math math;
    int eval; /* hff_eval: no margin, no smoothing, no gradients; y2, de, dp, dlog_scale, wins are not used */
    enum hff_loss loss;
    double margin, smoothing;
    double discount; /* not of hff_eval: 1 - discount is a factor on gradients and METRIC_LOSS */
    int64_t global_batch;
    const float *e;         /* (B, D) */
    const float *p;         /* (R, D) */
    const void *p_half;     /* (R, D) bf16: p rounded, for MATH_BF16; NULL: rounded on the way */
    const float *log_scale; /* (1) */
    const int32_t *y1, *y2; /* (B) */
    const float *weight;    /* (B) */
    float *scores;          /* (B, C) */
    float *de;              /* (B, D) */
    float *dp;              /* (R, D), projected; NULL: not wanted */
    float *dlog_scale;      /* (1), NULL: not wanted */
    double *metrics;        /* (METRICS), added to */
    int64_t *wins;          /* (R), added to; NULL: not wanted */
    void *workspace;
};
int kernel_hff_fits(const struct kernel_hff_args *a);
size_t kernel_hff_workspace(const struct kernel_hff_args *a);
int kernel_hff(const struct kernel_hff_args *a, kernel_stream stream);

/* One product of the tiled variant, all operands row-major with the given rows' pitch in elements:
 * c (m, n) = a (m, k) b^T with b (n, k)   PRODUCT_COS: z p^T
 * c (m, n) = a (m, k) b with b (k, n)     PRODUCT_DZ: dcos p
 * c (m, n) += a^T b, a (k, m), b (k, n)   PRODUCT_DP: dcos^T z; `add` is 0 for the first tile: c = a^T b
 * a and b are f32 for MATH_F32 and MATH_TF32, bf16 for MATH_BF16; c is f32. Pitches are multiples of 8. */
enum kernel_product { PRODUCT_COS, PRODUCT_DZ, PRODUCT_DP };
struct kernel_product_args {
    enum kernel_product kind;
    enum kernel_math math;
    int m, n, k;
    const void *a, *b;
    float *c;
    int64_t a_pitch, b_pitch, c_pitch;
    int add;
};
/* Enqueues the product on stream; what it returns other than KERNEL_OK ends kernel_hff_tiled with that value. */
typedef int (*kernel_product_run)(void *context, const struct kernel_product_args *product, kernel_stream stream);

struct kernel_hff_plan {
    int tile;                               /* samples; the last tile may be smaller */
    int64_t width_pitch, rows_pitch;        /* of z, p and dz; of cos and dcos */
    size_t z, p, length, cos, dcos, dz, dp; /* offsets in the workspace */
    size_t figures;
    size_t bytes; /* all of it */
};
int kernel_hff_plan(const struct kernel_hff_args *a, size_t limit, struct kernel_hff_plan *plan);
int kernel_hff_tiled(const struct kernel_hff_args *a, const struct kernel_hff_plan *plan, kernel_product_run product,
                     void *context, kernel_stream stream);

/* ---- cross_entropy.cu: op.h's cross_entropy and cross_entropy_eval ----------------------------------------------------*/
struct kernel_cross_entropy_args {
    int batch, classes;
    int eval; /* cross_entropy_eval: no smoothing, no discount, no gradient; y2 and dscores are not used */
    double smoothing, discount;
    int64_t global_batch;
    const float *scores;    /* (B, C) */
    const int32_t *y1, *y2; /* (B) */
    const float *weight;    /* (B) */
    float *dscores;         /* (B, C) */
    double *metrics;        /* (METRICS), added to */
    void *workspace;
    unsigned *tickets;
};
size_t kernel_cross_entropy_workspace(const struct kernel_cross_entropy_args *a);
int kernel_cross_entropy(const struct kernel_cross_entropy_args *a, kernel_stream stream);

/* ---- similarity.cu: op.h's similarity; `math` as for the head ----------------------------------------------------------*/
struct kernel_similarity_args {
    int batch, width;
    int slices; /* pairs are formed inside a slice: they are the op's own, whatever else is one slice here */
    enum kernel_math math;
    int64_t classes, global_batch;
    double share;
    const float *x;         /* (B, D) */
    const int32_t *y1, *y2; /* (B) */
    const float *weight;    /* (B) */
    float *dx;              /* (B, D) */
    double *metrics;        /* (METRICS), added to */
    void *workspace;
    unsigned *tickets;
};
size_t kernel_similarity_workspace(const struct kernel_similarity_args *a);
int kernel_similarity(const struct kernel_similarity_args *a, kernel_stream stream);

/* ---- FF: op.h's ops of the same names. tick (TICKS) lies on the device --------------------------------------------------*/

/* negatives.cu: the labels that backend/wrong_label.c draws. Hard ones of 20 K classes at most. */
struct kernel_negatives_args {
    int batch, classes;
    uint64_t seed;
    int64_t from;
    const int32_t *y; /* (B) */
    const int64_t *tick;
    const float *score; /* (B, C); NULL: none */
    int32_t *labels;    /* (2 B) */
};
int kernel_negatives(const struct kernel_negatives_args *a, kernel_stream stream);

/* overlay.cu. x and y are plain: rows of f32, planes one after the other. */
struct kernel_overlay_args {
    enum overlay kind;
    int64_t rows, width;  /* E, elements of a row of y */
    int64_t batch, image; /* B, I of x; not used without */
    int64_t area;
    int classes;
    double rest;
    const float *x; /* (B, I); NULL: labels alone */
    const float *on;
    const int32_t *labels; /* (E); NULL: as tick says */
    const int64_t *tick;   /* NULL: no label */
    float *y;              /* (E, width) */
};
int kernel_overlay(const struct kernel_overlay_args *a, kernel_stream stream);

/* overlay.cu */
struct kernel_columns_args {
    enum dtype dtype; /* t */
    int rows, classes;
    int out, pitch; /* O; from a row of t to the next */
    int64_t in, first, span;
    const float *w; /* (O, I), the plain fp32 master */
    const float *on;
    const int64_t *tick;
    void *t; /* (R, pitch) */
};
int kernel_columns(const struct kernel_columns_args *a, kernel_stream stream);

/* spread.cu */
struct kernel_spread_args {
    enum dtype dtype;
    int64_t batch, rows; /* B, R */
    int64_t elements;    /* stored ones of a row, padding included */
    const void *x, *t;   /* (B, ...), (R, ...) */
    void *y;             /* (B R, ...) */
};
int kernel_spread(const struct kernel_spread_args *a, kernel_stream stream);

/* goodness.cu */
struct kernel_goodness_args {
    enum dtype dtype;
    int64_t batch;       /* rows of h: two for each pair */
    int64_t elements, n; /* of a row: stored; those that count */
    int mean;
    double theta, alpha;
    int64_t global_batch;
    const void *h;
    void *dh;
    double *metrics; /* (METRICS), added to */
    void *workspace;
    unsigned *tickets;
};
size_t kernel_goodness_workspace(const struct kernel_goodness_args *a);
int kernel_goodness(const struct kernel_goodness_args *a, kernel_stream stream);

struct kernel_goodness_eval_args {
    enum dtype dtype;
    int64_t batch; /* samples: B */
    int rows;      /* of h for each: R */
    int classes, mean;
    int64_t elements, n; /* of a row */
    const void *h;       /* (B R, ...) */
    const int32_t *y;    /* (B) */
    const float *weight; /* (B) */
    const int64_t *tick;
    float *scores;   /* (B, C), this pass's classes written */
    double *metrics; /* (METRICS), added to by the last pass */
    void *workspace;
    unsigned *tickets;
};
size_t kernel_goodness_eval_workspace(const struct kernel_goodness_eval_args *a);
int kernel_goodness_eval(const struct kernel_goodness_eval_args *a, kernel_stream stream);

/* readout.cu */
struct kernel_readout_args {
    int batch, classes, first;
    int64_t global_batch;
    const float *logits;    /* (B, C) */
    const int32_t *y;       /* (B) */
    const float *weight;    /* (B) */
    float *total, *dlogits; /* (B, C); NULL: not wanted */
    double *metrics;        /* (METRICS), added to; NULL: not wanted */
    void *workspace;        /* with metrics */
    unsigned *tickets;      /* with metrics */
};
size_t kernel_readout_workspace(const struct kernel_readout_args *a);
int kernel_readout(const struct kernel_readout_args *a, kernel_stream stream);

/* ---- update.cu: a stage's parameters, many tensors in one launch ---------------------------------------------------
 * One row per tensor, read on the host when the launcher is called. */
struct kernel_param {
    float *p;       /* fp32 master */
    const float *g; /* gradient */
    float *m, *v;   /* moments; sgd: m only, NULL without momentum */
    int64_t count;
    float lr_factor, decay;
};
struct kernel_update_args {
    int params;                       /* at most GRAD_GROUPS */
    const struct kernel_param *param; /* host memory */
    const double *hyper, *norm;       /* HYPERS, NORMS (op.h) */
    double beta1, beta2, eps;         /* adamw */
    double momentum;                  /* sgd */
    int nesterov;
};
int kernel_adamw(const struct kernel_update_args *a, kernel_stream stream);
int kernel_sgd(const struct kernel_update_args *a, kernel_stream stream);

/* op.h's retract and clamp. */
struct kernel_retract_args {
    float *p; /* (rows, width) */
    int64_t rows;
    int width;
    const double *norm;
};
int kernel_retract(const struct kernel_retract_args *a, kernel_stream stream);
struct kernel_clamp_args {
    float *p;
    int64_t count;
    double lo, hi;
    const double *norm;
};
int kernel_clamp(const struct kernel_clamp_args *a, kernel_stream stream);

/* ---- grad_norm.cu: op.h's grad_norm, latch included ------------------------------------------------------------------
 * Any number of tensors; those from `body` on belong to the head. */
enum { KERNEL_GRADS = 96 };
struct kernel_grad {
    const float *g;
    int64_t count;
};
struct kernel_grad_norm_args {
    int grads, body;                /* at most KERNEL_GRADS */
    const struct kernel_grad *grad; /* host memory */
    double clip;
    const double *hyper;
    double *norm;
    void *workspace;
    unsigned *tickets;
};
size_t kernel_grad_norm_workspace(const struct kernel_grad_norm_args *a);
int kernel_grad_norm(const struct kernel_grad_norm_args *a, kernel_stream stream);

/* ---- augment.cu: op.h's augment --------------------------------------------------------------------------------------*/
struct kernel_augment_args {
    struct augment_rule rule;
    const uint8_t *images;                     /* (N, C, H, W) */
    const float *table;                        /* (C, 256) */
    const int32_t *sample;                     /* (batch) */
    const int32_t *partner;                    /* (batch); NULL: none */
    const float *share;                        /* (batch), with partner */
    const int64_t *epoch;                      /* (1) */
    int batch, channels, height, width, pitch; /* channels <= 4; pitch 0: x lies as planes */
    enum dtype dtype;
    void *x; /* (batch, H, W, pitch) or (batch, C, H, W) */
};
int kernel_augment(const struct kernel_augment_args *a, kernel_stream stream);

#ifdef __cplusplus
}
#endif

#endif
