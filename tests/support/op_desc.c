/* Descriptions of ops for tests, from a few sizes. */
#include "op_harness.h"

struct op_desc desc_make(enum op_kind kind, int slices)
{
    return (struct op_desc){.kind = kind, .slices = slices};
}

struct op_desc desc_linear(enum op_kind kind, int slices, int64_t batch, int64_t in, int64_t out, int bias)
{
    struct op_desc d = desc_make(kind, slices);
    struct tensor x = f32_2(batch, in), y = f32_2(batch, out), w = f32_2(out, in);
    d.arg[0] = kind == OP_LINEAR_DATA ? y : x;
    d.arg[1] = kind == OP_LINEAR_WEIGHT ? y : w;
    d.arg[2] = kind == OP_LINEAR ? f32_1(out) : kind == OP_LINEAR_DATA ? x : w;
    if (kind == OP_LINEAR) d.arg[3] = y;
    if (kind == OP_LINEAR_WEIGHT) d.arg[3] = f32_1(out);
    if (!bias && kind != OP_LINEAR_DATA) d.arg[kind == OP_LINEAR ? 2 : 3] = (struct tensor){0};
    return d;
}

struct op_desc desc_conv(enum op_kind kind, int slices, int64_t batch, int64_t in, int64_t out, int64_t height,
                         int64_t width, int kernel, int stride, int pad, int bias)
{
    struct op_desc d = desc_make(kind, slices);
    struct tensor x = f32_4(batch, in, height, width), w = f32_4(out, in, kernel, kernel);
    struct tensor y =
        f32_4(batch, out, (height + 2 * pad - kernel) / stride + 1, (width + 2 * pad - kernel) / stride + 1);
    d.arg[0] = kind == OP_CONV_DATA ? y : x;
    d.arg[1] = kind == OP_CONV_WEIGHT ? y : w;
    d.arg[2] = kind == OP_CONV ? f32_1(out) : kind == OP_CONV_DATA ? x : w;
    if (kind == OP_CONV) d.arg[3] = y;
    if (kind == OP_CONV_WEIGHT) d.arg[3] = f32_1(out);
    if (!bias && kind != OP_CONV_DATA) d.arg[kind == OP_CONV ? 2 : 3] = (struct tensor){0};
    d.attr.conv.kernel = kernel;
    d.attr.conv.stride = stride;
    d.attr.conv.pad = pad;
    return d;
}

struct op_desc desc_norm(enum op_kind kind, int slices, struct tensor x, enum act act)
{
    struct op_desc d = desc_make(kind, slices);
    for (int i = 0; i < op_table[kind].args; i++) d.arg[i] = op_table[kind].arg[i].dims[0] == 'B' ? x : f32_1(x.dim[1]);
    d.attr.norm.eps = 1e-5;
    d.attr.norm.momentum = 0.1;
    d.attr.norm.act = act;
    return d;
}

struct op_desc desc_pool(enum op_kind kind, struct tensor x, enum pool_kind pool, int kernel, int stride, int index)
{
    struct op_desc d = desc_make(kind, 1);
    struct tensor y = f32_4(x.dim[0], x.dim[1], (x.dim[2] - kernel) / stride + 1, (x.dim[3] - kernel) / stride + 1),
                  places = y;
    places.dtype = DTYPE_U8;
    if (!index) places = (struct tensor){0};
    d.arg[0] = kind == OP_POOL ? x : places;
    d.arg[1] = y;
    d.arg[2] = kind == OP_POOL ? places : x;
    d.attr.pool.kind = pool;
    d.attr.pool.kernel = kernel;
    d.attr.pool.stride = stride;
    return d;
}

struct op_desc desc_norm_pool(enum op_kind kind, int slices, struct tensor x, enum act act, struct pool_window window,
                              int index)
{
    struct op_desc d = desc_norm(kind, slices, x, act);
    int k = window.kernel, s = window.stride, last = op_table[kind].args - 1;
    struct tensor y = f32_4(x.dim[0], x.dim[1], (x.dim[2] - k) / s + 1, (x.dim[3] - k) / s + 1);
    d.arg[kind == OP_NORM_POOL ? 7 : 5] = d.arg[last] = y;
    d.arg[last].dtype = DTYPE_U8;
    if (!index) d.arg[last] = (struct tensor){0};
    d.attr.norm.pool = window;
    return d;
}

struct op_desc desc_apool(enum op_kind kind, struct tensor x, int64_t a, int64_t b)
{
    struct op_desc d = desc_make(kind, 1);
    struct tensor y = f32_4(x.dim[0], x.dim[1], a, b);
    d.arg[0] = kind == OP_APOOL ? x : y;
    d.arg[1] = kind == OP_APOOL ? y : x;
    return d;
}

struct op_desc desc_act_apool(enum op_kind kind, struct tensor x, enum act act, int rows, int columns)
{
    struct op_desc d = desc_make(kind, 1);
    d.arg[0] = x;
    d.arg[1] = f32_2(x.dim[0], x.dim[1] * rows * columns);
    if (kind == OP_ACT_APOOL_BACK) d.arg[2] = x;
    if (kind == OP_ACT_APOOL_BACK && act == ACT_NONE) d.arg[0] = (struct tensor){0};
    d.attr.act_apool.act = act;
    d.attr.act_apool.rows = rows;
    d.attr.act_apool.columns = columns;
    return d;
}

struct op_desc desc_hff(int slices, struct hff_sizes s, enum hff_loss loss, double margin, double smoothing, int dp,
                        int dscale, int wins)
{
    struct op_desc d = desc_make(OP_HFF, slices);
    struct tensor label = tensor_make1(DTYPE_I32, s.batch);
    const struct tensor args[OP_ARGS] = {
        f32_2(s.batch, s.width),
        f32_3(s.classes, s.per_class, s.width),
        f32_1(1),
        label,
        label,
        f32_1(s.batch),
        f32_2(s.batch, s.classes),
        f32_2(s.batch, s.width),
        dp ? f32_3(s.classes, s.per_class, s.width) : (struct tensor){0},
        dscale ? f32_1(1) : (struct tensor){0},
        tensor_make1(DTYPE_F64, METRICS),
        wins ? tensor_make1(DTYPE_I64, s.classes * s.per_class) : (struct tensor){0},
    };
    for (int i = 0; i < OP_ARGS; i++) d.arg[i] = args[i];
    d.attr.hff.global_batch = s.batch;
    d.attr.hff.loss = loss;
    d.attr.hff.margin = margin;
    d.attr.hff.smoothing = smoothing;
    return d;
}

struct op_desc desc_energy(enum op_kind kind, struct tensor x, int64_t groups)
{
    struct op_desc d = desc_make(kind, 1);
    d.arg[0] = x;
    d.arg[1] = f32_2(x.dim[0], groups);
    if (kind == OP_ENERGY_BACK || kind == OP_DEVIATION_BACK) d.arg[2] = x;
    return d;
}

/* cross_entropy and similarity: a row of width for each sample, two labels, a gradient, metrics. */
static struct op_desc desc_loss(enum op_kind kind, int slices, int64_t batch, int64_t width)
{
    struct op_desc d = desc_make(kind, slices);
    d.arg[0] = d.arg[4] = f32_2(batch, width);
    d.arg[1] = d.arg[2] = tensor_make1(DTYPE_I32, batch);
    d.arg[3] = f32_1(batch);
    d.arg[5] = tensor_make1(DTYPE_F64, METRICS);
    return d;
}

struct op_desc desc_cross_entropy(int slices, int64_t batch, int64_t classes, double smoothing, double discount)
{
    struct op_desc d = desc_loss(OP_CROSS_ENTROPY, slices, batch, classes);
    d.attr.cross_entropy.global_batch = batch;
    d.attr.cross_entropy.smoothing = smoothing;
    d.attr.cross_entropy.discount = discount;
    return d;
}

struct op_desc desc_cross_entropy_eval(int slices, int64_t batch, int64_t classes)
{
    struct op_desc d = desc_make(OP_CROSS_ENTROPY_EVAL, slices);
    d.arg[0] = f32_2(batch, classes);
    d.arg[1] = tensor_make1(DTYPE_I32, batch);
    d.arg[2] = f32_1(batch);
    d.arg[3] = tensor_make1(DTYPE_F64, METRICS);
    return d;
}

struct op_desc desc_similarity(int slices, int64_t batch, int64_t width, int64_t classes, double share)
{
    struct op_desc d = desc_loss(OP_SIMILARITY, slices, batch, width);
    d.attr.similarity.global_batch = batch;
    d.attr.similarity.classes = classes;
    d.attr.similarity.share = share;
    return d;
}

struct op_desc desc_hff_eval(int slices, struct hff_sizes s, enum hff_loss loss)
{
    struct op_desc d = desc_make(OP_HFF_EVAL, slices);
    const struct tensor args[OP_ARGS] = {
        f32_2(s.batch, s.width),
        f32_3(s.classes, s.per_class, s.width),
        f32_1(1),
        tensor_make1(DTYPE_I32, s.batch),
        f32_1(s.batch),
        f32_2(s.batch, s.classes),
        tensor_make1(DTYPE_F64, METRICS),
    };
    for (int i = 0; i < OP_ARGS; i++) d.arg[i] = args[i];
    d.attr.hff.loss = loss;
    return d;
}
