/* The cuda backend: the device, its memory, and the door to the ops of cuda_table. */
#include "cuda.h"

#include "stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static hff_status available(void)
{
    struct cuda_device device;
    return cuda_calls.find(&device);
}

static void close_backend(struct backend *base)
{
    struct cuda_backend *backend = (struct cuda_backend *)base;
    if (!backend) return;
    cuda_clock_close(backend);
    cuda_tuning_close(backend->tuning);
    cuda_staging_close(backend->staging);
    cuda_calls.library_close(backend->library);
    cuda_filters_free(backend);
    free(backend);
}

static hff_status open_backend(struct backend **out, int threads)
{
    *out = NULL;
    struct cuda_backend *backend = calloc(1, sizeof *backend);
    if (!backend) return fail(HFF_E_MEMORY, "no memory for the cuda backend");
    struct cuda_device *device = &backend->device;
    backend->base = (struct backend){.api = &backend_cuda, .threads = threads};
    if (threads == 0) backend->base.threads = (int)sysconf(_SC_NPROCESSORS_ONLN);
    hff_status status;
    TRY_GOTO(status, cuda_calls.find(device), close);
    TRY_GOTO(status, cuda_calls.use(device->index), close);
    TRY_GOTO(status, cuda_calls.library_open(device, &backend->library), close);
    TRY_GOTO(status, cuda_staging_open(&backend->staging), close);
    TRY_GOTO(status, cuda_clock_open(backend), close);
    snprintf(backend->description, sizeof backend->description, "%s, %.1f GB, %s", device->name,
             (double)device->memory * 1e-9, device->versions);
    *out = &backend->base;
    return HFF_OK;
close:
    close_backend(&backend->base);
    return status;
}

static const char *describe(struct backend *backend)
{
    return ((struct cuda_backend *)backend)->description;
}

static hff_status set_precision(struct backend *backend, enum precision precision)
{
    ((struct cuda_backend *)backend)->precision = precision;
    return HFF_OK;
}

static hff_status use(struct backend *backend)
{
    return cuda_calls.use(((struct cuda_backend *)backend)->device.index);
}

static hff_status memory_left(struct backend *backend, size_t *bytes)
{
    TRY(use(backend));
    return cuda_calls.memory_left(bytes);
}

static hff_status alloc(struct backend *backend, size_t bytes, void **out)
{
    *out = NULL;
    TRY(use(backend));
    return cuda_calls.alloc(bytes ? bytes : 1, out);
}

static void free_memory(struct backend *backend, void *memory)
{
    if (memory && use(backend) == HFF_OK) cuda_calls.free(memory);
}

static int computes(struct backend *backend, enum dtype dtype)
{
    (void)backend; /* every device that find gives has bf16 */
    return dtype == DTYPE_F32 || dtype == DTYPE_BF16;
}

static struct tensor activation(struct backend *backend, enum dtype dtype, int rank, const int64_t *dim)
{
    (void)backend;
    struct tensor t = tensor_plain(dtype, rank, dim);
    if (rank == 4) {
        t.layout = LAYOUT_CHANNELS_LAST;
        t.block = CUDA_CHANNELS;
    }
    return t;
}

static hff_status op_create(struct backend *base, const struct op_desc *desc, struct op **out)
{
    *out = NULL;
    if ((unsigned)desc->kind >= OP_KINDS)
        return fail(HFF_E_CONFIG, "the cuda backend has no op number %d", (int)desc->kind);
    if (!cuda_table[desc->kind])
        return fail(HFF_E_CONFIG, "the cuda backend does not do op %s yet; use run.backend cpu",
                    op_table[desc->kind].name);
    TRY(op_check(desc));
    for (int i = 0; i < op_table[desc->kind].args; i++)
        if (op_table[desc->kind].arg[i].dtype < 0 && desc->arg[i].rank > 0 && desc->arg[i].dtype == DTYPE_F64)
            return cuda_refuse(desc, "the cuda backend does not compute in f64");
    TRY(use(base));
    struct cuda_op *op = NULL;
    hff_status status = cuda_table[desc->kind]((struct cuda_backend *)base, desc, &op);
    if (status == HFF_OK) {
        *out = &op->op;
        return HFF_OK;
    }
    if (op) cuda_op_destroy(&op->op);
    return trail_add(status, "cuda op %s", op_table[desc->kind].name);
}

static size_t op_workspace(const struct op *op)
{
    return ((const struct cuda_op *)op)->workspace;
}

static hff_status op_run(struct op *base, struct stream *stream, void *const *args, void *workspace)
{
    struct cuda_op *op = (struct cuda_op *)base;
    TRY(use(base->backend));
    return op->run(op, stream, args, workspace);
}

const struct backend_api backend_cuda = {
    .name = "cuda",
    .help = "one GPU: cuDNN, cuBLASLt and own kernels",
    .available = available,
    .open = open_backend,
    .close = close_backend,
    .describe = describe,
    .alignment = CUDA_ALIGN,
    .set_precision = set_precision,
    .tune = cuda_tune,
    .chosen = cuda_chosen,
    .memory_left = memory_left,
    .alloc = alloc,
    .free = free_memory,
    .computes = computes,
    .activation = activation,
    .joins = 1,
    .moves_images = 1,
    .keeps_packed = 1,
    .op_create = op_create,
    .op_destroy = cuda_op_destroy,
    .op_workspace = op_workspace,
    .op_run = op_run,
    .asynchronous = 1,
    .stream_create = cuda_stream_create,
    .stream_destroy = cuda_stream_destroy,
    .stream_wait = cuda_stream_wait,
    .copy_in = cuda_copy_in,
    .copy_out = cuda_copy_out,
    .clear = cuda_clear,
    .event_create = cuda_event_create,
    .event_destroy = cuda_event_destroy,
    .event_record = cuda_event_record,
    .stream_wait_event = cuda_stream_wait_event,
    .event_seconds = cuda_event_seconds,
    .capture_begin = cuda_capture_begin,
    .capture_end = cuda_capture_end,
    .replay = cuda_replay,
    .capture_destroy = cuda_capture_destroy,
};
