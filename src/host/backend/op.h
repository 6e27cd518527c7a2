/* The op catalogue: every computation a program can be made of, one table row each (op.c).
 *
 * B is the batch, S the slices; shapes are logical (tensor.h). "real" tensors are f32 (f64 in the reference backend).
 * Activations and their gradients (x, y, dy, dx below) are real too, or, beside f32 for everything else, bf16: an op
 * then computes in f32 (or f64 where the row says so) and rounds once, to the nearest, when it writes them; products
 * take their weights rounded to bf16 and add up in f32. e and de of hff are always real. The cuda backend's dw of
 * conv_weight beside such activations is rounded to bf16 too (cuDNN has no other).
 * An op whose result is a sum over samples computes it slice by slice: slice s holds samples [s B/S, (s+1) B/S), its
 * part is computed by one thread in an order that depends on the slice alone, and parts are combined pairwise in a
 * fixed tree (tree.h). So its bits depend on neither threads nor ranks. Ops never read and write the same memory
 * through two arguments, unless the row says "in place".
 *
 * kind            arguments (? optional: rank 0 and NULL)
 * reorder         src, dst                    the same elements in dst's layout and type (f32 <-> bf16); also
 *                                             flattens (N, C, H, W) <-> (N, CHW)
 * reorders        src1, dst1, ... src6?, dst6?                              several of them, in any order
 * linear          x (B,I), w (O,I), bias? (O), y (B,O)                      y = x w^T + bias
 * linear_data     dy (B,O), w (O,I), dx (B,I)                               dx = dy w
 * linear_weight   x (B,I), dy (B,O), dw (O,I), dbias? (O)                   dw = dy^T x, dbias = sum dy; sliced
 * conv            x (B,I,H,W), w (O,I,k,k), bias? (O), y (B,O,H',W')        cross-correlation, zero padding
 * conv_data       dy, w, dx
 * conv_weight     x, dy, dw, dbias?                                         sliced
 * norm            x, gamma (C), beta (C), mean (C) out, invstd (C) out, run_mean? (C), run_var? (C), y
 *                 y = act(gamma (x - mean) invstd + beta) over the batch, mean and biased variance per channel in
 *                 fp64, sliced (two passes, or chunks joined by Chan's formula in a fixed order);
 *                 run += momentum (batch - run), with the unbiased variance (the biased one where a channel has a
 *                 single value); without run_mean and run_var (both or neither) nothing runs on
 * norm_eval       x, gamma, beta, run_mean, run_var, y                      the same with the running statistics
 * norm_back       x, gamma, beta, mean, invstd, dy, dx, dgamma, dbeta       through act too (its input is recomputed);
 *                                                                           dx may be dy's memory (in place); sliced
 * act             x, y                        y may be x's memory (in place) only where nothing reads x later
 * act_back        x, dy, dx                   dx = dy act'(x); dx may be dy's memory (in place)
 * pool            x (B,C,H,W), y, index? u8 (y's shape and layout)          max: first of equal maxima in row-major
 * order,
 *                                             index = its place in the window, row kernel + column (kernel <= 16);
 *                                             average: sum / kernel^2. No padding, H' = (H - kernel) / stride + 1
 * pool_back       index?, dy, dx              overlapping windows add up; max needs the index
 * norm_pool       x (B,C,H,W), gamma, beta, mean out, invstd out, run_mean?, run_var?, y (B,C,H',W'), index? u8
 *                                             norm, then pool of what it gives, which is rounded as if it were written
 * norm_pool_eval  x, gamma, beta, run_mean, run_var, y, index?              norm_eval, then pool
 * norm_pool_back  x, gamma, beta, mean, invstd, dy (B,C,H',W'), dx (B,C,H,W), dgamma, dbeta, index?
 *                                             pool_back, then norm_back; max needs the index. It and norm_pool: sliced
 * apool           x (B,C,H,W), y (B,C,a,b)    adaptive average pool: window of output i: [i H / a, ceil((i+1) H / a))
 * apool_back      dy, dx
 * act_apool       x (B,C,H,W), y (B,D)        act, apool to attr's rows and columns, as rows of D = C rows columns
 * act_apool_back  x? (B,C,H,W), dy (B,D), dx (B,C,H,W)                      x: not needed without act
 * add             a, b, y                     y = a + b; y may be a's memory (in place)
 * unit            x, y                        y = x sqrt(n) / max(||x||, 1e-6) per sample, n elements a sample
 * unit_back       x, dy, dx                   dx may be dy's memory (in place)
 * energy          x (B,C,...), y (B,G)        y[b,g] = mean of x^2 over group g's elements: C / G channels side by side
 * energy_back     x, dy (B,G), dx
 * deviation       x (B,C,H,W), y (B,C)        y = standard deviation over a channel's positions (divided by H W - 1)
 * deviation_back  x, dy (B,C), dx             no gradient where the deviation is 0
 * augment         images (E,C,H,W) u8, table (C,256) f32, sample (B) i32, partner? (B) i32, share? (B) f32, epoch (1) i64,
 *                 x (B,C,H,W)                 image sample[b], changed as attr.augment says, by numbers drawn from
 *                                             (seed, epoch, sample); a pixel v of channel c is table[c][v]. With partner
 *                                             and share: x = share x + (1 - share) (the partner's), in f32. Zeros where
 *                                             sample[b] < 0
 * hff             e (B,D), p (C,K,D), log_scale (1), y1 (B) i32, y2 (B) i32, weight (B) f32 ->
 *                 scores (B,C), de (B,D), dp? (C,K,D), dlog_scale? (1), metrics (METRICS) f64 in/out, wins? (C K)
 * i64 in/out, p_copy? (p once more, for products in bf16)
 *                 METHOD.md 1.1-1.4, forward and backward of the mean loss over attr.global_batch samples; y2 = y1 and
 *                 weight 1 without mixup; scores are s (no margin in them); dp is projected; a dead sample gives no
 *                 gradient at all (nothing to dlog_scale either), its cosines are 0; metrics and wins are added to:
 *                 a sample that is not dead adds 1 to the best prototype (first of equal ones) of its label's class
 * hff_eval        e, p, log_scale, y1, weight (B) f32, scores (B,C), metrics in/out, p_copy?
 *                 scores and loss without margin and smoothing; a sample's figures count weight times, those of
 *                 weight 0 (padding) nowhere, whatever their e and label; sliced, as hff
 * cross_entropy   scores (B,C), y1, y2, weight (B) f32, dscores (B,C), metrics (METRICS) f64 in/out
 *                 METHOD.md 1.3, softmax, without margin: scores and gradient of the mean loss over attr.global_batch
 *                 samples; adds METRIC_SAMPLES, _LOSS and _CORRECT; sliced
 * cross_entropy_eval scores, y1, weight (B) f32, metrics in/out             as hff_eval: without smoothing, weighted
 * similarity      x (B,D), y1, y2, weight (B) f32, dx (B,D), metrics in/out
 *                 METHOD.md 3: with u_i = x_i less its mean, at length 1 (0 where it is 1e-6 or shorter), and t_i the
 *                 same of the sample's target over attr.classes classes: a slice of n samples has the loss
 *                 sum_ij (<u_i, u_j> - <t_i, t_j>)^2 / n^2, attr.share times their mean over slices is the op's, its
 *                 gradient that of the mean over attr.global_batch samples. Pairs are formed inside a slice only. Adds
 *                 to METRIC_LOSS and, without share, to METRIC_SIMILARITY; sliced
 *
 * FF (METHOD.md section 2). A label is written into an image: overlay pixels puts one value a class over the first C
 * values of the row, plane behind the row into the first C values of one more plane, planes as C more planes of one
 * value each.
 * negatives       y (B) i32, tick (TICKS) i64, score? (B,C), labels (2 B) i32 out
 *                 labels[2 b] = y[b], labels[2 b + 1] a wrong class drawn by Philox from (attr.seed, tick[STEP],
 *                 tick[SAMPLE] + b): each as likely as the others, or, from step attr.from on where there are scores,
 *                 in proportion to exp(score)
 * overlay         x? (B,I), on (1), labels? (E) i32, tick? (TICKS) i64, y (E,...)
 *                 row e is sample e / R (R = E / B; without x: zeros, R = E) with class labels[e], or else
 *                 tick[PASS] R + e % R: that class's value is on, the others' on attr.rest; no class where it is beyond
 *                 the last one, or where there are neither labels nor tick
 * columns         w (O,I), on (1), tick (TICKS) i64, t (R,O)
 *                 what a label adds to a linear layer's output: t[r] = on times the sum over w's columns of class
 *                 tick[PASS] R + r: attr.span columns each, class 0's from attr.first on; 0 beyond the last class
 * spread          x (B,...), t (R,...), y (B R,...)                         y[b R + r] = x[b] + t[r]
 * goodness        h (B,...), dh, metrics (METRICS) f64 in/out               sliced; rows 2 i and 2 i + 1 are a sample's
 *                 positive and negative; g = sum or mean of h^2; loss, a mean over attr.global_batch pairs:
 *                 softplus(theta - g_pos) + softplus(g_neg - theta), or with alpha > 0 softplus(-alpha (g_pos - g_neg))
 *                 (SymBa, arXiv 2303.08418). metrics: pairs, loss, g_pos > g_neg, g_pos, g_neg, ||h_pos||, dead
 * goodness_eval   h (E,...), y (B) i32, weight (B) f32, tick (TICKS) i64, scores (B,C) in/out, metrics in/out
 *                 g of row b R + r (R = E / B) into scores[b][tick[PASS] R + r]; with the last class also the metrics of
 *                 softmax over the scores, OWN and OTHER being goodness; sliced
 * readout         logits (B,C), y (B) i32, weight (B) f32, total? (B,C) in/out, dlogits? (B,C), metrics? in/out
 *                 linear softmax read-out: total becomes (attr.first) or grows by log softmax; dlogits is the gradient
 *                 of the mean cross-entropy over attr.global_batch samples; sliced
 * grad_norm       g0..g5? (n0..n5), hyper (HYPERS) f64, norm (NORMS) f64 out
 *                 norms of the gradient groups: g0..g1 body, g2..g5 head, in fp64; the clipping factor; whether all is
 *                 finite. Any of g0..g5 may be absent
 * adamw           p (n), g (n), m (n), v (n), hyper, norm                   arXiv 1711.05101; nothing when norm is
 * latched
 *                 for each of attr's parts of the n elements, with its lr_factor and decay; the others stay:
 *                 rate = lr lr_factor, g' = factor g, m = beta1 m + (1 - beta1) g', v = beta2 v + (1 - beta2) g'^2,
 *                 p -= rate (decay p + (m / bias1) / (sqrt(v / bias2) + eps))
 * sgd             p (n), g (n), m? (n), hyper, norm                         as PyTorch: coupled decay, Nesterov; part by part
 *                 g' = factor g + decay p, m = momentum m + g', p -= rate (nesterov ? g' + momentum m : m); without m
 *                 p -= rate g'; nothing when norm is latched
 * retract         p (..., D), norm            p <- p / ||p|| row by row of the last dimension (a zero row stays);
 * nothing when
 *                                             norm is latched
 * clamp           p (n), norm                 p <- min(max(p, lo), hi); nothing when norm is latched
 */
#ifndef HFF_BACKEND_OP_H
#define HFF_BACKEND_OP_H

#include "activation.h"
#include "base/status.h"
#include "tensor/tensor.h"

enum op_kind {
    OP_REORDER,
    OP_REORDERS,
    OP_LINEAR,
    OP_LINEAR_DATA,
    OP_LINEAR_WEIGHT,
    OP_CONV,
    OP_CONV_DATA,
    OP_CONV_WEIGHT,
    OP_NORM,
    OP_NORM_EVAL,
    OP_NORM_BACK,
    OP_ACT,
    OP_ACT_BACK,
    OP_POOL,
    OP_POOL_BACK,
    OP_NORM_POOL,
    OP_NORM_POOL_EVAL,
    OP_NORM_POOL_BACK,
    OP_APOOL,
    OP_APOOL_BACK,
    OP_ACT_APOOL,
    OP_ACT_APOOL_BACK,
    OP_ADD,
    OP_UNIT,
    OP_UNIT_BACK,
    OP_ENERGY,
    OP_ENERGY_BACK,
    OP_DEVIATION,
    OP_DEVIATION_BACK,
    OP_AUGMENT,
    OP_HFF,
    OP_HFF_EVAL,
    OP_NEGATIVES,
    OP_OVERLAY,
    OP_COLUMNS,
    OP_SPREAD,
    OP_GOODNESS,
    OP_GOODNESS_EVAL,
    OP_READOUT,
    OP_CROSS_ENTROPY,
    OP_CROSS_ENTROPY_EVAL,
    OP_SIMILARITY,
    OP_GRAD_NORM,
    OP_ADAMW,
    OP_SGD,
    OP_RETRACT,
    OP_CLAMP,
    OP_KINDS,
};

enum { OP_ARGS = 13, REORDERS = 6 };

enum pool_kind { POOL_MAX, POOL_AVERAGE };
struct pool_window {
    enum pool_kind kind;
    int kernel, stride;
};
/* What the engine sets before a step or a pass of an evaluation, in i64. */
enum tick {
    TICK_STEP,   /* of training, from 1 */
    TICK_PASS,   /* of an evaluation, from 0 */
    TICK_SAMPLE, /* number of the first row's sample in its step's or evaluation's batch: 0 where that is not cut */
    TICKS
};

/* Changes of an image, in their order. Crop: what lay up to amount pixels off, in each direction, and beyond the edges the
 * mirror image (reflect) or black. Flip: left and right, every other time. Cutout: a square of amount pixels around a
 * random pixel becomes mean_colour. */
enum augment_kind { AUGMENT_CROP, AUGMENT_FLIP, AUGMENT_CUTOUT };
enum { AUGMENT_CHANGES = 32 };
struct augment_change {
    enum augment_kind kind;
    int amount, reflect;
};
struct augment_rule {
    uint64_t seed;
    int changes; /* 0: images go through unchanged */
    struct augment_change change[AUGMENT_CHANGES];
    float mean_colour[4]; /* by channel */
};

enum overlay { OVERLAY_PIXELS, OVERLAY_PLANE, OVERLAY_PLANES };
enum hff_loss { HFF_LOSS_SOFTMAX, HFF_LOSS_PAIRWISE };

/* What losses add up, in f64: sums over samples, divided by METRIC_SAMPLES when they are read. */
enum metric {
    METRIC_SAMPLES, /* sum of weights in hff_eval, samples in hff */
    METRIC_LOSS,    /* sum of the samples' losses (not yet divided by the batch) */
    METRIC_CORRECT, /* argmax equals the label (with mixup: the label with the larger weight; equal: y1) */
    METRIC_OWN,     /* cosine to the best prototype of that label's class */
    METRIC_OTHER,   /* cosine to the best prototype of any other class (0 where there is none) */
    METRIC_NORM,    /* ||e|| */
    METRIC_DEAD,    /* samples with ||e|| <= 1e-6 */
    METRIC_SIMILARITY,
    METRICS = 8,
};

/* What the engine sets before every update, in f64: functions of the stage's own step t, from 1. */
enum hyper { HYPER_LR, HYPER_BIAS1 /* 1 - beta1^t */, HYPER_BIAS2 /* 1 - beta2^t */, HYPER_STEP /* t */, HYPERS = 4 };

/* What grad_norm writes, in f64; norm is the one of both groups together, and FACTOR is 1 where it is not finite. LATCH
 * holds the step t at which a norm first was not finite, 0 while all was well; it is kept (in/out) and, once set, no
 * update of the stage changes anything. */
enum norm { NORM_BODY, NORM_HEAD, NORM_FACTOR /* clipping: min(1, clip / norm), 1 without */, NORM_LATCH, NORMS = 4 };

enum { GRAD_GROUPS = 6, GRAD_GROUPS_BODY = 2 };

/* What an update changes: elements [first, first + count) of its arguments, with a rate and a decay of their own. */
struct update_parts {
    int count;
    struct update_part {
        int64_t first, count;
        double lr_factor, decay;
    } part[GRAD_GROUPS];
};

struct op_desc {
    enum op_kind kind;
    int slices; /* S; divides the batch */
    union {
        struct {
            int kernel, stride, pad;
        } conv;
        struct {
            double eps, momentum;
            enum act act;
            struct pool_window pool; /* of norm_pool, norm_pool_eval, norm_pool_back */
        } norm;
        struct {
            enum act act;
        } act;
        struct pool_window pool;
        struct {
            enum act act;
            int rows, columns;
        } act_apool;
        struct augment_rule augment;
        struct {
            int64_t global_batch;
            enum hff_loss loss;
            double margin, smoothing;
            double discount; /* 1 - discount: factor on gradients and METRIC_LOSS of a step, for losses of two terms */
        } hff;
        struct {
            uint64_t seed;
            int64_t from;
            int classes;
        } negatives;
        struct {
            enum overlay kind;
            int classes;
            int64_t area; /* H W of the image: a plane's values */
            double rest;
        } overlay;
        struct {
            int classes;
            int64_t first, span;
        } columns;
        struct {
            int mean; /* of h^2, else its sum */
            double theta, alpha;
            int64_t global_batch;
        } goodness; /* goodness_eval: mean only */
        struct {
            int first;
            int64_t global_batch;
        } readout;
        struct {
            int64_t global_batch;
            double smoothing, discount;
        } cross_entropy;
        struct {
            int64_t global_batch, classes;
            double share;
        } similarity;
        struct {
            double clip;
        } grad_norm; /* 0: no clipping */
        struct {
            struct update_parts parts;
            double beta1, beta2, eps;
        } adamw;
        struct {
            struct update_parts parts;
            double momentum;
            int nesterov;
        } sgd;
        struct {
            double lo, hi;
        } clamp;
    } attr;
    struct tensor arg[OP_ARGS];
};

/* ARG_OPEN: a weight or its gradient; in LAYOUT_ANY the op chooses how it lies and, for weights, whether in bf16. ARG_COPY: a
 * second copy of a weight; an op that wants one says in its description how it is to lie, else it is absent. */
enum access { ARG_IN = 1, ARG_OUT = 2, ARG_BOTH = 3, ARG_OPTIONAL = 4, ARG_OPEN = 8, ARG_COPY = 16 };

/* Classes of types. All of an op's arguments are of one real type, with bf16 counted as f32. */
enum {
    ARG_REAL = -1, /* f32 or f64 */
    ARG_ACT = -2,  /* an activation: one type for all of them, f32, f64 or bf16 */
    ARG_ANY = -3,  /* f32, f64 or bf16 */
};

struct op_info {
    const char *name;
    int sliced; /* the result is a sum over samples: slices must divide the batch */
    int args;
    struct {
        const char *name;
        int access;
        int dtype;        /* an enum dtype or a class of them */
        const char *dims; /* a letter each: the same letter is the same size in all arguments (B batch, W: C K; M, Y, N:
                           * METRICS, HYPERS, NORMS; T: TICKS; 1: one); a final *: any more dimensions, the same number of
                           * elements in all of them; ?: any shape */
    } arg[OP_ARGS];
    double (*flops)(const struct op_desc *desc); /* NULL: memory-bound, counted as 0 */
    int copied;                                  /* the argument that an ARG_COPY one is a copy of */
};

extern const struct op_info op_table[OP_KINDS];

/* Arguments that are there, their types and shapes, slices and window attributes against the table: HFF_E_CONFIG
 * names the op and the argument. For a backend's op_create. */
hff_status op_check(const struct op_desc *desc);

/* Floating-point operations (a multiply-add is two) and bytes of all arguments read and written once. */
double op_flops(const struct op_desc *desc);
double op_bytes(const struct op_desc *desc);
/* "conv_weight f32 128x64x16x16 blocked16, ..., kernel 3 stride 1 pad 1" */
const char *op_text(const struct op_desc *desc, char *out, size_t size);

#endif
