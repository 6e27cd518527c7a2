/* How far a result may be from the reference's.
 *
 * With u = eps / 2 the rounding of one operation, a running sum of L terms of size 1 and random sign has partial sums
 * of size sqrt(i), i = 1 .. L, each rounded to a random u sqrt(i) / 2 or so: an error of about u L / 3 in the mean
 * square, hence eps L beyond six deviations, for any order of summing (blocked and tree orders err less). Terms of one
 * sign give partial sums of size i, an error of u L^1.5 / 3 on a result of size L, hence eps sqrt(L) relative. Where
 * op.h promises sums in fp64 only the terms are rounded: eps sqrt(L). Inputs are of size 1 (op_values.c), rarely up to
 * 5.
 *
 * A backend may compute a 3 x 3 convolution of stride 1 by Winograd's F(4 x 4, 3 x 3). Its sums over channels (or
 * tiles) of transformed numbers come to about twice the direct sum's error in the root mean square (measured: 1.9 and
 * 2.0 times over 16 to 256 channels with the points of cpu/winograd_tile.h; 4.5 times with the points +-1, +-2): twice
 * the room. For short sums the rounding of transformed inputs and filters counts too: u / 2 of each term, hence
 * sqrt(L) u / 2 of a sum, times the transforms' growth, up to 10 in a tile's corner; six deviations are 16 eps sqrt(L).
 *
 * A result in bf16 is such an f32 rounded once more, by up to 2^-8 of itself: that, and nothing for the length of sums,
 * is added, so that a sum kept in bf16 is found out. */
#include "op_harness.h"

#include <float.h>
#include <math.h>

static double largest(const double *v, int64_t n)
{
    double most = 0;
    for (int64_t i = 0; v && i < n; i++) most = fmax(most, fabs(v[i]));
    return most;
}

/* Terms in the sums of a product. */
static double product_terms(const struct op_desc *d)
{
    const struct tensor *w = &d->arg[1], *dy = &d->arg[1];
    if (d->kind == OP_LINEAR || d->kind == OP_CONV) return (double)tensor_row(w) + 1;
    if (d->kind == OP_LINEAR_DATA || d->kind == OP_CONV_DATA) return (double)tensor_count(w) / (double)w->dim[1];
    return (double)(dy->dim[0] * tensor_area(dy));
}

/* Whether it may be a Winograd convolution. */
static int is_3x3(const struct op_desc *d)
{
    return d->attr.conv.kernel == 3 && d->attr.conv.stride == 1 && d->attr.conv.pad == 1;
}

static struct op_room room(double eps_absolute, double eps_relative)
{
    return (struct op_room){.absolute = FLT_EPSILON * eps_absolute, .relative = FLT_EPSILON * eps_relative};
}

static struct op_room norm_room(const struct op_case *c, const struct op_values *in, const struct op_values *truth,
                                int arg)
{
    const struct op_desc *d = &c->desc;
    int64_t channels = d->arg[0].dim[1];
    double per_channel = (double)tensor_count(&d->arg[0]) / (double)channels;
    const double *spread = d->kind == OP_NORM ? truth->arg[4] : d->kind == OP_NORM_BACK ? in->arg[4] : NULL;
    /* run_var is 0.25 or more, so 1 / sqrt(run_var) at most 2 */
    double invstd = spread ? largest(spread, channels) : 2, gamma = largest(in->arg[1], channels);
    if (d->kind == OP_NORM && arg < 7) return room(4, 4);
    /* x and mean are up to 8 and more, so their difference errs by that */
    double x = largest(in->arg[0], tensor_count(&d->arg[0]));
    if (d->kind != OP_NORM_BACK) return room(4 * (1 + x * gamma * invstd), 4);
    double v = invstd * (x + largest(in->arg[3], channels));
    if (arg >= 7) return room(4 * (1 + v) * sqrt(per_channel), 4);
    return room(4 * gamma * invstd * (4 + v * v), 4);
}

/* norm's room, with pooling beside it. An average adds kernel^2 values of the map (up to 5 gamma, or as run_var makes
 * them) in f32. In bf16 what lies between the two ops, the map or its gradient, is rounded too, by up to 2^-9 of itself
 * (2^14 eps): a maximum does not see that but for equal ones, whose first place is then another; averages and, in the
 * backward, sums over overlapping windows do. */
static struct op_room norm_pool_room(const struct op_case *c, const struct op_values *in, const struct op_values *truth,
                                     int arg)
{
    struct op_case alone = *c;
    const struct op_desc *d = &c->desc;
    const struct pool_window *window = &d->attr.norm.pool;
    int narrow = c->data & DATA_BF16 ? 1 << 14 : 0, back = d->kind == OP_NORM_POOL_BACK;
    int average = window->kind == POOL_AVERAGE, kernel = window->kernel;
    if (d->arg[arg].dtype == DTYPE_U8) return room(narrow ? kernel * kernel / FLT_EPSILON : 0, 0);
    alone.desc.kind = back ? OP_NORM_BACK : d->kind == OP_NORM_POOL ? OP_NORM : OP_NORM_EVAL;
    struct op_room of = norm_room(&alone, in, truth, arg);
    double gamma = largest(in->arg[1], d->arg[0].dim[1]), size = (d->kind == OP_NORM_POOL ? 5 : 12) * gamma + 1;
    if (!back && d->arg[arg].rank == 4 && average) of.absolute += FLT_EPSILON * size * (kernel * kernel + narrow);
    if (!back || !narrow || !(average || kernel > window->stride)) return of;
    double n = (double)tensor_count(&d->arg[0]) / (double)d->arg[0].dim[1],
           invstd = largest(in->arg[4], d->arg[0].dim[1]);
    double v = invstd * (largest(in->arg[0], tensor_count(&d->arg[0])) + largest(in->arg[3], d->arg[0].dim[1]));
    of.absolute += FLT_EPSILON * narrow * (arg == 6 ? 5 * gamma * invstd : 2 * (1 + v) * sqrt(n));
    return of;
}

/* A cosine is a sum of D products of unit vectors: its error is some eps, growing at most as sqrt(D) / 4. Scores have
 * that times scale; grad = softmax / B the same again, relative; de = (projection of sum_c scale grad p) / ||e|| sums
 * errors of components of size 1 / sqrt(D), at most 4 times that. dp sums over samples what components of z carry.
 * These are bounds; errors of random sign stay well below, so that a fraction of them (the divisors) is asked for. */
static struct op_room hff_room(const struct op_case *c, const struct op_values *in, int arg)
{
    const struct op_desc *d = &c->desc;
    double batch = (double)d->arg[0].dim[0], width = (double)d->arg[0].dim[1], classes = (double)d->arg[1].dim[0];
    double scale = exp(in->arg[2][0]), cosine = 6 + sqrt(width) / 4, score = scale * cosine * 2; /* in eps */
    double slope = d->attr.hff.loss == HFF_LOSS_PAIRWISE ? classes : 2; /* sum of |dL/ds| of a sample, at most */
    double share = slope * scale * (score + 8) / (double)d->attr.hff.global_batch, part = fmin(1, 4 / sqrt(width));
    if (d->arg[arg].dtype == DTYPE_F64) return room(slope * batch * (score + cosine), 8); /* metrics */
    if (arg == (d->kind == OP_HFF ? 6 : 5)) return room(score, 4);
    if (arg == 8) return room(share * part * sqrt(batch) / 8, 0);
    if (arg == 9) return room(share * sqrt(batch) / 4, 0);
    struct op_room de = room(share * part / 4, 0);
    de.width = d->arg[0].dim[1];
    return de;
}

/* dx = f (dy - x <x, dy> / ||x||^2): in f32 are both terms of the difference, f and 1 / ||x||^2 <x, dy>. A small sample
 * has a large f. */
static struct op_room unit_back_room(const struct op_case *c, const struct op_values *in)
{
    const struct op_desc *d = &c->desc;
    int64_t n = tensor_row(&d->arg[0]);
    double most = 0, terms = largest(in->arg[1], tensor_count(&d->arg[1]));
    for (int64_t b = 0; b < d->arg[0].dim[0]; b++) {
        double squares = 0;
        for (int64_t i = b * n; i < (b + 1) * n; i++) squares += in->arg[0][i] * in->arg[0][i];
        most = fmax(most, sqrt((double)n / squares));
    }
    return room(16 * most * terms, 4);
}

/* The mean is rounded to f32 before it is taken from x, and deviations may be small. */
static struct op_room deviation_room(const struct op_case *c, const struct op_values *in, int arg)
{
    const struct op_desc *d = &c->desc;
    double x = largest(in->arg[0], tensor_count(&d->arg[0])), n = (double)tensor_area(&d->arg[0]);
    if (d->kind == OP_DEVIATION) return room(0, 8);
    (void)arg;
    /* dy (x - mean) / ((n - 1) deviation), where (x - mean) / deviation is at most sqrt(n) */
    return room(8 * x * largest(in->arg[1], tensor_count(&d->arg[1])) / (n - 1) / 0.05, 4);
}

/* Cosines err by some eps as in hff_room, differences of cosines likewise; dx sums n of them with unit vectors, and
 * divides by ||x - mean||, about sqrt(D). */
static struct op_room similarity_room(const struct op_case *c, int arg)
{
    const struct op_desc *d = &c->desc;
    double batch = (double)d->arg[0].dim[0], width = (double)d->arg[0].dim[1], n = batch / d->slices;
    double cosine = 6 + sqrt(width) / 4,
           factor = 4 * d->attr.similarity.share / (n * (double)d->attr.similarity.global_batch);
    if (arg == 5) return room(4 * batch * cosine, 8);
    return room(factor * n * cosine * fmin(1, 4 / sqrt(width)) * fmax(1, 4 / sqrt(width)), 4);
}

/* fp64 but for what is read and written; not so on a device, which computes in f32: the scores' difference to the
 * greatest, up to `range`, is rounded, and so err its exponential, sums of those, and the loss by (range + 8) eps; a
 * probability by as much of itself, and its difference to a target by as much of that, which is at most 1. */
static struct op_room entropy_room(const struct op_case *c, const struct op_values *in, int arg)
{
    const struct op_desc *d = &c->desc;
    if (!c->device) return room(0, 4);
    double range = 2 * largest(in->arg[0], tensor_count(&d->arg[0])), batch = (double)d->arg[0].dim[0];
    if (d->arg[arg].dtype == DTYPE_F64) return room(batch * (range + 8), range + 8);
    double share = (1 - d->attr.cross_entropy.discount) / (double)d->attr.cross_entropy.global_batch;
    return room(share * (range + 8), range + 8);
}

static double pool_terms(const struct op_desc *d)
{
    double kernel = d->attr.pool.kernel;
    if (d->kind == OP_APOOL || d->kind == OP_APOOL_BACK)
        return ceil((double)tensor_area(&d->arg[0]) / (double)tensor_area(&d->arg[1])) + 4;
    if (d->kind == OP_ACT_APOOL || d->kind == OP_ACT_APOOL_BACK)
        return ceil((double)tensor_count(&d->arg[d->kind == OP_ACT_APOOL ? 0 : 2]) / (double)tensor_count(&d->arg[1])) +
               4;
    if (d->kind == OP_POOL && d->attr.pool.kind == POOL_MAX) return 0;
    return kernel * kernel;
}

/* Goodness is a sum of squares in f64, so that only what is written is rounded; the figures of an evaluation are made of
 * scores that were rounded, as large as a row is long. A slope far from theta comes near the smallest numbers. */
static struct op_room goodness_room(const struct op_desc *d, int arg)
{
    if (d->arg[arg].dtype == DTYPE_F32) return (struct op_room){.absolute = 1e-36, .relative = 4 * FLT_EPSILON};
    if (d->kind == OP_GOODNESS) return (struct op_room){.absolute = 1e-9, .relative = 1e-12};
    return room(4 * (double)tensor_count(&d->arg[0]), 4);
}

static struct op_room f32_room(const struct op_case *c, const struct op_values *in, const struct op_values *truth,
                               int arg)
{
    const struct op_desc *d = &c->desc;
    int joined = d->kind == OP_NORM_POOL || d->kind == OP_NORM_POOL_EVAL; /* whose index has room */
    if (d->arg[arg].dtype != DTYPE_F32 && d->arg[arg].dtype != DTYPE_F64 && !joined) return room(0, 0);
    if (c->data & DATA_LATCHED) return room(0, 0);
    switch (d->kind) {
    case OP_REORDER:
    case OP_REORDERS:
    case OP_AUGMENT:
    case OP_CLAMP: break;
    case OP_LINEAR:
    case OP_LINEAR_DATA:
    case OP_LINEAR_WEIGHT: return room(8 + 1.5 * product_terms(d), 4);
    case OP_CONV:
    case OP_CONV_DATA:
    case OP_CONV_WEIGHT:
        if (is_3x3(d)) return room(2 * (8 + 1.5 * product_terms(d)) + 16 * sqrt(product_terms(d)), 4);
        return room(8 + 1.5 * product_terms(d), 4);
    case OP_NORM:
    case OP_NORM_EVAL:
    case OP_NORM_BACK: return norm_room(c, in, truth, arg);
    case OP_NORM_POOL:
    case OP_NORM_POOL_EVAL:
    case OP_NORM_POOL_BACK: return norm_pool_room(c, in, truth, arg);
    case OP_ACT:
    case OP_ACT_BACK: return room(0, 2);
    case OP_POOL:
    case OP_POOL_BACK:
    case OP_APOOL:
    case OP_APOOL_BACK: return room(pool_terms(d), 2);
    case OP_ACT_APOOL:
    case OP_ACT_APOOL_BACK: return room(pool_terms(d), 4);
    case OP_ADD: return room(0, 1);
    case OP_UNIT: return room(0, 4 + sqrt((double)tensor_row(&d->arg[0])));
    case OP_UNIT_BACK: return unit_back_room(c, in);
    case OP_ENERGY: return room(0, 8); /* fp64 */
    case OP_ENERGY_BACK: return room(0, 4);
    case OP_DEVIATION:
    case OP_DEVIATION_BACK: return deviation_room(c, in, arg);
    case OP_CROSS_ENTROPY:
    case OP_CROSS_ENTROPY_EVAL: return entropy_room(c, in, arg);
    case OP_SIMILARITY: return similarity_room(c, arg);
    case OP_HFF:
    case OP_HFF_EVAL: return hff_room(c, in, arg);
    case OP_NEGATIVES: break;
    case OP_OVERLAY: return room(0, 1);
    case OP_COLUMNS: return room(4, 2);
    case OP_SPREAD: return room(0, 1);
    case OP_GOODNESS:
    case OP_GOODNESS_EVAL: return goodness_room(d, arg);
    case OP_READOUT: return room(16 * (arg == 5 ? (double)d->arg[0].dim[0] : 1), 4);
    case OP_GRAD_NORM: return (struct op_room){.relative = 1e-12}; /* fp64 */
    case OP_ADAMW:
    case OP_SGD: return room(4, 4);
    case OP_RETRACT: return room(0, 4 + sqrt((double)d->arg[0].dim[d->arg[0].rank - 1]));
    case OP_KINDS: break;
    }
    return room(0, 0);
}

struct op_room op_room(const struct op_case *c, const struct op_values *in, const struct op_values *truth, int arg)
{
    struct op_room of = f32_room(c, in, truth, arg);
    if (case_dtype(c, arg) == DTYPE_BF16) of.relative += 1.01 / 256;
    return of;
}

double op_tolerance(struct op_room *room_of, const struct op_values *in, int64_t at, double value)
{
    int64_t width = room_of->width;
    if (width > 0 && at % width == 0) {
        double squares = 0;
        for (int64_t i = at; i < at + width; i++) squares += in->arg[0][i] * in->arg[0][i];
        room_of->shrink = sqrt(squares) <= 1e-6 ? 0 : 1 / sqrt(squares);
    }
    return room_of->absolute * (width > 0 ? room_of->shrink : 1) + room_of->relative * fabs(value);
}
