/* The CUDA runtime: device, memory, streams, events, capture. */
#include "runtime.h"

#include "check.h"

#include <stdio.h>
#include <stdlib.h>

enum { CAPABILITY_LEAST = 80 };

hff_status runtime_find(struct cuda_device *out)
{
    int count = 0, major = 0, minor = 0, driver = 0, runtime = 0;
    *out = (struct cuda_device){.index = 0};
    /* Streams beyond the default of 8 share queues and wait for each other's work. Read when the driver starts. */
    setenv("CUDA_DEVICE_MAX_CONNECTIONS", "32", 0);
    CHECK(cudaGetDeviceCount(&count));
    if (count == 0) return fail(HFF_E_DEVICE, "there is no NVIDIA GPU here, or CUDA_VISIBLE_DEVICES hides it");
    CHECK(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0));
    CHECK(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, 0));
    CHECK(cudaDeviceGetAttribute(&out->multiprocessors, cudaDevAttrMultiProcessorCount, 0));
    struct cudaDeviceProp properties;
    CHECK(cudaGetDeviceProperties(&properties, 0));
    CHECK(cudaRuntimeGetVersion(&runtime));
    CHECK(cudaDriverGetVersion(&driver));
    out->capability = 10 * major + minor;
    out->memory = properties.totalGlobalMem;
    snprintf(out->name, sizeof out->name, "%.90s", properties.name);
    size_t cudnn = cudnnGetVersion();
    snprintf(out->versions, sizeof out->versions, "CUDA %d.%d, driver for %d.%d, cuDNN %zu.%zu.%zu", runtime / 1000,
             runtime % 1000 / 10, driver / 1000, driver % 1000 / 10, cudnn / 10000, cudnn % 10000 / 100, cudnn % 100);
    if (out->capability < CAPABILITY_LEAST)
        return fail(HFF_E_DEVICE, "%s has compute capability %d.%d; hff's cuda backend needs 8.0 or later", out->name,
                    major, minor);
    return HFF_OK;
}

hff_status runtime_use(int index)
{
    CHECK(cudaSetDevice(index));
    return HFF_OK;
}

hff_status runtime_memory_left(size_t *bytes)
{
    size_t total;
    CHECK(cudaMemGetInfo(bytes, &total));
    return HFF_OK;
}

hff_status runtime_alloc(size_t bytes, void **out)
{
    *out = NULL;
    hff_status status = cuda_check(cudaMalloc(out, bytes), "cudaMalloc");
    if (status == HFF_E_MEMORY)
        return fail(HFF_E_MEMORY, "no GPU memory for %zu bytes; use a smaller run.batch or net", bytes);
    TRY(status);
    CHECK(cudaMemset(*out, 0, bytes));
    CHECK(cudaDeviceSynchronize()); /* hff's streams do not wait for the one that memset used */
    return HFF_OK;
}

void runtime_free(void *memory)
{
    cudaFree(memory);
}

hff_status runtime_pinned_alloc(size_t bytes, void **out)
{
    *out = NULL;
    CHECK(cudaMallocHost(out, bytes));
    return HFF_OK;
}

void runtime_pinned_free(void *memory)
{
    cudaFreeHost(memory);
}

hff_status runtime_stream_create(kernel_stream *out)
{
    CHECK(cudaStreamCreateWithFlags(out, cudaStreamNonBlocking));
    return HFF_OK;
}

void runtime_stream_destroy(kernel_stream stream)
{
    cudaStreamDestroy(stream);
}

hff_status runtime_stream_wait(kernel_stream stream)
{
    CHECK(cudaStreamSynchronize(stream));
    return HFF_OK;
}

hff_status runtime_event_create(void **out)
{
    cudaEvent_t event;
    CHECK(cudaEventCreate(&event));
    *out = event;
    return HFF_OK;
}

void runtime_event_destroy(void *event)
{
    cudaEventDestroy(event);
}

hff_status runtime_event_record(void *event, kernel_stream stream)
{
    CHECK(cudaEventRecord(event, stream));
    return HFF_OK;
}

hff_status runtime_event_wait(void *event)
{
    CHECK(cudaEventSynchronize(event));
    return HFF_OK;
}

hff_status runtime_event_seconds(void *from, void *to, double *seconds)
{
    float milliseconds;
    CHECK(cudaEventElapsedTime(&milliseconds, from, to));
    *seconds = 1e-3 * (double)milliseconds;
    return HFF_OK;
}

hff_status runtime_stream_wait_event(kernel_stream stream, void *event)
{
    CHECK(cudaStreamWaitEvent(stream, event, 0));
    return HFF_OK;
}

hff_status runtime_copy(void *to, const void *from, size_t bytes, kernel_stream stream)
{
    CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream));
    return HFF_OK;
}

hff_status runtime_zero(void *at, size_t bytes, kernel_stream stream)
{
    CHECK(cudaMemsetAsync(at, 0, bytes, stream));
    return HFF_OK;
}

hff_status runtime_capture_begin(kernel_stream stream)
{
    CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    return HFF_OK;
}

hff_status runtime_capture_end(kernel_stream stream, void **out)
{
    cudaGraph_t graph = NULL;
    cudaGraphExec_t ready = NULL;
    *out = NULL;
    CHECK(cudaStreamEndCapture(stream, &graph));
    hff_status status = cuda_check(cudaGraphInstantiateWithFlags(&ready, graph, 0), "cudaGraphInstantiate");
    cudaGraphDestroy(graph);
    TRY(status);
    *out = ready;
    CHECK(cudaGraphUpload(ready, stream)); /* now, not with the first replay */
    return HFF_OK;
}

hff_status runtime_replay(void *graph, kernel_stream stream)
{
    CHECK(cudaGraphLaunch(graph, stream));
    return HFF_OK;
}

void runtime_graph_destroy(void *graph)
{
    cudaGraphExecDestroy(graph);
}

hff_status runtime_kernel_failed(int returned, const char *kernel)
{
    if (returned == KERNEL_REFUSED)
        return fail(HFF_E_INTERNAL, "kernel %s refuses sizes that its op was made for; please report it", kernel);
    return cuda_check((cudaError_t)returned, kernel);
}
