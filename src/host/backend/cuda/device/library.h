/* Between the files of device/: what one backend's convolutions and products share. */
#ifndef HFF_BACKEND_CUDA_LIBRARY_H
#define HFF_BACKEND_CUDA_LIBRARY_H

#include "check.h"
#include "cudnn.h"

struct cuda_library {
    struct cudnn_plans *plans;
    cublasLtHandle_t products;
};

hff_status product_plan(struct cuda_library *library, const struct cuda_product_desc *desc, struct cuda_product **out);
size_t product_workspace_of(const struct cuda_product *product);
hff_status product_run_on(struct cuda_product *product, kernel_stream stream, const void *a, const void *b, void *c,
                          const void *bias, void *workspace);
void product_free(struct cuda_product *product);

#endif
