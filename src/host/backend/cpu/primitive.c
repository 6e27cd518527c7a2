/* Primitives: making a planned one runnable, running it in one of several threads. */
#include "dnnl.h"

#include <stdlib.h>
#include <string.h>

enum { SCRATCH_ALIGN = 64 };

struct primitive_place {
    _Alignas(64) dnnl_stream_t stream; /* places of different threads share no cache line */
    dnnl_memory_t memory[PRIMITIVE_ARGS + 1];
    dnnl_exec_arg_t arg[PRIMITIVE_ARGS + 1];
};

/* What to ask a primitive about each argument. */
static dnnl_query_t query_of(int name)
{
    static const struct {
        int name;
        dnnl_query_t query;
    } rows[] = {
        {DNNL_ARG_SRC, dnnl_query_src_md},
        {DNNL_ARG_DST, dnnl_query_dst_md},
        {DNNL_ARG_WEIGHTS, dnnl_query_weights_md},
        {DNNL_ARG_DIFF_SRC, dnnl_query_diff_src_md},
        {DNNL_ARG_DIFF_DST, dnnl_query_diff_dst_md},
        {DNNL_ARG_DIFF_WEIGHTS, dnnl_query_diff_weights_md},
        {DNNL_ARG_SCRATCHPAD, dnnl_query_scratchpad_md},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].name == name) return rows[i].query;
    return dnnl_query_undef;
}

/* A bias is the second of the weights. */
static layout_md layout_of_argument(const struct primitive *p, int name)
{
    if (name == DNNL_ARG_BIAS) return dnnl_primitive_desc_query_md(p->desc, dnnl_query_weights_md, 1);
    if (name == DNNL_ARG_DIFF_BIAS) return dnnl_primitive_desc_query_md(p->desc, dnnl_query_diff_weights_md, 1);
    return dnnl_primitive_desc_query_md(p->desc, query_of(name), 0);
}

static dnnl_status_t fill_place(const struct primitive *p, struct primitive_place *place)
{
    dnnl_status_t status = dnnl_stream_create(&place->stream, p->engine, dnnl_stream_default_flags);
    for (int i = 0; i <= p->args && status == dnnl_success; i++) {
        int name = i < p->args ? p->name[i] : DNNL_ARG_SCRATCHPAD;
        status = dnnl_memory_create(&place->memory[i], layout_of_argument(p, name), p->engine, DNNL_MEMORY_NONE);
        place->arg[i] = (dnnl_exec_arg_t){.arg = name, .memory = place->memory[i]};
    }
    return status;
}

hff_status primitive_finish(struct primitive *p, int places)
{
    size_t scratch = dnnl_memory_desc_get_size(layout_of_argument(p, DNNL_ARG_SCRATCHPAD));
    p->scratch = (scratch + SCRATCH_ALIGN - 1) / SCRATCH_ALIGN * SCRATCH_ALIGN;
    p->place = aligned_alloc(_Alignof(struct primitive_place), (size_t)places * sizeof *p->place);
    dnnl_status_t status = p->place ? dnnl_primitive_create(&p->handle, p->desc) : dnnl_out_of_memory;
    if (p->place) {
        memset(p->place, 0, (size_t)places * sizeof *p->place);
        p->places = places;
    }
    for (int i = 0; i < places && status == dnnl_success; i++) status = fill_place(p, &p->place[i]);
    if (status == dnnl_success) return HFF_OK;
    primitive_free(p);
    return dnnl_refused(status, "primitive");
}

int primitive_run(const struct primitive *p, int at, void *const *data, void *scratch)
{
    const struct primitive_place *place = &p->place[at];
    dnnl_status_t status = dnnl_memory_set_data_handle(place->memory[p->args], scratch);
    for (int i = 0; i < p->args && status == dnnl_success; i++)
        status = dnnl_memory_set_data_handle(place->memory[i], data[i]);
    if (status == dnnl_success) status = dnnl_primitive_execute(p->handle, place->stream, p->args + 1, place->arg);
    if (status == dnnl_success) status = dnnl_stream_wait(place->stream);
    return status == dnnl_success;
}

int primitive_is_slow(const struct primitive *p)
{
    const char *name = "";
    dnnl_primitive_desc_query(p->desc, dnnl_query_impl_info_str, 0, (void *)&name);
    return strncmp(name, "ref", 3) == 0;
}

layout_md primitive_weights(const struct primitive *p)
{
    return layout_of_argument(p, p->name[1]);
}

void primitive_free(struct primitive *p)
{
    for (int i = 0; i < p->places; i++) {
        for (int k = 0; k <= p->args; k++)
            if (p->place[i].memory[k]) dnnl_memory_destroy(p->place[i].memory[k]);
        if (p->place[i].stream) dnnl_stream_destroy(p->place[i].stream);
    }
    free(p->place);
    if (p->handle) dnnl_primitive_destroy(p->handle);
    if (p->desc) dnnl_primitive_desc_destroy(p->desc);
    if (p->engine) dnnl_engine_destroy(p->engine);
    *p = (struct primitive){0};
}
