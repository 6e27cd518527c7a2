/* Every call of CUDA, cuDNN and cuBLASLt goes through CHECK, in every build type: what failed, what that mostly means,
 * the runtime's error cleared. */
#ifndef HFF_BACKEND_CUDA_CHECK_H
#define HFF_BACKEND_CUDA_CHECK_H

#include "../../backend.h"

#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>

/* HFF_OK, or the message said. call: its text, for the message. */
hff_status cuda_check(cudaError_t status, const char *call);
hff_status cudnn_check(cudnnStatus_t status, const char *call);
hff_status cublas_check(cublasStatus_t status, const char *call);

#define CHECK(call)                                                                                                    \
    TRY(_Generic((call), cudaError_t                                                                                   \
                 : cuda_check, cudnnStatus_t                                                                           \
                 : cudnn_check, cublasStatus_t                                                                         \
                 : cublas_check)((call), #call))

#endif
