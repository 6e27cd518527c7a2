/* One primitive over the whole batch, in several layouts, with oneDNN v2 and v3. */
#include "rival.h"

#include "base/philox.h"

#include <string.h>

extern void omp_set_num_threads(int threads);

enum primitive_kind { CONVOLUTION, INNER_PRODUCT, MATMUL };
enum freedom {
    FREE,      /* oneDNN chooses every layout */
    AS_HFF,    /* activations as hff has them, oneDNN chooses the weights' */
    THE_OTHER, /* convolutions: channels last; products: everything plain, weights too */
};
static const struct way {
    enum primitive_kind kind;
    enum freedom freedom;
    const char *name;
} ways[] = {
    {CONVOLUTION, FREE, "conv, any"},
    {CONVOLUTION, AS_HFF, "conv, as hff"},
    {CONVOLUTION, THE_OTHER, "conv, channels last"},
    {INNER_PRODUCT, FREE, "inner product, any"},
    {INNER_PRODUCT, AS_HFF, "inner product, any w"},
    {INNER_PRODUCT, THE_OTHER, "inner product, plain"},
    {MATMUL, FREE, "matmul, any"},
    {MATMUL, AS_HFF, "matmul, any w"},
    {MATMUL, THE_OTHER, "matmul, plain"},
};

/* Where an op has its arguments, and which pass it is. */
static const struct shape_of {
    int is_conv;
    enum conv_pass pass;
    int x, w, bias, y;
} shapes[] = {
    [OP_LINEAR] = {0, CONV_FORWARD, 0, 1, 2, 3},       [OP_LINEAR_DATA] = {0, CONV_DATA, 2, 1, -1, 0},
    [OP_LINEAR_WEIGHT] = {0, CONV_WEIGHT, 0, 2, 3, 1}, [OP_CONV] = {1, CONV_FORWARD, 0, 1, 2, 3},
    [OP_CONV_DATA] = {1, CONV_DATA, 2, 1, -1, 0},      [OP_CONV_WEIGHT] = {1, CONV_WEIGHT, 0, 2, 3, 1},
};

#if DNNL_VERSION_MAJOR >= 3

static int is_there(const struct mem_layout *layout)
{
    return layout->desc != NULL;
}

static dnnl_status_t plan_matmul(struct primitive *p, layout_md a, layout_md b, layout_md bias, layout_md c,
                                 dnnl_primitive_attr_t attr)
{
    return dnnl_matmul_primitive_desc_create(&p->desc, p->engine, a, b, bias, c, attr);
}

static dnnl_status_t plan_inner(dnnl_primitive_desc_t *out, dnnl_engine_t engine, enum conv_pass pass,
                                const struct conv_layouts *l, layout_md bias, dnnl_primitive_desc_t hint,
                                dnnl_primitive_attr_t attr)
{
    switch (pass) {
    case CONV_FORWARD:
        return dnnl_inner_product_forward_primitive_desc_create(out, engine, dnnl_forward_training, md(&l->x),
                                                                md(&l->w), bias, md(&l->y), attr);
    case CONV_DATA:
        return dnnl_inner_product_backward_data_primitive_desc_create(out, engine, md(&l->x), md(&l->w), md(&l->y),
                                                                      hint, attr);
    case CONV_WEIGHT:
        return dnnl_inner_product_backward_weights_primitive_desc_create(out, engine, md(&l->x), md(&l->w), bias,
                                                                         md(&l->y), hint, attr);
    }
    return dnnl_invalid_arguments;
}

#else

static int is_there(const struct mem_layout *layout)
{
    return layout->desc.ndims != 0;
}

static dnnl_status_t plan_matmul(struct primitive *p, layout_md a, layout_md b, layout_md bias, layout_md c,
                                 dnnl_primitive_attr_t attr)
{
    dnnl_matmul_desc_t desc;
    dnnl_status_t status = dnnl_matmul_desc_init(&desc, a, b, bias, c);
    return status != dnnl_success ? status : dnnl_primitive_desc_create(&p->desc, &desc, attr, p->engine, NULL);
}

static dnnl_status_t plan_inner(dnnl_primitive_desc_t *out, dnnl_engine_t engine, enum conv_pass pass,
                                const struct conv_layouts *l, layout_md bias, dnnl_primitive_desc_t hint,
                                dnnl_primitive_attr_t attr)
{
    dnnl_inner_product_desc_t desc;
    dnnl_status_t status = dnnl_invalid_arguments;
    switch (pass) {
    case CONV_FORWARD:
        status =
            dnnl_inner_product_forward_desc_init(&desc, dnnl_forward_training, md(&l->x), md(&l->w), bias, md(&l->y));
        break;
    case CONV_DATA: status = dnnl_inner_product_backward_data_desc_init(&desc, md(&l->x), md(&l->w), md(&l->y)); break;
    case CONV_WEIGHT:
        status = dnnl_inner_product_backward_weights_desc_init(&desc, md(&l->x), md(&l->w), bias, md(&l->y));
        break;
    }
    return status != dnnl_success ? status : dnnl_primitive_desc_create(out, &desc, attr, engine, hint);
}

#endif

void fill_random(void *memory, size_t floats)
{
    struct rng rng;
    float *out = memory;
    rng_open(&rng, 1, RNG_TEST, floats, 0);
    for (size_t i = 0; i < floats; i++) out[i] = rng_uniform(&rng) - 0.5f;
}

/* An engine, and attributes that leave scratch memory to the caller, as hff's own. */
static hff_status start(struct primitive *p, dnnl_primitive_attr_t *attr)
{
    dnnl_status_t status = dnnl_engine_create(&p->engine, dnnl_cpu, 0);
    if (status == dnnl_success) status = dnnl_primitive_attr_create(attr);
    if (status == dnnl_success) status = dnnl_primitive_attr_set_scratchpad_mode(*attr, dnnl_scratchpad_mode_user);
    return dnnl_refused(status, "attributes");
}

static hff_status plan_product(struct primitive *p, const struct conv_layouts *l)
{
    dnnl_primitive_attr_t attr = NULL;
    layout_md bias = is_there(&l->bias) ? md(&l->bias) : NULL;
    hff_status status = start(p, &attr);
    if (status == HFF_OK) status = dnnl_refused(plan_matmul(p, md(&l->x), md(&l->w), bias, md(&l->y), attr), "product");
    if (attr) dnnl_primitive_attr_destroy(attr);
    p->args = bias ? 4 : 3;
    memcpy(p->name, (int[]){DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST, DNNL_ARG_BIAS}, sizeof p->name);
    return status;
}

static hff_status plan_inner_product(struct primitive *p, enum conv_pass pass, const struct conv_layouts *l)
{
    static const int names[][PRIMITIVE_ARGS] = {
        [CONV_FORWARD] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST, DNNL_ARG_BIAS},
        [CONV_DATA] = {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST},
        [CONV_WEIGHT] = {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST, DNNL_ARG_DIFF_BIAS},
    };
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t forward = NULL; /* the backward passes want to see it */
    layout_md bias = is_there(&l->bias) ? md(&l->bias) : NULL;
    hff_status status = start(p, &attr);
    if (status == HFF_OK && pass != CONV_FORWARD)
        status = dnnl_refused(plan_inner(&forward, p->engine, CONV_FORWARD, l, bias, NULL, attr), "inner product");
    if (status == HFF_OK)
        status = dnnl_refused(plan_inner(&p->desc, p->engine, pass, l, bias, forward, attr), "inner product");
    if (forward) dnnl_primitive_desc_destroy(forward);
    if (attr) dnnl_primitive_attr_destroy(attr);
    p->args = bias ? 4 : 3;
    memcpy(p->name, names[pass], sizeof p->name);
    return status;
}

/* A matrix (rows, columns) in memory: as it is, transposed, or as oneDNN likes. */
static hff_status matrix(struct mem_layout *out, int64_t rows, int64_t columns, int transposed, int is_free)
{
    const int64_t dim[] = {rows, columns}, stride[] = {transposed ? 1 : columns, transposed ? rows : 1};
    struct tensor any = tensor_make2(DTYPE_F32, rows, columns);
    any.layout = LAYOUT_ANY;
    return is_free ? layout_of(out, &any) : layout_strided(out, DTYPE_F32, 2, dim, stride);
}

static void conv_layouts_free(struct conv_layouts *l)
{
    layout_free(&l->x);
    layout_free(&l->w);
    layout_free(&l->dw);
    layout_free(&l->y);
    layout_free(&l->bias);
}

/* y = x w^T + bias, dx = dy w or dw = dy^T x, and then dbias = 1 dy. b: batch, i: inputs, o: outputs. */
static hff_status make_matmul(struct rival *rival, const struct op_desc *desc, const struct shape_of *at,
                              enum freedom freedom)
{
    int64_t b = desc->arg[at->x].dim[0], i = desc->arg[at->w].dim[1], o = desc->arg[at->w].dim[0];
    int has_bias = at->bias >= 0 && desc->arg[at->bias].rank, all = freedom == FREE, some = freedom != THE_OTHER;
    struct conv_layouts l = {0};
    hff_status status = HFF_OK;
    switch (at->pass) {
    case CONV_FORWARD:
        status = matrix(&l.x, b, i, 0, all);
        if (status == HFF_OK) status = matrix(&l.w, i, o, 1, some);
        if (status == HFF_OK) status = matrix(&l.y, b, o, 0, all);
        if (status == HFF_OK && has_bias) status = matrix(&l.bias, 1, o, 0, 0);
        break;
    case CONV_DATA:
        status = matrix(&l.x, b, o, 0, all);
        if (status == HFF_OK) status = matrix(&l.w, o, i, 0, some);
        if (status == HFF_OK) status = matrix(&l.y, b, i, 0, all);
        break;
    case CONV_WEIGHT:
        status = matrix(&l.x, o, b, 1, all);
        if (status == HFF_OK) status = matrix(&l.w, b, i, 0, all);
        if (status == HFF_OK) status = matrix(&l.y, o, i, 0, some);
        break;
    }
    if (status == HFF_OK) status = plan_product(&rival->step[0], &l);
    conv_layouts_free(&l);
    rival->steps = 1;
    if (status != HFF_OK || at->pass != CONV_WEIGHT || !has_bias) return status;
    l = (struct conv_layouts){0};
    status = matrix(&l.x, 1, b, 0, 0);
    if (status == HFF_OK) status = matrix(&l.w, b, o, 0, 0);
    if (status == HFF_OK) status = matrix(&l.y, 1, o, 0, 0);
    rival->steps = 2;
    if (status == HFF_OK) status = plan_product(&rival->step[1], &l);
    conv_layouts_free(&l);
    return status;
}

static hff_status activation(struct mem_layout *out, const struct tensor *t, enum freedom freedom)
{
    struct tensor other = *t;
    if (freedom == FREE) other.layout = LAYOUT_ANY;
    if (freedom == AS_HFF || freedom == FREE) return layout_of(out, &other);
    if (t->rank == 2) return matrix(out, t->dim[0], t->dim[1], 0, 0);
    int64_t c = t->dim[1], h = t->dim[2], w = t->dim[3];
    return layout_strided(out, DTYPE_F32, 4, t->dim, (const int64_t[]){h * w * c, 1, w * c, c});
}

static hff_status make_other(struct rival *rival, const struct op_desc *desc, const struct shape_of *at,
                             const struct way *way)
{
    struct conv_layouts l = {0};
    struct tensor w = desc->arg[at->w];
    w.layout = way->kind == INNER_PRODUCT && way->freedom == THE_OTHER ? LAYOUT_PLAIN : LAYOUT_ANY;
    hff_status status = activation(&l.x, &desc->arg[at->x], way->freedom);
    if (status == HFF_OK) status = activation(&l.y, &desc->arg[at->y], way->freedom);
    if (status == HFF_OK) status = layout_of(&l.w, &w);
    if (status == HFF_OK && at->pass == CONV_WEIGHT) status = layout_of(&l.dw, &w);
    if (status == HFF_OK && at->bias >= 0 && desc->arg[at->bias].rank)
        status = layout_of(&l.bias, &desc->arg[at->bias]);
    if (at->is_conv) {
        l.kernel = desc->attr.conv.kernel;
        l.stride = desc->attr.conv.stride;
        l.pad = desc->attr.conv.pad;
    }
    if (status == HFF_OK)
        status = at->is_conv ? primitive_plan_conv(&rival->step[0], at->pass, &l)
                             : plan_inner_product(&rival->step[0], at->pass, &l);
    conv_layouts_free(&l);
    rival->steps = 1;
    return status;
}

static size_t argument_bytes(const struct primitive *p, int argument)
{
    size_t bytes =
        dnnl_memory_desc_get_size(dnnl_primitive_desc_query_md(p->desc, dnnl_query_exec_arg_md, p->name[argument]));
    return (bytes + 63) / 64 * 64;
}

/* All arguments side by side in one block, as in hff's arenas. */
static hff_status give_memory(struct rival *rival, struct backend *backend)
{
    size_t bytes = 0, scratch = 0;
    for (int s = 0; s < rival->steps; s++) {
        for (int a = 0; a < rival->step[s].args; a++) bytes += argument_bytes(&rival->step[s], a);
        scratch += rival->step[s].scratch;
    }
    TRY(backend->api->alloc(backend, bytes + scratch, &rival->memory));
    fill_random(rival->memory, bytes / sizeof(float));
    char *at = rival->memory;
    for (int s = 0; s < rival->steps; s++)
        for (int a = 0; a < rival->step[s].args; a++) {
            rival->data[s][a] = at;
            at += argument_bytes(&rival->step[s], a);
        }
    for (int s = 0; s < rival->steps; s++) {
        rival->scratch[s] = at;
        at += rival->step[s].scratch;
    }
    return HFF_OK;
}

static hff_status rival_open(struct rival *rival, struct backend *backend, const struct op_desc *desc,
                             const struct way *way)
{
    const struct shape_of *at = &shapes[desc->kind];
    TRY(way->kind == MATMUL ? make_matmul(rival, desc, at, way->freedom) : make_other(rival, desc, at, way));
    for (int s = 0; s < rival->steps; s++) {
        if (primitive_is_slow(&rival->step[s])) return fail(HFF_E_CONFIG, "oneDNN has only its plain loops for it");
        TRY(primitive_finish(&rival->step[s], 1));
    }
    return give_memory(rival, backend);
}

hff_status rivals_open(struct rival out[RIVALS], int *count, struct backend *backend, const struct op_desc *desc,
                       int threads)
{
    *count = 0;
    omp_set_num_threads(threads);
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        if ((ways[i].kind == CONVOLUTION) != shapes[desc->kind].is_conv) continue;
        struct rival *rival = &out[*count];
        *rival = (struct rival){.way = ways[i].name, .threads = threads};
        hff_status status = rival_open(rival, backend, desc, &ways[i]);
        if (status != HFF_OK) rivals_close(rival, 1, backend);
        if (status != HFF_OK && status != HFF_E_CONFIG) return status;
        if (status == HFF_OK) (*count)++;
    }
    return *count ? HFF_OK : fail(HFF_E_CONFIG, "oneDNN has nothing to compare %s with", op_table[desc->kind].name);
}

void rival_run(const struct rival *rival)
{
    omp_set_num_threads(rival->threads);
    for (int s = 0; s < rival->steps; s++) primitive_run(&rival->step[s], 0, rival->data[s], rival->scratch[s]);
}

void rivals_close(struct rival *rivals, int count, struct backend *backend)
{
    for (int i = 0; i < count; i++) {
        for (int s = 0; s < RIVAL_STEPS; s++) primitive_free(&rivals[i].step[s]);
        if (rivals[i].memory) backend->api->free(backend, rivals[i].memory);
        rivals[i] = (struct rival){0};
    }
}
