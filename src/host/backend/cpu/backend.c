/* The cpu backend: memory, the thread team, and the door to the ops of cpu_table. Streams are synchronous: an op has
 * ended when op_run returns. */
#include "cpu.h"

#include "../synchronous.h"
#include "dnnl.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ALIGN = 64, HUGE_PAGE = 2 << 20 };

struct stream {
    struct team *team; /* of its ops */
    struct team *own;  /* the same where the stream has a part of the threads, to close */
};

static hff_status cpu_available(void)
{
    return HFF_OK;
}

static void cpu_close(struct backend *base)
{
    struct cpu_backend *backend = (struct cpu_backend *)base;
    if (!backend) return;
    team_close(backend->team);
    layouts_free(backend);
    free(backend);
}

static hff_status cpu_open(struct backend **out, int threads)
{
    *out = NULL;
    struct cpu_backend *backend = calloc(1, sizeof *backend);
    if (!backend) return fail(HFF_E_MEMORY, "no memory for the cpu backend");
    hff_status status = team_open(&backend->team, threads, dnnl_single_thread);
    if (status != HFF_OK) {
        free(backend);
        return status;
    }
    backend->base = (struct backend){.api = &backend_cpu, .threads = team_size(backend->team)};
    backend->block = dnnl_block();
    char library[32];
    snprintf(backend->description, sizeof backend->description, "%d thread%s, %s, oneDNN %s", backend->base.threads,
             backend->base.threads == 1 ? "" : "s", dnnl_isa(), dnnl_version_text(library, sizeof library));
    *out = &backend->base;
    return HFF_OK;
}

static const char *cpu_describe(struct backend *backend)
{
    return ((struct cpu_backend *)backend)->description;
}

/* Large arenas start on a huge page and ask for more of them, before memset touches the pages; not for the last piece,
 * of which a whole huge page would be more than the plan says. */
static hff_status cpu_alloc(struct backend *backend, size_t bytes, void **out)
{
    (void)backend;
    size_t align = bytes >= HUGE_PAGE ? HUGE_PAGE : ALIGN;
    *out = NULL;
    if (bytes <= SIZE_MAX - align) *out = aligned_alloc(align, bytes ? (bytes + align - 1) / align * align : align);
    if (!*out) return fail(HFF_E_MEMORY, "no memory for %zu bytes; use a smaller run.batch or net", bytes);
    if (align == HUGE_PAGE) madvise(*out, bytes / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
    memset(*out, 0, bytes);
    return HFF_OK;
}

static void cpu_free(struct backend *backend, void *memory)
{
    (void)backend;
    free(memory);
}

static int cpu_computes(struct backend *backend, enum dtype dtype)
{
    (void)backend;
    return dtype == DTYPE_F32 || (dtype == DTYPE_BF16 && dnnl_has_bf16());
}

static struct tensor cpu_activation(struct backend *base, enum dtype dtype, int rank, const int64_t *dim)
{
    struct tensor t = tensor_plain(dtype, rank, dim);
    if (rank == 4) {
        t.layout = LAYOUT_BLOCKED;
        t.block = ((struct cpu_backend *)base)->block;
    }
    return t;
}

void *cpu_op_new(struct cpu_backend *backend, const struct op_desc *desc, size_t size)
{
    struct cpu_op *op = calloc(1, size);
    if (!op) {
        fail(HFF_E_MEMORY, "no memory for an op");
        return NULL;
    }
    op->op.backend = &backend->base;
    op->op.desc = *desc;
    return op;
}

static hff_status cpu_op_create(struct backend *base, const struct op_desc *desc, struct op **out)
{
    *out = NULL;
    if ((unsigned)desc->kind >= OP_KINDS)
        return fail(HFF_E_CONFIG, "the cpu backend has no op number %d", (int)desc->kind);
    if (!cpu_table[desc->kind])
        return fail(HFF_E_CONFIG, "the cpu backend does not do op %s", op_table[desc->kind].name);
    TRY(op_check(desc));
    dnnl_single_thread();
    struct cpu_op *op = NULL;
    hff_status status = cpu_table[desc->kind]((struct cpu_backend *)base, desc, &op);
    if (status != HFF_OK) return trail_add(status, "cpu op %s", op_table[desc->kind].name);
    *out = &op->op;
    return HFF_OK;
}

static void cpu_op_destroy(struct op *base)
{
    struct cpu_op *op = (struct cpu_op *)base;
    if (!op) return;
    if (op->destroy) op->destroy(op);
    free(op);
}

static size_t cpu_op_workspace(const struct op *op)
{
    return ((const struct cpu_op *)op)->workspace;
}

static hff_status cpu_op_run(struct op *base, struct stream *stream, void *const *args, void *workspace)
{
    struct cpu_op *op = (struct cpu_op *)base;
    dnnl_single_thread(); /* the caller, who works as thread 0, need not be the one who opened the team */
    return op->run(op, stream->team, args, workspace);
}

static hff_status cpu_stream_create(struct backend *backend, struct stream **out)
{
    *out = calloc(1, sizeof **out);
    if (!*out) return fail(HFF_E_MEMORY, "no memory for a stream");
    (*out)->team = ((struct cpu_backend *)backend)->team;
    return HFF_OK;
}

/* A team beside the backend's, which sleeps meanwhile; at least one thread (the caller's own) also where there are more
 * parts than threads. Ops are planned for the backend's number of threads, which is at least this one's. */
static hff_status cpu_stream_create_part(struct backend *backend, int part, int parts, struct stream **out)
{
    int threads = backend->threads * (part + 1) / parts - backend->threads * part / parts;
    TRY(cpu_stream_create(backend, out));
    hff_status status = team_open(&(*out)->own, threads > 0 ? threads : 1, dnnl_single_thread);
    if (status != HFF_OK) {
        free(*out);
        *out = NULL;
        return status;
    }
    (*out)->team = (*out)->own;
    return HFF_OK;
}

static void cpu_stream_destroy(struct stream *stream)
{
    if (stream) team_close(stream->own);
    free(stream);
}

static hff_status cpu_stream_wait(struct stream *stream)
{
    (void)stream;
    return HFF_OK;
}

static hff_status cpu_copy(struct stream *stream, void *to, const void *from, size_t bytes)
{
    (void)stream;
    if (bytes) memcpy(to, from, bytes);
    return HFF_OK;
}

static hff_status cpu_clear(struct stream *stream, void *device, size_t bytes)
{
    (void)stream;
    if (bytes > 0) memset(device, 0, bytes);
    return HFF_OK;
}

const struct backend_api backend_cpu = {
    .name = "cpu",
    .help = "oneDNN and a team of threads; the same bits for any number of them",
    .available = cpu_available,
    .open = cpu_open,
    .close = cpu_close,
    .describe = cpu_describe,
    .alloc = cpu_alloc,
    .free = cpu_free,
    .computes = cpu_computes,
    .activation = cpu_activation,
    .op_create = cpu_op_create,
    .op_destroy = cpu_op_destroy,
    .op_workspace = cpu_op_workspace,
    .op_run = cpu_op_run,
    .stream_create = cpu_stream_create,
    .stream_create_part = cpu_stream_create_part,
    .stream_destroy = cpu_stream_destroy,
    .stream_wait = cpu_stream_wait,
    .copy_in = cpu_copy,
    .copy_out = cpu_copy,
    .clear = cpu_clear,
    .event_create = synchronous_event_create,
    .event_destroy = synchronous_event_destroy,
    .event_record = synchronous_event_record,
    .stream_wait_event = synchronous_stream_wait_event,
};
