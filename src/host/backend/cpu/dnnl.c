/* oneDNN v2 (Debian 12) and v3 behind one face. v3 made memory descriptions opaque and dropped the operation
 * descriptors: the two #if blocks are all that differs. */
#include "dnnl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As in omp.h, which not every compiler has beside the OpenMP runtime that oneDNN brings. */
extern void omp_set_num_threads(int threads);

hff_status dnnl_refused(dnnl_status_t status, const char *what)
{
    if (status == dnnl_success) return HFF_OK;
    if (status == dnnl_out_of_memory) return fail(HFF_E_MEMORY, "oneDNN has no memory for %s", what);
    if (status == dnnl_unimplemented || status == dnnl_invalid_arguments)
        return fail(HFF_E_CONFIG, "oneDNN has no %s for these shapes and layouts", what);
    return fail(HFF_E_INTERNAL, "oneDNN cannot make %s (its status %d)", what, (int)status);
}

#if DNNL_VERSION_MAJOR >= 3

static dnnl_status_t desc_by_tag(dnnl_memory_desc_t *out, dnnl_data_type_t type, int rank, const dnnl_dims_t dim,
                                 dnnl_format_tag_t tag)
{
    return dnnl_memory_desc_create_with_tag(out, rank, dim, type, tag);
}

static dnnl_status_t desc_by_strides(dnnl_memory_desc_t *out, dnnl_data_type_t type, int rank, const dnnl_dims_t dim,
                                     const dnnl_dims_t stride)
{
    return dnnl_memory_desc_create_with_strides(out, rank, dim, type, stride);
}

static dnnl_status_t desc_part(dnnl_memory_desc_t *out, layout_md whole, const dnnl_dims_t dim, const dnnl_dims_t at)
{
    return dnnl_memory_desc_create_submemory(out, whole, dim, at);
}

static dnnl_status_t desc_copy(dnnl_memory_desc_t *out, layout_md from)
{
    return dnnl_memory_desc_clone(out, from);
}

static int is_absent(const struct mem_layout *layout)
{
    return !layout->desc;
}

static void desc_dims(layout_md desc, dnnl_dims_t out)
{
    dnnl_dims_t *dims = NULL;
    if (dnnl_memory_desc_query(desc, dnnl_query_dims, &dims) == dnnl_success) memcpy(out, *dims, sizeof *dims);
}

void layout_free(struct mem_layout *layout)
{
    if (layout->desc) dnnl_memory_desc_destroy(layout->desc);
    layout->desc = NULL;
}

static dnnl_status_t append_sum(dnnl_post_ops_t sum)
{
    return dnnl_post_ops_append_sum(sum, 1.0f, 0, dnnl_data_type_undef);
}

static dnnl_status_t plan_matmul(struct primitive *p, layout_md a, layout_md b, layout_md c, dnnl_primitive_attr_t attr)
{
    return dnnl_matmul_primitive_desc_create(&p->desc, p->engine, a, b, NULL, c, attr);
}

static dnnl_status_t plan_conv(dnnl_primitive_desc_t *out, dnnl_engine_t engine, enum conv_pass pass,
                               const struct conv_layouts *l, dnnl_primitive_desc_t hint, dnnl_primitive_attr_t attr)
{
    const dnnl_dims_t stride = {l->stride, l->stride}, dilation = {0}, pad = {l->pad, l->pad};
    switch (pass) {
    case CONV_FORWARD:
        return dnnl_convolution_forward_primitive_desc_create(
            out, engine, dnnl_forward_training, dnnl_convolution_direct, l->x.desc, l->w.desc, l->bias.desc, l->y.desc,
            stride, dilation, pad, pad, attr);
    case CONV_DATA:
        return dnnl_convolution_backward_data_primitive_desc_create(out, engine, dnnl_convolution_direct, l->x.desc,
                                                                    l->w.desc, l->y.desc, stride, dilation, pad, pad,
                                                                    hint, attr);
    case CONV_WEIGHT:
        return dnnl_convolution_backward_weights_primitive_desc_create(out, engine, dnnl_convolution_direct, l->x.desc,
                                                                       l->dw.desc, l->bias.desc, l->y.desc, stride,
                                                                       dilation, pad, pad, hint, attr);
    }
    return dnnl_invalid_arguments;
}

#else

static dnnl_status_t desc_by_tag(dnnl_memory_desc_t *out, dnnl_data_type_t type, int rank, const dnnl_dims_t dim,
                                 dnnl_format_tag_t tag)
{
    return dnnl_memory_desc_init_by_tag(out, rank, dim, type, tag);
}

static dnnl_status_t desc_by_strides(dnnl_memory_desc_t *out, dnnl_data_type_t type, int rank, const dnnl_dims_t dim,
                                     const dnnl_dims_t stride)
{
    return dnnl_memory_desc_init_by_strides(out, rank, dim, type, stride);
}

static dnnl_status_t desc_part(dnnl_memory_desc_t *out, layout_md whole, const dnnl_dims_t dim, const dnnl_dims_t at)
{
    return dnnl_memory_desc_init_submemory(out, whole, dim, at);
}

static dnnl_status_t desc_copy(dnnl_memory_desc_t *out, layout_md from)
{
    *out = *from;
    return dnnl_success;
}

static int is_absent(const struct mem_layout *layout)
{
    return layout->desc.ndims == 0;
}

static void desc_dims(layout_md desc, dnnl_dims_t out)
{
    memcpy(out, desc->dims, sizeof desc->dims);
}

void layout_free(struct mem_layout *layout)
{
    (void)layout;
}

static dnnl_status_t append_sum(dnnl_post_ops_t sum)
{
    return dnnl_post_ops_append_sum(sum, 1.0f);
}

static dnnl_status_t plan_matmul(struct primitive *p, layout_md a, layout_md b, layout_md c, dnnl_primitive_attr_t attr)
{
    dnnl_matmul_desc_t desc;
    dnnl_status_t status = dnnl_matmul_desc_init(&desc, a, b, NULL, c);
    return status != dnnl_success ? status : dnnl_primitive_desc_create(&p->desc, &desc, attr, p->engine, NULL);
}

static dnnl_status_t plan_conv(dnnl_primitive_desc_t *out, dnnl_engine_t engine, enum conv_pass pass,
                               const struct conv_layouts *l, dnnl_primitive_desc_t hint, dnnl_primitive_attr_t attr)
{
    const dnnl_dims_t stride = {l->stride, l->stride}, pad = {l->pad, l->pad};
    const dnnl_memory_desc_t *bias = is_absent(&l->bias) ? NULL : &l->bias.desc;
    dnnl_convolution_desc_t desc;
    dnnl_status_t status = dnnl_invalid_arguments;
    switch (pass) {
    case CONV_FORWARD:
        status = dnnl_convolution_forward_desc_init(&desc, dnnl_forward_training, dnnl_convolution_direct, &l->x.desc,
                                                    &l->w.desc, bias, &l->y.desc, stride, pad, pad);
        break;
    case CONV_DATA:
        status = dnnl_convolution_backward_data_desc_init(&desc, dnnl_convolution_direct, &l->x.desc, &l->w.desc,
                                                          &l->y.desc, stride, pad, pad);
        break;
    case CONV_WEIGHT:
        status = dnnl_convolution_backward_weights_desc_init(&desc, dnnl_convolution_direct, &l->x.desc, &l->dw.desc,
                                                             bias, &l->y.desc, stride, pad, pad);
        break;
    }
    return status != dnnl_success ? status : dnnl_primitive_desc_create(out, &desc, attr, engine, hint);
}

#endif

void dnnl_single_thread(void)
{
    omp_set_num_threads(1);
}

static int has_isa(int wanted)
{
    return ((int)dnnl_get_effective_cpu_isa() & wanted) == wanted;
}

int dnnl_block(void)
{
    return has_isa(dnnl_cpu_isa_avx512_core) ? 16 : 8;
}

int dnnl_has_bf16(void)
{
    return has_isa(dnnl_cpu_isa_avx512_core_bf16);
}

const char *dnnl_isa(void)
{
    static const struct {
        int isa;
        const char *text;
    } rows[] = {{dnnl_cpu_isa_avx512_core_amx, "AMX"},
                {dnnl_cpu_isa_avx512_core_bf16, "AVX-512 BF16"},
                {dnnl_cpu_isa_avx512_core, "AVX-512"},
                {dnnl_cpu_isa_avx2, "AVX2"},
                {dnnl_cpu_isa_avx, "AVX"},
                {dnnl_cpu_isa_sse41, "SSE4.1"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (has_isa(rows[i].isa)) return rows[i].text;
    return "generic";
}

const char *dnnl_version_text(char *out, size_t size)
{
    const dnnl_version_t *version = dnnl_version();
    snprintf(out, size, "%d.%d.%d", version->major, version->minor, version->patch);
    return out;
}

static dnnl_data_type_t type_of(enum dtype dtype)
{
    return dtype == DTYPE_F32 ? dnnl_f32 : dtype == DTYPE_BF16 ? dnnl_bf16 : dnnl_data_type_undef;
}

hff_status layout_of(struct mem_layout *out, const struct tensor *t)
{
    static const dnnl_format_tag_t plain[] = {0, dnnl_a, dnnl_ab, dnnl_abc, dnnl_abcd};
    dnnl_format_tag_t tag = dnnl_format_tag_undef;
    switch (t->layout) {
    case LAYOUT_PLAIN: tag = plain[t->rank]; break;
    case LAYOUT_BLOCKED: tag = t->block == 16 ? dnnl_aBcd16b : t->block == 8 ? dnnl_aBcd8b : tag; break;
    case LAYOUT_CHANNELS_LAST: return fail(HFF_E_CONFIG, "the cpu backend does not lay channels last");
    case LAYOUT_ANY: tag = dnnl_format_tag_any; break;
    case LAYOUT_OPAQUE: return dnnl_refused(desc_copy(&out->desc, md(t->opaque)), "copy of a layout");
    }
    if (tag == dnnl_format_tag_undef)
        return fail(HFF_E_CONFIG, "the cpu backend has no blocks of %d channels", t->block);
    dnnl_dims_t dim = {0};
    memcpy(dim, t->dim, sizeof t->dim);
    return dnnl_refused(desc_by_tag(&out->desc, type_of(t->dtype), t->rank, dim, tag), "layout");
}

hff_status layout_strided(struct mem_layout *out, enum dtype dtype, int rank, const int64_t *dim, const int64_t *stride)
{
    dnnl_dims_t dims = {0}, strides = {0};
    memcpy(dims, dim, (size_t)rank * sizeof *dim);
    memcpy(strides, stride, (size_t)rank * sizeof *stride);
    return dnnl_refused(desc_by_strides(&out->desc, type_of(dtype), rank, dims, strides), "layout with strides");
}

hff_status layout_rows(struct mem_layout *out, const struct mem_layout *whole, int64_t first, int64_t rows)
{
    dnnl_dims_t dim = {0}, at = {first};
    desc_dims(md(whole), dim);
    dim[0] = rows;
    return dnnl_refused(desc_part(&out->desc, md(whole), dim, at), "part of a layout");
}

int64_t layout_first(const struct mem_layout *layout)
{
    dnnl_dims_t dim = {0};
    desc_dims(md(layout), dim);
    return dim[0];
}

int layout_same(const struct mem_layout *a, const struct mem_layout *b)
{
    return dnnl_memory_desc_equal(md(a), md(b));
}

hff_status layout_choose(struct cpu_backend *backend, layout_md chosen, struct tensor *tensor)
{
    struct tensor plain = tensor_plain(tensor->dtype, tensor->rank, tensor->dim);
    struct mem_layout layout = {0};
    TRY(layout_of(&layout, &plain));
    int is_plain = dnnl_memory_desc_equal(md(&layout), chosen);
    layout_free(&layout);
    *tensor = plain;
    if (is_plain) return HFF_OK;
    struct mem_layout *known = backend->layouts;
    while (known && !dnnl_memory_desc_equal(md(known), chosen)) known = known->next;
    if (!known) {
        known = calloc(1, sizeof *known);
        if (!known) return fail(HFF_E_MEMORY, "no memory for a layout");
        hff_status status = dnnl_refused(desc_copy(&known->desc, chosen), "copy of a layout");
        if (status != HFF_OK) {
            free(known);
            return status;
        }
        known->next = backend->layouts;
        backend->layouts = known;
    }
    tensor->layout = LAYOUT_OPAQUE;
    tensor->opaque = known;
    tensor->opaque_bytes = dnnl_memory_desc_get_size(md(known));
    return HFF_OK;
}

void layouts_free(struct cpu_backend *backend)
{
    for (struct mem_layout *layout = backend->layouts, *next; layout; layout = next) {
        next = layout->next;
        layout_free(layout);
        free(layout);
    }
}

/* An engine, and attributes that leave scratch memory to the caller. */
static hff_status start(struct primitive *out, dnnl_primitive_attr_t *attr)
{
    *out = (struct primitive){0};
    TRY(dnnl_refused(dnnl_engine_create(&out->engine, dnnl_cpu, 0), "engine"));
    dnnl_status_t status = dnnl_primitive_attr_create(attr);
    if (status == dnnl_success) status = dnnl_primitive_attr_set_scratchpad_mode(*attr, dnnl_scratchpad_mode_user);
    return dnnl_refused(status, "attributes");
}

static hff_status end(struct primitive *out, dnnl_primitive_attr_t attr, hff_status status)
{
    if (attr) dnnl_primitive_attr_destroy(attr);
    if (status != HFF_OK) primitive_free(out);
    return status;
}

static hff_status add_to_result(dnnl_primitive_attr_t attr)
{
    dnnl_post_ops_t sum = NULL;
    dnnl_status_t status = dnnl_post_ops_create(&sum);
    if (status == dnnl_success) status = append_sum(sum);
    if (status == dnnl_success) status = dnnl_primitive_attr_set_post_ops(attr, sum);
    if (sum) dnnl_post_ops_destroy(sum);
    return dnnl_refused(status, "sum");
}

hff_status primitive_matmul(struct primitive *out, const struct mem_layout *a, const struct mem_layout *b,
                            const struct mem_layout *c, int accumulate, int places)
{
    dnnl_primitive_attr_t attr = NULL;
    hff_status status = start(out, &attr);
    if (status == HFF_OK && accumulate) status = add_to_result(attr);
    if (status == HFF_OK) status = dnnl_refused(plan_matmul(out, md(a), md(b), md(c), attr), "product");
    status = end(out, attr, status);
    if (status != HFF_OK) return status;
    out->args = 3;
    memcpy(out->name, (int[]){DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST}, 3 * sizeof(int));
    return primitive_finish(out, places);
}

hff_status primitive_reorder(struct primitive *out, const struct mem_layout *from, const struct mem_layout *to,
                             int places)
{
    dnnl_primitive_attr_t attr = NULL;
    hff_status status = start(out, &attr);
    if (status == HFF_OK)
        status = dnnl_refused(
            dnnl_reorder_primitive_desc_create(&out->desc, md(from), out->engine, md(to), out->engine, attr),
            "reorder");
    status = end(out, attr, status);
    if (status != HFF_OK) return status;
    out->args = 2;
    memcpy(out->name, (int[]){DNNL_ARG_FROM, DNNL_ARG_TO}, 2 * sizeof(int));
    return primitive_finish(out, places);
}

hff_status primitive_plan_conv(struct primitive *out, enum conv_pass pass, const struct conv_layouts *layouts)
{
    static const int names[][PRIMITIVE_ARGS] = {
        [CONV_FORWARD] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST, DNNL_ARG_BIAS},
        [CONV_DATA] = {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST},
        [CONV_WEIGHT] = {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST, DNNL_ARG_DIFF_BIAS},
    };
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t forward = NULL; /* the backward passes want to see it; it leaves no trace in them */
    hff_status status = start(out, &attr);
    if (status == HFF_OK && pass != CONV_FORWARD)
        status = dnnl_refused(plan_conv(&forward, out->engine, CONV_FORWARD, layouts, NULL, attr), "convolution");
    if (status == HFF_OK)
        status = dnnl_refused(plan_conv(&out->desc, out->engine, pass, layouts, forward, attr), "convolution");
    if (forward) dnnl_primitive_desc_destroy(forward);
    memcpy(out->name, names[pass], sizeof out->name);
    out->args = pass != CONV_DATA && !is_absent(&layouts->bias) ? 4 : 3;
    return end(out, attr, status);
}
