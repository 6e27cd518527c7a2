/* The libraries themselves behind calls.h. */
#include "library.h"
#include "runtime.h"

#include <stdlib.h>

static void library_close(struct cuda_library *library)
{
    if (!library) return;
    cudnn_plans_close(library->plans);
    if (library->products) cublasLtDestroy(library->products);
    free(library);
}

static hff_status fill_library(struct cuda_library *library)
{
    TRY(cudnn_plans_open(&library->plans));
    CHECK(cublasLtCreate(&library->products));
    return HFF_OK;
}

static hff_status library_open(const struct cuda_device *device, struct cuda_library **out)
{
    (void)device;
    *out = NULL;
    struct cuda_library *library = calloc(1, sizeof *library);
    if (!library) return fail(HFF_E_MEMORY, "no memory for the cuda backend");
    hff_status status = fill_library(library);
    if (status == HFF_OK)
        *out = library;
    else
        library_close(library);
    return status;
}

const struct cuda_calls cuda_calls = {
    .find = runtime_find,
    .use = runtime_use,
    .memory_left = runtime_memory_left,
    .alloc = runtime_alloc,
    .free = runtime_free,
    .pinned_alloc = runtime_pinned_alloc,
    .pinned_free = runtime_pinned_free,
    .stream_create = runtime_stream_create,
    .stream_destroy = runtime_stream_destroy,
    .stream_wait = runtime_stream_wait,
    .event_create = runtime_event_create,
    .event_destroy = runtime_event_destroy,
    .event_record = runtime_event_record,
    .event_wait = runtime_event_wait,
    .stream_wait_event = runtime_stream_wait_event,
    .event_seconds = runtime_event_seconds,
    .copy = runtime_copy,
    .zero = runtime_zero,
    .capture_begin = runtime_capture_begin,
    .capture_end = runtime_capture_end,
    .replay = runtime_replay,
    .graph_destroy = runtime_graph_destroy,
    .kernel_failed = runtime_kernel_failed,
    .library_open = library_open,
    .library_close = library_close,
    .lane_open = cudnn_lane_open,
    .lane_close = cudnn_lane_close,
    .conv_plan = cudnn_conv_plan,
    .conv_number = cudnn_conv_number,
    .conv_workspace = cudnn_conv_workspace,
    .conv_run = cudnn_conv_run,
    .conv_destroy = cudnn_conv_destroy,
    .product_plan = product_plan,
    .product_workspace = product_workspace_of,
    .product_run = product_run_on,
    .product_destroy = product_free,
};
