/* oneDNN as this folder uses it, the same for v2 and v3 of its API: memory layouts, and primitives that are made for
 * one thread and run by several at a time. dnnl.c is the only file that knows the versions apart. */
#ifndef HFF_BACKEND_CPU_DNNL_H
#define HFF_BACKEND_CPU_DNNL_H

#include "cpu.h"

#include <oneapi/dnnl/dnnl.h>

/* A memory description. v2 keeps it by value, v3 behind a pointer; md() gives what oneDNN's functions take. */
struct mem_layout {
    dnnl_memory_desc_t desc;
    struct mem_layout *next; /* of a backend's list */
};
#if DNNL_VERSION_MAJOR >= 3
typedef const_dnnl_memory_desc_t layout_md;
static inline layout_md md(const struct mem_layout *layout)
{
    return layout->desc;
}
#else
typedef const dnnl_memory_desc_t *layout_md;
static inline layout_md md(const struct mem_layout *layout)
{
    return &layout->desc;
}
#endif

/* HFF_OK for success; else fails naming what oneDNN could not make: what it lacks is a matter of what was asked. */
hff_status dnnl_refused(dnnl_status_t status, const char *what);

/* The layout of a tensor; LAYOUT_ANY becomes oneDNN's free choice. HFF_E_CONFIG when oneDNN cannot say it. Who gets a
 * layout frees it with layout_free (a zeroed one too). */
hff_status layout_of(struct mem_layout *out, const struct tensor *tensor);
hff_status layout_strided(struct mem_layout *out, enum dtype dtype, int rank, const int64_t *dim,
                          const int64_t *stride);
/* Rows [first, first + rows) of dimension 0; HFF_E_CONFIG where blocks forbid it. */
hff_status layout_rows(struct mem_layout *out, const struct mem_layout *whole, int64_t first, int64_t rows);
int64_t layout_first(const struct mem_layout *layout); /* dimension 0 */
int layout_same(const struct mem_layout *a, const struct mem_layout *b);
void layout_free(struct mem_layout *layout);
/* Makes tensor (its shape is kept) say that it lies as a primitive chose: LAYOUT_PLAIN where that is plain, else
 * LAYOUT_OPAQUE with a description that lives as long as the backend and is the same pointer for equal layouts. */
hff_status layout_choose(struct cpu_backend *backend, layout_md chosen, struct tensor *tensor);
void layouts_free(struct cpu_backend *backend);

enum { PRIMITIVE_ARGS = 4 };

/* A primitive, and what each thread needs of its own to run it beside the others: a stream and memory handles. */
struct primitive_place;
struct primitive {
    dnnl_engine_t engine;
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t handle;        /* NULL: there is none */
    int args, name[PRIMITIVE_ARGS]; /* DNNL_ARG_..., in the order of primitive_run's data */
    size_t scratch;                 /* bytes of scratch a run needs, a multiple of 64 */
    int places;
    struct primitive_place *place;
};

/* The creators: places is the number of threads that may run it at a time. After an error there is nothing to free. */

/* a (m, k), b (k, n), c (m, n). Arguments of a run: a, b, c. */
hff_status primitive_matmul(struct primitive *out, const struct mem_layout *a, const struct mem_layout *b,
                            const struct mem_layout *c, int accumulate, int places);
/* Arguments of a run: from, to. */
hff_status primitive_reorder(struct primitive *out, const struct mem_layout *from, const struct mem_layout *to,
                             int places);

enum conv_pass { CONV_FORWARD, CONV_DATA, CONV_WEIGHT };
struct conv_layouts {
    struct mem_layout x, w, bias, y; /* w: free choice; bias: zeroed where there is none */
    struct mem_layout dw;            /* of CONV_WEIGHT: free choice, f32 also where the others are bf16 */
    int kernel, stride, pad;
};
/* Only plans; primitive_finish makes it runnable, primitive_free drops it. Arguments of a run: x, w, y, bias?. */
hff_status primitive_plan_conv(struct primitive *out, enum conv_pass pass, const struct conv_layouts *layouts);
hff_status primitive_finish(struct primitive *primitive, int places);
/* Whether oneDNN has only its plain loops for it. */
int primitive_is_slow(const struct primitive *primitive);
/* The layout of the weights that a planned convolution chose. */
layout_md primitive_weights(const struct primitive *primitive);

/* place: 0 .. places - 1, used by one thread at a time. 0 when oneDNN refuses (it had no memory for something of its
 * own). */
int primitive_run(const struct primitive *primitive, int place, void *const *data, void *scratch);
void primitive_free(struct primitive *primitive);

/* Channels of a block that oneDNN's convolutions want here, and the instruction set in words. */
int dnnl_block(void);
const char *dnnl_isa(void);
/* Whether the processor multiplies bf16; oneDNN would also imitate it, slower than f32. */
int dnnl_has_bf16(void);
const char *dnnl_version_text(char *out, size_t size);

#endif
