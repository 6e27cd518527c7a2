/* Between cudnn_*.c: cuDNN's descriptors. */
#ifndef HFF_BACKEND_CUDA_GRAPH_H
#define HFF_BACKEND_CUDA_GRAPH_H

#include "check.h"
#include "cudnn.h"

/* Descriptors that die together. */
enum { BAG = 160 };
struct bag {
    cudnnBackendDescriptor_t item[BAG];
    int count;
};
hff_status bag_new(struct bag *bag, cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t *out);
void bag_free(struct bag *bag, int down_to);

#define SET(descriptor, attribute, type, count, values)                                                                \
    CHECK(cudnnBackendSetAttribute((descriptor), (attribute), (type), (count), (values)))

/* What tensors are called in variant packs; BETWEEN is not in memory. */
enum tensor_id { ID_X = 'x', ID_W = 'w', ID_Y = 'y', ID_BIAS = 'b', ID_BETWEEN = '0' };

struct cudnn_device {
    cudnnHandle_t handle;                /* NULL: only described */
    cudnnBackendDescriptor_t properties; /* where there is no handle */
};

/* The convolution, with its bias where desc has one, as an operation graph. */
hff_status cudnn_graph_make(struct bag *bag, const struct cudnn_device *device, const struct cuda_conv_desc *desc,
                            cudnnBackendDescriptor_t *out);

struct cudnn_plan {
    enum cuda_conv_kind kind;
    struct bag bag;
    cudnnBackendDescriptor_t plan;
    int64_t workspace, engine;
    int number; /* as calls.h counts */
};

#endif
