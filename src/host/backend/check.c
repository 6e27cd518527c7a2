/* Checks an op's description against its row of the table: which arguments are there, their types, their shapes (a
 * letter a dimension, the same letter the same size), and the attributes that shapes depend on. */
#include "op.h"

#include <limits.h>
#include <string.h>

/* What the letters were first seen to stand for; 0: not seen. */
struct sizes {
    int64_t letter[UCHAR_MAX + 1];
    int real, act; /* types; -1: not seen. A bf16 argument counts as f32 in real */
};

static hff_status bad_arg(const struct op_desc *desc, int arg, const char *what)
{
    char text[512];
    return fail(HFF_E_CONFIG, "op %s: argument %s %s", op_text(desc, text, sizeof text),
                op_table[desc->kind].arg[arg].name, what);
}

static hff_status check_dtype(const struct op_desc *desc, int arg, struct sizes *sizes)
{
    int want = op_table[desc->kind].arg[arg].dtype, have = (int)desc->arg[arg].dtype;
    if (want >= 0) return have == want ? HFF_OK : bad_arg(desc, arg, "has the wrong element type");
    int narrow = have == DTYPE_BF16 && want != ARG_REAL, real = narrow ? DTYPE_F32 : have;
    if (real != DTYPE_F32 && real != DTYPE_F64)
        return bad_arg(desc, arg, want == ARG_REAL ? "is neither f32 nor f64" : "is neither f32 nor f64 nor bf16");
    if ((sizes->real >= 0 && sizes->real != real) || (want == ARG_ACT && sizes->act >= 0 && sizes->act != have))
        return bad_arg(desc, arg, "has another element type than an argument before it");
    sizes->real = real;
    if (want == ARG_ACT) sizes->act = have;
    return HFF_OK;
}

static hff_status check_size(const struct op_desc *desc, int arg, struct sizes *sizes, char letter, int64_t size)
{
    int64_t *seen = &sizes->letter[(unsigned char)letter];
    if (*seen != 0 && *seen != size) return bad_arg(desc, arg, "has a size that does not fit the arguments before it");
    *seen = size;
    return HFF_OK;
}

static hff_status check_shape(const struct op_desc *desc, int arg, struct sizes *sizes)
{
    const struct tensor *t = &desc->arg[arg];
    const char *dims = op_table[desc->kind].arg[arg].dims;
    if (t->rank < 1 || t->rank > TENSOR_RANK) return bad_arg(desc, arg, "has a wrong number of dimensions");
    for (int i = 0; i < t->rank; i++)
        if (t->dim[i] < 1) return bad_arg(desc, arg, "has an empty dimension");
    if (dims[0] == '?') return HFF_OK;
    int exact = (int)strcspn(dims, "*");
    if (t->rank < exact || (dims[exact] == 0 && t->rank > exact))
        return bad_arg(desc, arg, "has a wrong number of dimensions");
    for (int i = 0; i < exact; i++) TRY(check_size(desc, arg, sizes, dims[i], t->dim[i]));
    int64_t rest = 1;
    for (int i = exact; i < t->rank; i++) rest *= t->dim[i];
    return dims[exact] == '*' ? check_size(desc, arg, sizes, '*', rest) : HFF_OK;
}

/* Output height and width of a window that moves over a padded input. */
static hff_status check_window(const struct op_desc *desc, const struct sizes *sizes, int kernel, int stride, int pad)
{
    static const char in[] = "HW", out[] = "hw";
    char text[512];
    for (int i = 0; i < 2; i++) {
        int64_t room = sizes->letter[(int)in[i]] + 2 * (int64_t)pad - kernel;
        if (kernel < 1 || stride < 1 || pad < 0 || room < 0 || room / stride + 1 != sizes->letter[(int)out[i]])
            return fail(HFF_E_CONFIG, "op %s: the window does not lead from input to output size",
                        op_text(desc, text, sizeof text));
    }
    return HFF_OK;
}

/* Both running statistics or neither. */
static hff_status check_norm(const struct op_desc *desc, const struct sizes *sizes)
{
    (void)sizes;
    if (!desc->arg[5].rank == !desc->arg[6].rank) return HFF_OK;
    return bad_arg(desc, desc->arg[5].rank ? 6 : 5, "is missing");
}

static hff_status check_conv(const struct op_desc *desc, const struct sizes *sizes)
{
    char text[512];
    if (sizes->letter['k'] != desc->attr.conv.kernel)
        return fail(HFF_E_CONFIG, "op %s: the weights' size is not the kernel's", op_text(desc, text, sizeof text));
    return check_window(desc, sizes, desc->attr.conv.kernel, desc->attr.conv.stride, desc->attr.conv.pad);
}

/* index: of a backward op; -1: of none. */
static hff_status check_pooling(const struct op_desc *desc, const struct sizes *sizes, const struct pool_window *window,
                                int index)
{
    char text[512];
    if (window->kernel > 16) return fail(HFF_E_CONFIG, "op %s: kernel above 16", op_text(desc, text, sizeof text));
    if (index >= 0 && window->kind == POOL_MAX && desc->arg[index].rank == 0) return bad_arg(desc, index, "is missing");
    return check_window(desc, sizes, window->kernel, window->stride, 0);
}

static hff_status check_pool(const struct op_desc *desc, const struct sizes *sizes)
{
    return check_pooling(desc, sizes, &desc->attr.pool, desc->kind == OP_POOL_BACK ? 0 : -1);
}

static hff_status check_norm_pool(const struct op_desc *desc, const struct sizes *sizes)
{
    if (desc->kind == OP_NORM_POOL) TRY(check_norm(desc, sizes));
    return check_pooling(desc, sizes, &desc->attr.norm.pool, desc->kind == OP_NORM_POOL_BACK ? 9 : -1);
}

static hff_status check_act_apool(const struct op_desc *desc, const struct sizes *sizes)
{
    int rows = desc->attr.act_apool.rows, columns = desc->attr.act_apool.columns;
    if (rows < 1 || columns < 1 || sizes->letter['D'] != sizes->letter['C'] * rows * columns)
        return bad_arg(desc, 1, "has not a value for each channel and window");
    int needs_x = desc->kind == OP_ACT_APOOL_BACK && desc->attr.act_apool.act != ACT_NONE;
    return needs_x && desc->arg[0].rank == 0 ? bad_arg(desc, 0, "is missing") : HFF_OK;
}

static hff_status check_hff(const struct op_desc *desc, const struct sizes *sizes)
{
    char text[512];
    int64_t wins = sizes->letter['W'];
    if (wins != 0 && wins != sizes->letter['C'] * sizes->letter['K']) return bad_arg(desc, 11, "has not C K elements");
    if (desc->kind == OP_HFF && desc->attr.hff.global_batch < sizes->letter['B'])
        return fail(HFF_E_CONFIG, "op %s: global_batch below the batch", op_text(desc, text, sizeof text));
    if (desc->kind == OP_HFF && desc->attr.hff.loss == HFF_LOSS_PAIRWISE && desc->attr.hff.smoothing != 0)
        return fail(HFF_E_CONFIG, "op %s: the pairwise loss has no smoothing", op_text(desc, text, sizeof text));
    return HFF_OK;
}

static hff_status check_augment(const struct op_desc *desc, const struct sizes *sizes)
{
    const struct augment_rule *rule = &desc->attr.augment;
    char text[512];
    if (sizes->letter['V'] != 256) return bad_arg(desc, 1, "has not a value for each of a pixel's 256");
    if (!desc->arg[3].rank != !desc->arg[4].rank) return bad_arg(desc, desc->arg[3].rank ? 4 : 3, "is missing");
    if (sizes->letter['C'] > 4 || rule->changes < 0 || rule->changes > AUGMENT_CHANGES)
        return fail(HFF_E_CONFIG, "op %s: more than 4 channels or %d changes", op_text(desc, text, sizeof text),
                    AUGMENT_CHANGES);
    for (int i = 0; i < rule->changes; i++)
        if (rule->change[i].reflect &&
            (rule->change[i].amount >= sizes->letter['H'] || rule->change[i].amount >= sizes->letter['W']))
            return fail(HFF_E_CONFIG, "op %s: more is mirrored than there is", op_text(desc, text, sizeof text));
    return HFF_OK;
}

/* Label rows: a whole number of them for each sample, of the size that the label's kind asks for. */
static hff_status check_overlay(const struct op_desc *desc, const struct sizes *sizes)
{
    int64_t rows = desc->arg[4].dim[0], width = tensor_row(&desc->arg[4]), classes = desc->attr.overlay.classes;
    int64_t area = desc->attr.overlay.area, more = 0, room = width;
    if (desc->attr.overlay.kind == OVERLAY_PLANE) more = room = area;
    if (desc->attr.overlay.kind == OVERLAY_PLANES) more = room = classes * area;
    if (classes < 1 || area < 1 || room < classes || width < more)
        return bad_arg(desc, 4, "has no room for the classes");
    if (desc->arg[0].rank == 0) return HFF_OK;
    if (sizes->letter['I'] + more != width) return bad_arg(desc, 4, "has not the elements of an image and its label");
    return rows % sizes->letter['B'] == 0 ? HFF_OK
                                          : bad_arg(desc, 4, "has not the same number of rows for each sample");
}

static hff_status check_columns(const struct op_desc *desc, const struct sizes *sizes)
{
    int64_t first = desc->attr.columns.first, span = desc->attr.columns.span, classes = desc->attr.columns.classes;
    if (first >= 0 && span >= 1 && classes >= 1 && first + span * classes <= sizes->letter['I']) return HFF_OK;
    return bad_arg(desc, 0, "has not the columns of all classes");
}

static hff_status check_negatives(const struct op_desc *desc, const struct sizes *sizes)
{
    int64_t classes = desc->attr.negatives.classes, scores = sizes->letter['C'];
    if (classes < 2) return bad_arg(desc, 0, "has no wrong class to draw");
    if (scores != 0 && scores != classes) return bad_arg(desc, 2, "has not a score for each class");
    return sizes->letter['E'] == 2 * sizes->letter['B'] ? HFF_OK : bad_arg(desc, 3, "has not two rows for each sample");
}

static hff_status check_spread(const struct op_desc *desc, const struct sizes *sizes)
{
    if (sizes->letter['E'] == sizes->letter['B'] * sizes->letter['R']) return HFF_OK;
    return bad_arg(desc, 2, "has not a row for each pair");
}

static hff_status check_goodness(const struct op_desc *desc, const struct sizes *sizes)
{
    if (sizes->letter['B'] / desc->slices % 2 == 0 && desc->attr.goodness.global_batch * 2 >= sizes->letter['B'])
        return HFF_OK;
    return bad_arg(desc, 0, "has not whole pairs in every slice");
}

static hff_status check_goodness_eval(const struct op_desc *desc, const struct sizes *sizes)
{
    if (sizes->letter['E'] % sizes->letter['B'] == 0) return HFF_OK;
    return bad_arg(desc, 0, "has not the same number of rows for each sample");
}

static hff_status check_readout(const struct op_desc *desc, const struct sizes *sizes)
{
    if (desc->attr.readout.global_batch >= sizes->letter['B']) return HFF_OK;
    return bad_arg(desc, 0, "is larger than global_batch");
}

static hff_status check_energy(const struct op_desc *desc, const struct sizes *sizes)
{
    char text[512];
    if (sizes->letter['C'] % sizes->letter['G'] == 0) return HFF_OK;
    return fail(HFF_E_CONFIG, "op %s: the groups do not divide the channels", op_text(desc, text, sizeof text));
}

static hff_status check_deviation(const struct op_desc *desc, const struct sizes *sizes)
{
    char text[512];
    if (sizes->letter['H'] * sizes->letter['W'] > 1) return HFF_OK;
    return fail(HFF_E_CONFIG, "op %s: one position has no deviation", op_text(desc, text, sizeof text));
}

static hff_status check_loss(const struct op_desc *desc, const struct sizes *sizes)
{
    char text[512];
    int entropy = desc->kind == OP_CROSS_ENTROPY;
    int64_t all = entropy ? desc->attr.cross_entropy.global_batch : desc->attr.similarity.global_batch;
    if (all < sizes->letter['B'])
        return fail(HFF_E_CONFIG, "op %s: global_batch below the batch", op_text(desc, text, sizeof text));
    if (!entropy && desc->attr.similarity.classes < 1)
        return fail(HFF_E_CONFIG, "op %s: no classes", op_text(desc, text, sizeof text));
    return HFF_OK;
}

static hff_status check_reorders(const struct op_desc *desc, const struct sizes *sizes)
{
    (void)sizes;
    for (int i = 0; i < 2 * REORDERS; i += 2) {
        if (i > 0 && desc->arg[i].rank && !desc->arg[i - 2].rank) return bad_arg(desc, i - 2, "is missing");
        if (!desc->arg[i].rank != !desc->arg[i + 1].rank)
            return bad_arg(desc, desc->arg[i].rank ? i + 1 : i, "is missing");
        if (tensor_count(&desc->arg[i]) != tensor_count(&desc->arg[i + 1]))
            return bad_arg(desc, i + 1, "has not the elements of its source");
    }
    return HFF_OK;
}

/* Parts in their order, inside the arguments. */
static hff_status check_update(const struct op_desc *desc, const struct sizes *sizes)
{
    const struct update_parts *parts = desc->kind == OP_ADAMW ? &desc->attr.adamw.parts : &desc->attr.sgd.parts;
    char text[512];
    int64_t end = 0;
    int fit = parts->count >= 1 && parts->count <= GRAD_GROUPS;
    for (int i = 0; fit && i < parts->count; i++) {
        fit = parts->part[i].count >= 1 && parts->part[i].first >= end;
        end = parts->part[i].first + parts->part[i].count;
    }
    if (fit && end <= sizes->letter['*']) return HFF_OK;
    return fail(HFF_E_CONFIG, "op %s: parts that are not side by side in its parameters",
                op_text(desc, text, sizeof text));
}

typedef hff_status (*attr_check)(const struct op_desc *desc, const struct sizes *sizes);

static const attr_check attr_checks[OP_KINDS] = {
    [OP_REORDERS] = check_reorders,
    [OP_CONV] = check_conv,
    [OP_CONV_DATA] = check_conv,
    [OP_CONV_WEIGHT] = check_conv,
    [OP_NORM] = check_norm,
    [OP_POOL] = check_pool,
    [OP_POOL_BACK] = check_pool,
    [OP_NORM_POOL] = check_norm_pool,
    [OP_NORM_POOL_EVAL] = check_norm_pool,
    [OP_NORM_POOL_BACK] = check_norm_pool,
    [OP_ACT_APOOL] = check_act_apool,
    [OP_ACT_APOOL_BACK] = check_act_apool,
    [OP_AUGMENT] = check_augment,
    [OP_HFF] = check_hff,
    [OP_HFF_EVAL] = check_hff,
    [OP_NEGATIVES] = check_negatives,
    [OP_OVERLAY] = check_overlay,
    [OP_COLUMNS] = check_columns,
    [OP_SPREAD] = check_spread,
    [OP_GOODNESS] = check_goodness,
    [OP_GOODNESS_EVAL] = check_goodness_eval,
    [OP_READOUT] = check_readout,
    [OP_ENERGY] = check_energy,
    [OP_ENERGY_BACK] = check_energy,
    [OP_DEVIATION] = check_deviation,
    [OP_DEVIATION_BACK] = check_deviation,
    [OP_CROSS_ENTROPY] = check_loss,
    [OP_SIMILARITY] = check_loss,
    [OP_ADAMW] = check_update,
    [OP_SGD] = check_update,
};

hff_status op_check(const struct op_desc *desc)
{
    const struct op_info *info = &op_table[desc->kind];
    struct sizes sizes = {
        .letter = {['M'] = METRICS, ['Y'] = HYPERS, ['N'] = NORMS, ['T'] = TICKS, ['1'] = 1}, .real = -1, .act = -1};
    for (int i = 0; i < info->args; i++) {
        if (desc->arg[i].rank == 0) {
            if (!(info->arg[i].access & ARG_OPTIONAL)) return bad_arg(desc, i, "is missing");
            continue;
        }
        TRY(check_dtype(desc, i, &sizes));
        TRY(check_shape(desc, i, &sizes));
    }
    char text[512];
    if (info->sliced && (desc->slices < 1 || sizes.letter['B'] % desc->slices != 0))
        return fail(HFF_E_CONFIG, "op %s: %d slices do not divide the batch", op_text(desc, text, sizeof text),
                    desc->slices);
    return attr_checks[desc->kind] ? attr_checks[desc->kind](desc, &sizes) : HFF_OK;
}
