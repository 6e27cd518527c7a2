/* Random inputs for an op, from its row in the table; what a row cannot say about an argument stands here. */
#include "op_harness.h"

#include "base/philox.h"
#include "tensor/bf16.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint64_t case_seed(const struct op_case *c)
{
    char text[1024];
    uint64_t hash = 14695981039346656037u;
    if (c->seed) return c->seed;
    op_text(&c->desc, text, sizeof text);
    for (const char *s = text; *s; s++) hash = (hash ^ (unsigned char)*s) * 1099511628211u;
    return hash;
}

enum dtype case_dtype(const struct op_case *c, int arg)
{
    int narrow = c->data & DATA_BF16 && op_table[c->desc.kind].arg[arg].dtype == ARG_ACT;
    return narrow ? DTYPE_BF16 : c->desc.arg[arg].dtype;
}

/* What bf16 ops make of an input: activations hold no more, and products round their weights so. */
static double as_held(const struct op_case *c, int arg, double v)
{
    int weight = c->data & DATA_BF16 && op_table[c->desc.kind].arg[arg].access & ARG_OPEN;
    return weight || case_dtype(c, arg) == DTYPE_BF16 ? (double)bf16_wide(bf16_near((float)v)) : v;
}

/* Numbers that f32 holds exactly, so that f32 and f64 start from the same ones. */
static double single(double v)
{
    return (double)(float)v;
}

static void fill_unit_rows(double *p, int64_t rows, int64_t width)
{
    for (int64_t r = 0; r < rows; r++, p += width) {
        double squares = 0;
        for (int64_t i = 0; i < width; i++) squares += p[i] * p[i];
        for (int64_t i = 0; i < width; i++) p[i] = single(p[i] / sqrt(squares));
    }
}

static void fill_positive(double *p, int64_t n)
{
    for (int64_t i = 0; p && i < n; i++) p[i] = single(0.25 + fabs(p[i]));
}

/* Inputs of act' away from its step at 0, where rounding alone would decide. */
static void avoid_kink(const struct op_case *c, struct op_values *v)
{
    int64_t channels = c->desc.arg[0].dim[1], area = tensor_row(&c->desc.arg[0]) / channels;
    for (int64_t i = 0; i < tensor_count(&c->desc.arg[0]); i++) {
        int64_t ch = i / area % channels;
        double slope = v->arg[1][ch] * v->arg[4][ch], *x = &v->arg[0][i];
        *x = as_held(c, 0, *x);
        double u = slope * (*x - v->arg[3][ch]) + v->arg[2][ch];
        if (fabs(u) < 1e-3) *x = single(*x + fmax(0.01 / slope, fabs(*x) / 64)); /* further than bf16 rounds back */
    }
}

static void fill_norm(const struct op_case *c, struct op_values *v)
{
    int64_t channels = c->desc.arg[0].dim[1], area = tensor_row(&c->desc.arg[0]) / channels;
    fill_positive(v->arg[1], channels);
    for (int64_t i = 0; i < channels; i++) { /* lest relu cut a channel off */
        v->arg[2][i] = single(v->arg[2][i] / 4);
        v->arg[3][i] = single(v->arg[3][i] / 4);
    }
    int forward = c->desc.kind == OP_NORM || c->desc.kind == OP_NORM_POOL;
    if (forward && v->arg[6]) fill_positive(v->arg[6], channels);
    if (!forward) fill_positive(v->arg[4], channels); /* run_var or invstd */
    for (int64_t i = 0; forward && i < tensor_count(&c->desc.arg[0]); i++)
        v->arg[0][i] = single(v->arg[0][i] + (double)(i / area % channels % 8)); /* means that differ */
    if (c->desc.kind == OP_NORM_BACK || c->desc.kind == OP_NORM_POOL_BACK) avoid_kink(c, v);
}

/* The argument of that name; NULL where the op has none. */
static double *named(const struct op_case *c, struct op_values *v, const char *name)
{
    for (int i = 0; i < op_table[c->desc.kind].args; i++)
        if (strcmp(op_table[c->desc.kind].arg[i].name, name) == 0) return v->arg[i];
    return NULL;
}

static void fill_labels(const struct op_case *c, struct op_values *v, int64_t classes, struct rng *rng)
{
    const struct op_desc *d = &c->desc;
    int64_t width = d->arg[0].dim[1];
    double *weight = named(c, v, "weight"), *y1 = named(c, v, "y1"), *y2 = named(c, v, "y2");
    for (int64_t b = 0; b < d->arg[0].dim[0]; b++) {
        y1[b] = rng_below(rng, (uint32_t)classes);
        weight[b] = 1;
        if (y2) y2[b] = c->data & DATA_MIXUP ? rng_below(rng, (uint32_t)classes) : y1[b];
        if (c->data & DATA_MIXUP) weight[b] = b % 5 == 4 ? 0.5 : rng_uniform(rng);
        if (c->data & DATA_PADDING && b % 3 == 2) {
            weight[b] = 0;
            y1[b] = 1 << 30;
        }
        if (c->data & DATA_DEAD && b % 4 == 1)
            for (int64_t i = 0; i < width; i++) v->arg[0][b * width + i] = b % 8 == 1 ? 0 : single(1e-8);
    }
}

static void fill_hff(const struct op_case *c, struct op_values *v, struct rng *rng)
{
    const struct tensor *p = &c->desc.arg[1];
    for (int64_t i = 0; i < tensor_count(&c->desc.arg[0]); i++) v->arg[0][i] *= 3;
    fill_unit_rows(v->arg[1], p->dim[0] * p->dim[1], p->dim[2]);
    v->arg[2][0] = single(log(c->scale > 0 ? c->scale : 16));
    fill_labels(c, v, p->dim[0], rng);
}

static void fill_hyper(const struct op_case *c, struct op_values *v)
{
    for (int i = 0; i < op_table[c->desc.kind].args; i++) {
        const char *name = op_table[c->desc.kind].arg[i].name;
        if (strcmp(name, "hyper") == 0) memcpy(v->arg[i], (double[HYPERS]){0.05, 0.3, 0.2, 17}, sizeof(double[HYPERS]));
        if (strcmp(name, "norm") == 0)
            memcpy(v->arg[i], (double[NORMS]){3, 4, 0.75, c->data & DATA_LATCHED ? 5 : 0}, sizeof(double[NORMS]));
    }
    if (c->desc.kind == OP_ADAMW) fill_positive(v->arg[3], tensor_count(&c->desc.arg[3]));
    if (c->data & DATA_NOT_FINITE) v->arg[0][tensor_count(&c->desc.arg[0]) / 2] = INFINITY;
}

/* Places in windows, in argument at. */
static void fill_place(const struct op_case *c, struct op_values *v, int at, int kernel, struct rng *rng)
{
    for (int64_t i = 0; v->arg[at] && i < tensor_count(&c->desc.arg[at]); i++)
        v->arg[at][i] = rng_below(rng, (uint32_t)(kernel * kernel));
}

/* Pixels, numbers of samples of which some are padding, shares. */
static void fill_augment(const struct op_case *c, struct op_values *v, struct rng *rng)
{
    const struct op_desc *d = &c->desc;
    uint32_t kept = (uint32_t)d->arg[0].dim[0];
    for (int64_t i = 0; i < tensor_count(&d->arg[0]); i++) v->arg[0][i] = rng_below(rng, 256);
    for (int64_t b = 0; b < d->arg[2].dim[0]; b++) {
        v->arg[2][b] = c->data & DATA_PADDING && b % 5 == 3 ? -1 : (double)rng_below(rng, kept);
        if (v->arg[3]) v->arg[3][b] = rng_below(rng, kept);
        if (v->arg[4]) v->arg[4][b] = rng_uniform(rng);
    }
}

static int ff_classes(const struct op_desc *d)
{
    if (d->kind == OP_NEGATIVES) return d->attr.negatives.classes;
    if (d->kind == OP_OVERLAY) return d->attr.overlay.classes;
    return (int)d->arg[d->kind == OP_GOODNESS_EVAL ? 4 : 0].dim[1];
}

/* Labels, weights and the tick, which have the same names in all ops of FF. */
static void fill_ff(const struct op_case *c, struct op_values *v, struct rng *rng)
{
    const struct op_desc *d = &c->desc;
    uint32_t classes = (uint32_t)ff_classes(d);
    for (int a = 0; a < op_table[d->kind].args; a++) {
        const char *name = op_table[d->kind].arg[a].name;
        int64_t n = tensor_count(&d->arg[a]);
        if (!v->arg[a] || !(op_table[d->kind].arg[a].access & ARG_IN)) continue;
        if (strcmp(name, "tick") == 0)
            memcpy(v->arg[a], (double[TICKS]){17, (double)c->pass, 48}, sizeof(double[TICKS]));
        for (int64_t i = 0; i < n && d->arg[a].dtype == DTYPE_I32; i++) v->arg[a][i] = rng_below(rng, classes);
        for (int64_t i = 0; i < n && strcmp(name, "weight") == 0; i++) v->arg[a][i] = 1;
    }
    int y = 1, weight = 2; /* of goodness_eval and readout */
    for (int64_t b = 2; c->data & DATA_PADDING && b < d->arg[y].dim[0]; b += 3) {
        v->arg[weight][b] = 0;
        v->arg[y][b] = 1 << 30;
    }
}

static void fill_special(const struct op_case *c, struct op_values *v, struct rng *rng)
{
    switch (c->desc.kind) {
    case OP_NORM:
    case OP_NORM_EVAL:
    case OP_NORM_BACK:
    case OP_NORM_POOL:
    case OP_NORM_POOL_EVAL: fill_norm(c, v); return;
    case OP_NORM_POOL_BACK:
        fill_norm(c, v);
        fill_place(c, v, 9, c->desc.attr.norm.pool.kernel, rng);
        return;
    case OP_POOL_BACK: fill_place(c, v, 0, c->desc.attr.pool.kernel, rng); return;
    case OP_AUGMENT: fill_augment(c, v, rng); return;
    case OP_HFF:
    case OP_HFF_EVAL: fill_hff(c, v, rng); return;
    case OP_NEGATIVES:
    case OP_OVERLAY:
    case OP_COLUMNS:
    case OP_GOODNESS_EVAL:
    case OP_READOUT: fill_ff(c, v, rng); return;
    case OP_CROSS_ENTROPY:
    case OP_CROSS_ENTROPY_EVAL: fill_labels(c, v, c->desc.arg[0].dim[1], rng); return;
    case OP_SIMILARITY: fill_labels(c, v, c->desc.attr.similarity.classes, rng); return;
    case OP_GRAD_NORM:
    case OP_ADAMW:
    case OP_SGD:
    case OP_RETRACT:
    case OP_CLAMP: fill_hyper(c, v); return;
    case OP_REORDER:
    case OP_REORDERS:
    case OP_LINEAR:
    case OP_LINEAR_DATA:
    case OP_LINEAR_WEIGHT:
    case OP_CONV:
    case OP_CONV_DATA:
    case OP_CONV_WEIGHT:
    case OP_ACT:
    case OP_ACT_BACK:
    case OP_POOL:
    case OP_APOOL:
    case OP_APOOL_BACK:
    case OP_ACT_APOOL:
    case OP_ACT_APOOL_BACK:
    case OP_ADD:
    case OP_UNIT:
    case OP_SPREAD:
    case OP_GOODNESS:
    case OP_UNIT_BACK:
    case OP_ENERGY:
    case OP_ENERGY_BACK:
    case OP_DEVIATION:
    case OP_DEVIATION_BACK:
    case OP_KINDS: return;
    }
}

void values_make(const struct op_case *c, struct op_values *v)
{
    const struct op_desc *d = &c->desc;
    struct rng rng;
    rng_open(&rng, case_seed(c), RNG_TEST, 0, 0);
    memset(v, 0, sizeof *v);
    for (int a = 0; a < op_table[d->kind].args; a++) {
        int64_t n = tensor_count(&d->arg[a]);
        if (d->arg[a].rank == 0) continue;
        v->arg[a] = calloc((size_t)n, sizeof(double));
        for (int64_t i = 0; i < n && op_table[d->kind].arg[a].access & ARG_IN; i++)
            v->arg[a][i] =
                d->arg[a].dtype == DTYPE_I64 || c->data & DATA_TIES ? rng_below(&rng, 4) : single(rng_normal(&rng));
    }
    fill_special(c, v, &rng);
    for (int a = 0; a < op_table[d->kind].args; a++)
        for (int64_t i = 0; v->arg[a] && i < tensor_count(&d->arg[a]); i++) v->arg[a][i] = as_held(c, a, v->arg[a][i]);
}

void values_free(struct op_values *v)
{
    for (int a = 0; a < OP_ARGS; a++) {
        free(v->arg[a]);
        free(v->raw[a]);
    }
    memset(v, 0, sizeof *v);
}
