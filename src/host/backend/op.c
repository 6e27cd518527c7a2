/* The op catalogue's table, and what can be said of an op from its row: FLOPs, bytes, text, whether a description is
 * sound. */
#include "op.h"

#include <stdio.h>
#include <string.h>

enum { IN = ARG_IN, OUT = ARG_OUT, BOTH = ARG_BOTH, MAYBE = ARG_OPTIONAL, OPEN = ARG_OPEN };

static double count(const struct op_desc *desc, int arg)
{
    return (double)tensor_count(&desc->arg[arg]);
}

/* Twice batch times the weights: x (B,I), w (O,I), whichever places they have. */
static double linear_flops(const struct op_desc *desc)
{
    return 2 * (double)desc->arg[0].dim[0] * count(desc, 1);
}

static double linear_weight_flops(const struct op_desc *desc)
{
    return 2 * (double)desc->arg[0].dim[0] * count(desc, 2);
}

/* One multiply-add for every output position and weight; zeros of the padding are counted, as everywhere in print. */
static double conv_product(const struct tensor *w, const struct tensor *y)
{
    return 2 * (double)y->dim[0] * (double)tensor_area(y) * (double)tensor_count(w);
}

static double conv_flops(const struct op_desc *desc)
{
    return conv_product(&desc->arg[1], &desc->arg[3]);
}

static double conv_data_flops(const struct op_desc *desc)
{
    return conv_product(&desc->arg[1], &desc->arg[0]);
}

static double conv_weight_flops(const struct op_desc *desc)
{
    return conv_product(&desc->arg[2], &desc->arg[1]);
}

/* The products cos, dz and dp. */
static double hff_flops(const struct op_desc *desc)
{
    return 2 * (double)desc->arg[0].dim[0] * count(desc, 1) * (desc->arg[8].rank > 0 ? 3 : 2);
}

/* The products of a slice's samples with each other, and of their gradients with the samples. */
static double similarity_flops(const struct op_desc *desc)
{
    return 4 * count(desc, 0) * (double)desc->arg[0].dim[0] / desc->slices;
}

static double hff_eval_flops(const struct op_desc *desc)
{
    return 2 * (double)desc->arg[0].dim[0] * count(desc, 1);
}

/* clang-format off */
#define R(name, access, dims) {name, access, ARG_REAL, dims}
#define A(name, access, dims) {name, access, ARG_ACT, dims}
#define F64(name, access, dims) {name, access, DTYPE_F64, dims}
#define NORM {"norm", IN, DTYPE_F64, "N"}
#define TICK(access) {"tick", access, DTYPE_I64, "T"}
#define P_COPY {"p_copy", IN | MAYBE | ARG_COPY, ARG_ANY, "CKD"}
#define PAIR(n) {"src" n, IN | MAYBE, ARG_ANY, "?"}, {"dst" n, OUT | MAYBE, ARG_ANY, "?"}
#define HYPER {"hyper", IN, DTYPE_F64, "Y"}

const struct op_info op_table[OP_KINDS] = {
    [OP_REORDER] = {"reorder", 0, 2, {{"src", IN, ARG_ANY, "*"}, {"dst", OUT, ARG_ANY, "*"}}, NULL},
    [OP_REORDERS] = {"reorders", 0, 2 * REORDERS,
        {{"src1", IN, ARG_ANY, "?"}, {"dst1", OUT, ARG_ANY, "?"}, PAIR("2"), PAIR("3"), PAIR("4"), PAIR("5"), PAIR("6")}, NULL},
    [OP_LINEAR] = {"linear", 0, 4,
        {A("x", IN, "BI"), R("w", IN | OPEN, "OI"), R("bias", IN | MAYBE, "O"), A("y", OUT, "BO")}, linear_flops},
    [OP_LINEAR_DATA] = {"linear_data", 0, 3, {A("dy", IN, "BO"), R("w", IN | OPEN, "OI"), A("dx", OUT, "BI")}, linear_flops},
    [OP_LINEAR_WEIGHT] = {"linear_weight", 1, 4,
        {A("x", IN, "BI"), A("dy", IN, "BO"), R("dw", OUT | OPEN, "OI"), R("dbias", OUT | MAYBE, "O")}, linear_weight_flops},
    [OP_CONV] = {"conv", 0, 4,
        {A("x", IN, "BIHW"), R("w", IN | OPEN, "OIkk"), R("bias", IN | MAYBE, "O"), A("y", OUT, "BOhw")}, conv_flops},
    [OP_CONV_DATA] = {"conv_data", 0, 3,
        {A("dy", IN, "BOhw"), R("w", IN | OPEN, "OIkk"), A("dx", OUT, "BIHW")}, conv_data_flops},
    [OP_CONV_WEIGHT] = {"conv_weight", 1, 4,
        {A("x", IN, "BIHW"), A("dy", IN, "BOhw"), R("dw", OUT | OPEN, "OIkk"), R("dbias", OUT | MAYBE, "O")},
        conv_weight_flops},
    [OP_NORM] = {"norm", 1, 8,
        {A("x", IN, "BC*"), R("gamma", IN, "C"), R("beta", IN, "C"), R("mean", OUT, "C"), R("invstd", OUT, "C"),
         R("run_mean", BOTH | MAYBE, "C"), R("run_var", BOTH | MAYBE, "C"), A("y", OUT, "BC*")}, NULL},
    [OP_NORM_EVAL] = {"norm_eval", 0, 6,
        {A("x", IN, "BC*"), R("gamma", IN, "C"), R("beta", IN, "C"), R("run_mean", IN, "C"), R("run_var", IN, "C"),
         A("y", OUT, "BC*")}, NULL},
    [OP_NORM_BACK] = {"norm_back", 1, 9,
        {A("x", IN, "BC*"), R("gamma", IN, "C"), R("beta", IN, "C"), R("mean", IN, "C"), R("invstd", IN, "C"),
         A("dy", IN, "BC*"), A("dx", OUT, "BC*"), R("dgamma", OUT, "C"), R("dbeta", OUT, "C")}, NULL},
    [OP_ACT] = {"act", 0, 2, {A("x", IN, "B*"), A("y", OUT, "B*")}, NULL},
    [OP_ACT_BACK] = {"act_back", 0, 3, {A("x", IN, "B*"), A("dy", IN, "B*"), A("dx", OUT, "B*")}, NULL},
    [OP_POOL] = {"pool", 0, 3,
        {A("x", IN, "BCHW"), A("y", OUT, "BChw"), {"index", OUT | MAYBE, DTYPE_U8, "BChw"}}, NULL},
    [OP_POOL_BACK] = {"pool_back", 0, 3,
        {{"index", IN | MAYBE, DTYPE_U8, "BChw"}, A("dy", IN, "BChw"), A("dx", OUT, "BCHW")}, NULL},
    [OP_NORM_POOL] = {"norm_pool", 1, 9,
        {A("x", IN, "BCHW"), R("gamma", IN, "C"), R("beta", IN, "C"), R("mean", OUT, "C"), R("invstd", OUT, "C"),
         R("run_mean", BOTH | MAYBE, "C"), R("run_var", BOTH | MAYBE, "C"), A("y", OUT, "BChw"),
         {"index", OUT | MAYBE, DTYPE_U8, "BChw"}}, NULL},
    [OP_NORM_POOL_EVAL] = {"norm_pool_eval", 0, 7,
        {A("x", IN, "BCHW"), R("gamma", IN, "C"), R("beta", IN, "C"), R("run_mean", IN, "C"), R("run_var", IN, "C"),
         A("y", OUT, "BChw"), {"index", OUT | MAYBE, DTYPE_U8, "BChw"}}, NULL},
    [OP_NORM_POOL_BACK] = {"norm_pool_back", 1, 10,
        {A("x", IN, "BCHW"), R("gamma", IN, "C"), R("beta", IN, "C"), R("mean", IN, "C"), R("invstd", IN, "C"),
         A("dy", IN, "BChw"), A("dx", OUT, "BCHW"), R("dgamma", OUT, "C"), R("dbeta", OUT, "C"),
         {"index", IN | MAYBE, DTYPE_U8, "BChw"}}, NULL},
    [OP_APOOL] = {"apool", 0, 2, {A("x", IN, "BCHW"), A("y", OUT, "BCab")}, NULL},
    [OP_APOOL_BACK] = {"apool_back", 0, 2, {A("dy", IN, "BCab"), A("dx", OUT, "BCHW")}, NULL},
    [OP_ACT_APOOL] = {"act_apool", 0, 2, {A("x", IN, "BCHW"), R("y", OUT, "BD")}, NULL},
    [OP_ACT_APOOL_BACK] = {"act_apool_back", 0, 3, {A("x", IN | MAYBE, "BCHW"), R("dy", IN, "BD"), A("dx", OUT, "BCHW")}, NULL},
    [OP_ADD] = {"add", 0, 3, {A("a", IN, "B*"), A("b", IN, "B*"), A("y", OUT, "B*")}, NULL},
    [OP_UNIT] = {"unit", 0, 2, {A("x", IN, "B*"), A("y", OUT, "B*")}, NULL},
    [OP_UNIT_BACK] = {"unit_back", 0, 3, {A("x", IN, "B*"), A("dy", IN, "B*"), A("dx", OUT, "B*")}, NULL},
    [OP_ENERGY] = {"energy", 0, 2, {A("x", IN, "BC*"), R("y", OUT, "BG")}, NULL},
    [OP_ENERGY_BACK] = {"energy_back", 0, 3, {A("x", IN, "BC*"), R("dy", IN, "BG"), A("dx", OUT, "BC*")}, NULL},
    [OP_DEVIATION] = {"deviation", 0, 2, {A("x", IN, "BCHW"), R("y", OUT, "BC")}, NULL},
    [OP_DEVIATION_BACK] = {"deviation_back", 0, 3, {A("x", IN, "BCHW"), R("dy", IN, "BC"), A("dx", OUT, "BCHW")}, NULL},
    [OP_AUGMENT] = {"augment", 0, 7,
        {{"images", IN, DTYPE_U8, "ECHW"}, {"table", IN, DTYPE_F32, "CV"}, {"sample", IN, DTYPE_I32, "B"},
         {"partner", IN | MAYBE, DTYPE_I32, "B"}, {"share", IN | MAYBE, DTYPE_F32, "B"}, {"epoch", IN, DTYPE_I64, "1"},
         A("x", OUT, "BCHW")}, NULL},
    [OP_HFF] = {"hff", 1, 13,
        {R("e", IN, "BD"), R("p", IN, "CKD"), R("log_scale", IN, "1"), {"y1", IN, DTYPE_I32, "B"},
         {"y2", IN, DTYPE_I32, "B"}, {"weight", IN, DTYPE_F32, "B"}, R("scores", OUT, "BC"), R("de", OUT, "BD"),
         R("dp", OUT | MAYBE, "CKD"), R("dlog_scale", OUT | MAYBE, "1"), F64("metrics", BOTH, "M"),
         {"wins", BOTH | MAYBE, DTYPE_I64, "W"}, P_COPY}, hff_flops, 1},
    [OP_HFF_EVAL] = {"hff_eval", 1, 8,
        {R("e", IN, "BD"), R("p", IN, "CKD"), R("log_scale", IN, "1"), {"y1", IN, DTYPE_I32, "B"},
         {"weight", IN, DTYPE_F32, "B"}, R("scores", OUT, "BC"), F64("metrics", BOTH, "M"), P_COPY}, hff_eval_flops, 1},
    [OP_NEGATIVES] = {"negatives", 0, 4,
        {{"y", IN, DTYPE_I32, "B"}, TICK(IN), R("score", IN | MAYBE, "BC"), {"labels", OUT, DTYPE_I32, "E"}}, NULL},
    [OP_OVERLAY] = {"overlay", 0, 5,
        {R("x", IN | MAYBE, "BI"), R("on", IN, "1"), {"labels", IN | MAYBE, DTYPE_I32, "E"}, TICK(IN | MAYBE),
         R("y", OUT, "E*")}, NULL},
    [OP_COLUMNS] = {"columns", 0, 4, {R("w", IN, "OI"), R("on", IN, "1"), TICK(IN), A("t", OUT, "RO")}, NULL},
    [OP_SPREAD] = {"spread", 0, 3, {A("x", IN, "B*"), A("t", IN, "R*"), A("y", OUT, "E*")}, NULL},
    [OP_GOODNESS] = {"goodness", 1, 3, {A("h", IN, "B*"), A("dh", OUT, "B*"), F64("metrics", BOTH, "M")}, NULL},
    [OP_GOODNESS_EVAL] = {"goodness_eval", 1, 6,
        {A("h", IN, "E*"), {"y", IN, DTYPE_I32, "B"}, {"weight", IN, DTYPE_F32, "B"}, TICK(IN), R("scores", BOTH, "BC"),
         F64("metrics", BOTH, "M")}, NULL},
    [OP_READOUT] = {"readout", 1, 6,
        {R("logits", IN, "BC"), {"y", IN, DTYPE_I32, "B"}, {"weight", IN, DTYPE_F32, "B"}, R("total", BOTH | MAYBE, "BC"),
         R("dlogits", OUT | MAYBE, "BC"), F64("metrics", BOTH | MAYBE, "M")}, NULL},
    [OP_CROSS_ENTROPY] = {"cross_entropy", 1, 6,
        {R("scores", IN, "BC"), {"y1", IN, DTYPE_I32, "B"}, {"y2", IN, DTYPE_I32, "B"}, {"weight", IN, DTYPE_F32, "B"},
         R("dscores", OUT, "BC"), F64("metrics", BOTH, "M")}, NULL},
    [OP_CROSS_ENTROPY_EVAL] = {"cross_entropy_eval", 1, 4,
        {R("scores", IN, "BC"), {"y1", IN, DTYPE_I32, "B"}, {"weight", IN, DTYPE_F32, "B"}, F64("metrics", BOTH, "M")},
        NULL},
    [OP_SIMILARITY] = {"similarity", 1, 6,
        {R("x", IN, "BD"), {"y1", IN, DTYPE_I32, "B"}, {"y2", IN, DTYPE_I32, "B"}, {"weight", IN, DTYPE_F32, "B"},
         R("dx", OUT, "BD"), F64("metrics", BOTH, "M")}, similarity_flops},
    [OP_GRAD_NORM] = {"grad_norm", 0, 8,
        {R("g0", IN | MAYBE, "?"), R("g1", IN | MAYBE, "?"), R("g2", IN | MAYBE, "?"), R("g3", IN | MAYBE, "?"),
         R("g4", IN | MAYBE, "?"), R("g5", IN | MAYBE, "?"), HYPER, F64("norm", BOTH, "N")}, NULL},
    [OP_ADAMW] = {"adamw", 0, 6,
        {R("p", BOTH, "*"), R("g", IN, "*"), R("m", BOTH, "*"), R("v", BOTH, "*"), HYPER, NORM}, NULL},
    [OP_SGD] = {"sgd", 0, 5, {R("p", BOTH, "*"), R("g", IN, "*"), R("m", BOTH | MAYBE, "*"), HYPER, NORM}, NULL},
    [OP_RETRACT] = {"retract", 0, 2, {R("p", BOTH, "*"), NORM}, NULL},
    [OP_CLAMP] = {"clamp", 0, 2, {R("p", BOTH, "*"), NORM}, NULL},
};
/* clang-format on */

double op_flops(const struct op_desc *desc)
{
    double (*flops)(const struct op_desc *) = op_table[desc->kind].flops;
    return flops ? flops(desc) : 0;
}

double op_bytes(const struct op_desc *desc)
{
    const struct op_info *info = &op_table[desc->kind];
    double bytes = 0;
    for (int i = 0; i < info->args; i++) {
        int access = info->arg[i].access;
        bytes += (double)tensor_bytes(&desc->arg[i]) * (!!(access & ARG_IN) + !!(access & ARG_OUT));
    }
    return bytes;
}

static void pool_text(const struct pool_window *window, char *out, size_t size)
{
    snprintf(out, size, ", %s kernel %d stride %d", window->kind == POOL_MAX ? "max" : "average", window->kernel,
             window->stride);
}

static void norm_text(const struct op_desc *d, char *out, size_t size)
{
    snprintf(out, size, ", eps %g momentum %g act %s", d->attr.norm.eps, d->attr.norm.momentum,
             act_word(d->attr.norm.act));
}

/* The attributes with ", " before them. */
static void attr_text(const struct op_desc *d, char *out, size_t size)
{
    switch (d->kind) {
    case OP_CONV:
    case OP_CONV_DATA:
    case OP_CONV_WEIGHT:
        snprintf(out, size, ", kernel %d stride %d pad %d", d->attr.conv.kernel, d->attr.conv.stride, d->attr.conv.pad);
        return;
    case OP_NORM:
    case OP_NORM_EVAL:
    case OP_NORM_BACK: norm_text(d, out, size); return;
    case OP_NORM_POOL:
    case OP_NORM_POOL_EVAL:
    case OP_NORM_POOL_BACK:
        norm_text(d, out, size);
        pool_text(&d->attr.norm.pool, out + strlen(out), size - strlen(out));
        return;
    case OP_ACT:
    case OP_ACT_BACK: snprintf(out, size, ", %s", act_word(d->attr.act.act)); return;
    case OP_POOL:
    case OP_POOL_BACK: pool_text(&d->attr.pool, out, size); return;
    case OP_ACT_APOOL:
    case OP_ACT_APOOL_BACK:
        snprintf(out, size, ", %s to %d x %d", act_word(d->attr.act_apool.act), d->attr.act_apool.rows,
                 d->attr.act_apool.columns);
        return;
    case OP_HFF:
        snprintf(out, size, ", %s margin %g smoothing %g discount %g global_batch %lld",
                 d->attr.hff.loss == HFF_LOSS_SOFTMAX ? "softmax" : "pairwise", d->attr.hff.margin,
                 d->attr.hff.smoothing, d->attr.hff.discount, (long long)d->attr.hff.global_batch);
        return;
    case OP_CROSS_ENTROPY:
        snprintf(out, size, ", smoothing %g discount %g global_batch %lld", d->attr.cross_entropy.smoothing,
                 d->attr.cross_entropy.discount, (long long)d->attr.cross_entropy.global_batch);
        return;
    case OP_SIMILARITY:
        snprintf(out, size, ", classes %lld share %g global_batch %lld", (long long)d->attr.similarity.classes,
                 d->attr.similarity.share, (long long)d->attr.similarity.global_batch);
        return;
    case OP_HFF_EVAL:
        snprintf(out, size, ", %s", d->attr.hff.loss == HFF_LOSS_SOFTMAX ? "softmax" : "pairwise");
        return;
    case OP_NEGATIVES:
        snprintf(out, size, ", %d classes, seed %llu, scores from step %lld", d->attr.negatives.classes,
                 (unsigned long long)d->attr.negatives.seed, (long long)d->attr.negatives.from);
        return;
    case OP_AUGMENT:
        snprintf(out, size, ", %d changes, seed %llu", d->attr.augment.changes,
                 (unsigned long long)d->attr.augment.seed);
        return;
    case OP_OVERLAY:
        snprintf(out, size, ", %s, %d classes, area %lld, rest %g",
                 d->attr.overlay.kind == OVERLAY_PIXELS  ? "pixels"
                 : d->attr.overlay.kind == OVERLAY_PLANE ? "plane"
                                                         : "planes",
                 d->attr.overlay.classes, (long long)d->attr.overlay.area, d->attr.overlay.rest);
        return;
    case OP_COLUMNS:
        snprintf(out, size, ", %d classes, first %lld span %lld", d->attr.columns.classes,
                 (long long)d->attr.columns.first, (long long)d->attr.columns.span);
        return;
    case OP_GOODNESS:
        snprintf(out, size, ", %s theta %g alpha %g global_batch %lld", d->attr.goodness.mean ? "mean" : "sum",
                 d->attr.goodness.theta, d->attr.goodness.alpha, (long long)d->attr.goodness.global_batch);
        return;
    case OP_GOODNESS_EVAL: snprintf(out, size, ", %s", d->attr.goodness.mean ? "mean" : "sum"); return;
    case OP_READOUT:
        snprintf(out, size, ", %s global_batch %lld", d->attr.readout.first ? "first" : "added",
                 (long long)d->attr.readout.global_batch);
        return;
    case OP_GRAD_NORM: snprintf(out, size, ", clip %g", d->attr.grad_norm.clip); return;
    case OP_ADAMW:
        snprintf(out, size, ", %d parts, beta1 %g beta2 %g eps %g", d->attr.adamw.parts.count, d->attr.adamw.beta1,
                 d->attr.adamw.beta2, d->attr.adamw.eps);
        return;
    case OP_SGD:
        snprintf(out, size, ", %d parts, momentum %g%s", d->attr.sgd.parts.count, d->attr.sgd.momentum,
                 d->attr.sgd.nesterov ? " nesterov" : "");
        return;
    case OP_CLAMP: snprintf(out, size, ", lo %g hi %g", d->attr.clamp.lo, d->attr.clamp.hi); return;
    case OP_REORDER:
    case OP_REORDERS:
    case OP_LINEAR:
    case OP_LINEAR_DATA:
    case OP_LINEAR_WEIGHT:
    case OP_APOOL:
    case OP_APOOL_BACK:
    case OP_ADD:
    case OP_UNIT:
    case OP_SPREAD:
    case OP_UNIT_BACK:
    case OP_ENERGY:
    case OP_ENERGY_BACK:
    case OP_DEVIATION:
    case OP_DEVIATION_BACK:
    case OP_CROSS_ENTROPY_EVAL:
    case OP_RETRACT:
    case OP_KINDS: break;
    }
    snprintf(out, size, "%s", "");
}

const char *op_text(const struct op_desc *desc, char *out, size_t size)
{
    const struct op_info *info = &op_table[desc->kind];
    char text[128];
    size_t used = (size_t)snprintf(out, size, "%s", info->name);
    const char *before = " ";
    for (int i = 0; i < info->args && used < size; i++) {
        if (desc->arg[i].rank == 0) continue;
        tensor_text(&desc->arg[i], text, sizeof text);
        used += (size_t)snprintf(out + used, size - used, "%s%s", before, text);
        before = ", ";
    }
    attr_text(desc, text, sizeof text);
    if (used < size) used += (size_t)snprintf(out + used, size - used, "%s", text);
    if (used < size && info->sliced) snprintf(out + used, size - used, ", slices %d", desc->slices);
    return out;
}
