/* Errors of CUDA, cuDNN and cuBLASLt as statuses, with what can be done about them. */
#include "check.h"

#include <string.h>

/* The call without its arguments. */
static int name_length(const char *call)
{
    return (int)strcspn(call, "(");
}

static const char *cuda_hint(cudaError_t status)
{
    static const struct {
        cudaError_t status;
        const char *hint;
    } hints[] = {
        {cudaErrorMemoryAllocation, "use a smaller run.batch or net, or end what else runs on this GPU"},
        {cudaErrorInsufficientDriver, "there is no NVIDIA driver here, or one older than this CUDA"},
        {cudaErrorNoDevice, "there is no NVIDIA GPU here, or CUDA_VISIBLE_DEVICES hides it"},
        {cudaErrorDevicesUnavailable, "another process has the GPU for itself"},
        {cudaErrorSystemDriverMismatch, "driver and libcuda are of different versions; a reboot may help"},
        {cudaErrorCompatNotSupportedOnDevice, "CUDA's compatibility package does not fit this GPU"},
        {cudaErrorNoKernelImageForDevice, "build hff for this GPU: cmake -DHFF_CUDA_ARCHITECTURES=..."},
        {cudaErrorIllegalAddress,
         "a fault of hff: please report it, with the config; compute-sanitizer names the place"},
        {cudaErrorMisalignedAddress, "a fault of hff: please report it, with the config"},
        {cudaErrorLaunchFailure, "a fault of hff or of the GPU; dmesg may say more (Xid)"},
        {cudaErrorECCUncorrectable, "the GPU's memory is faulty"},
        {cudaErrorStreamCaptureUnsupported, "a fault of hff: this cannot be part of a captured step"},
    };
    for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++)
        if (hints[i].status == status) return hints[i].hint;
    return "nvidia-smi may say more";
}

hff_status cuda_check(cudaError_t status, const char *call)
{
    if (status == cudaSuccess) return HFF_OK;
    cudaGetLastError(); /* clears what can be cleared */
    return fail(status == cudaErrorMemoryAllocation ? HFF_E_MEMORY : HFF_E_DEVICE, "%.*s: %s (CUDA error %d); %s",
                name_length(call), call, cudaGetErrorString(status), (int)status, cuda_hint(status));
}

hff_status cudnn_check(cudnnStatus_t status, const char *call)
{
    char more[256] = "";
    if (status == CUDNN_STATUS_SUCCESS) return HFF_OK;
    cudnnGetLastErrorString(more, sizeof more);
    for (char *c = more; *c; c++)
        if (*c == '\n') *c = ' ';
    cudaGetLastError();
    int memory = status == CUDNN_STATUS_ALLOC_FAILED;
    return fail(memory ? HFF_E_MEMORY : HFF_E_DEVICE, "%.*s: %s (cuDNN error %d)%s%s%s", name_length(call), call,
                cudnnGetErrorString(status), (int)status, *more ? ": " : "", more,
                memory ? "; use a smaller run.batch or net" : "");
}

hff_status cublas_check(cublasStatus_t status, const char *call)
{
    if (status == CUBLAS_STATUS_SUCCESS) return HFF_OK;
    cudaGetLastError();
    const char *hint = status == CUBLAS_STATUS_ALLOC_FAILED      ? "; use a smaller run.batch or net"
                       : status == CUBLAS_STATUS_NOT_INITIALIZED ? "; is there a GPU with a driver?"
                       : status == CUBLAS_STATUS_ARCH_MISMATCH   ? "; this GPU is too old"
                                                                 : "";
    return fail(status == CUBLAS_STATUS_ALLOC_FAILED ? HFF_E_MEMORY : HFF_E_DEVICE, "%.*s: %s (cuBLAS error %d)%s",
                name_length(call), call, cublasLtGetStatusString(status), (int)status, hint);
}
