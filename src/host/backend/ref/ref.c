/* The reference backend: memory, streams that do everything at once, and running the ops of f32.c and f64.c. */
#include "ref.h"

#include "../augment.h"
#include "../backend.h"
#include "../synchronous.h"

#include <stdlib.h>
#include <string.h>

struct ref_op {
    struct op op;
    ref_run run;
};

struct ref_stream {
    struct backend *backend;
};

size_t ref_work(const struct op_desc *desc)
{
    if (desc->kind == OP_NEGATIVES) return (size_t)desc->attr.negatives.classes;
    if (desc->kind == OP_CROSS_ENTROPY || desc->kind == OP_CROSS_ENTROPY_EVAL) return (size_t)(2 * desc->arg[0].dim[1]);
    if (desc->kind == OP_SIMILARITY)
        return (size_t)(tensor_count(&desc->arg[0]) + desc->arg[0].dim[0] + desc->arg[0].dim[1]);
    if (desc->kind == OP_AUGMENT)
        return augment_scratch(desc) / sizeof(double) + (size_t)(tensor_row(&desc->arg[6]) + 1) / 2;
    if (desc->kind == OP_NORM_POOL || desc->kind == OP_NORM_POOL_EVAL || desc->kind == OP_NORM_POOL_BACK)
        return (size_t)tensor_count(&desc->arg[0]);
    if (desc->kind != OP_HFF && desc->kind != OP_HFF_EVAL) return 0;
    const struct tensor *p = &desc->arg[1];
    int64_t rows = p->dim[0] * p->dim[1];
    return (size_t)(2 * p->dim[2] + 2 * rows + 2 * p->dim[0] + rows * p->dim[2]);
}

static hff_status ref_available(void)
{
    return HFF_OK;
}

static hff_status ref_open(struct backend **out, int threads)
{
    (void)threads;
    struct backend *backend = calloc(1, sizeof *backend);
    if (!backend) return fail(HFF_E_MEMORY, "no memory for the ref backend");
    *backend = (struct backend){&backend_ref, 1};
    *out = backend;
    return HFF_OK;
}

static void ref_close(struct backend *backend)
{
    free(backend);
}

static const char *ref_describe(struct backend *backend)
{
    (void)backend;
    return "1 thread, plain C, f32 and f64";
}

static hff_status ref_alloc(struct backend *backend, size_t bytes, void **out)
{
    (void)backend;
    *out = NULL;
    if (bytes <= SIZE_MAX - 64) *out = aligned_alloc(64, bytes / 64 * 64 + 64);
    if (!*out) return fail(HFF_E_MEMORY, "no memory for %zu bytes; use a smaller batch or net", bytes);
    memset(*out, 0, bytes);
    return HFF_OK;
}

static void ref_free(struct backend *backend, void *memory)
{
    (void)backend;
    free(memory);
}

static int ref_computes(struct backend *backend, enum dtype dtype)
{
    (void)backend;
    return dtype == DTYPE_F32 || dtype == DTYPE_F64;
}

static struct tensor ref_activation(struct backend *backend, enum dtype dtype, int rank, const int64_t *dim)
{
    (void)backend;
    return tensor_plain(dtype, rank, dim);
}

static hff_status ref_op_create(struct backend *backend, const struct op_desc *desc, struct op **out)
{
    char text[512];
    *out = NULL;
    TRY(op_check(desc));
    struct ref_op *op = calloc(1, sizeof *op);
    if (!op) return fail(HFF_E_MEMORY, "no memory for op %s", op_table[desc->kind].name);
    op->op = (struct op){backend, *desc};
    op->run = ref_f32[desc->kind];
    for (int i = 0; i < op_table[desc->kind].args; i++) {
        struct tensor *t = &op->op.desc.arg[i];
        if (t->layout == LAYOUT_ANY) t->layout = LAYOUT_PLAIN;
        if (t->layout != LAYOUT_PLAIN) {
            free(op);
            return fail(HFF_E_CONFIG, "op %s: the ref backend knows plain layouts only",
                        op_text(desc, text, sizeof text));
        }
        if (t->dtype == DTYPE_BF16) {
            free(op);
            return fail(HFF_E_CONFIG, "op %s: the ref backend does not know bf16", op_text(desc, text, sizeof text));
        }
        if (op_table[desc->kind].arg[i].dtype < 0 && t->rank > 0 && t->dtype == DTYPE_F64)
            op->run = ref_f64[desc->kind];
    }
    *out = &op->op;
    return HFF_OK;
}

static void ref_op_destroy(struct op *op)
{
    free(op);
}

static size_t ref_op_workspace(const struct op *op)
{
    return ref_work(&op->desc) * sizeof(double);
}

static hff_status ref_op_run(struct op *op, struct stream *stream, void *const *args, void *workspace)
{
    (void)stream;
    ((struct ref_op *)op)->run(&op->desc, args, workspace);
    return HFF_OK;
}

static hff_status ref_stream_create(struct backend *backend, struct stream **out)
{
    struct ref_stream *stream = calloc(1, sizeof *stream);
    if (!stream) return fail(HFF_E_MEMORY, "no memory for a stream");
    stream->backend = backend;
    *out = (struct stream *)stream;
    return HFF_OK;
}

static void ref_stream_destroy(struct stream *stream)
{
    free(stream);
}

static hff_status ref_stream_wait(struct stream *stream)
{
    (void)stream;
    return HFF_OK;
}

static hff_status ref_copy(struct stream *stream, void *to, const void *from, size_t bytes)
{
    (void)stream;
    if (bytes > 0) memcpy(to, from, bytes);
    return HFF_OK;
}

static hff_status ref_clear(struct stream *stream, void *device, size_t bytes)
{
    (void)stream;
    if (bytes > 0) memset(device, 0, bytes);
    return HFF_OK;
}

const struct backend_api backend_ref = {
    .name = "ref",
    .help = "plain C, slow and exact; what the others are tested against",
    .available = ref_available,
    .open = ref_open,
    .close = ref_close,
    .describe = ref_describe,
    .alloc = ref_alloc,
    .free = ref_free,
    .computes = ref_computes,
    .activation = ref_activation,
    .op_create = ref_op_create,
    .op_destroy = ref_op_destroy,
    .op_workspace = ref_op_workspace,
    .op_run = ref_op_run,
    .stream_create = ref_stream_create,
    .stream_destroy = ref_stream_destroy,
    .stream_wait = ref_stream_wait,
    .copy_in = ref_copy,
    .copy_out = ref_copy,
    .clear = ref_clear,
    .event_create = synchronous_event_create,
    .event_destroy = synchronous_event_destroy,
    .event_record = synchronous_event_record,
    .stream_wait_event = synchronous_stream_wait_event,
};
