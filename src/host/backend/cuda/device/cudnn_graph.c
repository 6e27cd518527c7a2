/* A convolution as cuDNN's operation graph: tensors, the operation, the bias behind it. */
#include "graph.h"

#include <stdbool.h>

hff_status bag_new(struct bag *bag, cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t *out)
{
    if (bag->count == BAG) return fail(HFF_E_INTERNAL, "too many descriptors for one convolution");
    CHECK(cudnnBackendCreateDescriptor(type, out));
    bag->item[bag->count++] = *out;
    return HFF_OK;
}

void bag_free(struct bag *bag, int down_to)
{
    while (bag->count > down_to) cudnnBackendDestroyDescriptor(bag->item[--bag->count]);
}

static cudnnDataType_t type_of(enum dtype dtype)
{
    return dtype == DTYPE_BF16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
}

/* dim: in cuDNN's order n, c, h, w; it lies channels last. */
static hff_status make_tensor(struct bag *bag, enum tensor_id id, cudnnDataType_t type, const int64_t dim[4],
                              cudnnBackendDescriptor_t *out)
{
    int64_t stride[4] = {dim[1] * dim[2] * dim[3], 1, dim[3] * dim[1], dim[1]};
    int64_t align = id == ID_BIAS ? 4 : 16, uid = id;
    bool away = id == ID_BETWEEN;
    TRY(bag_new(bag, CUDNN_BACKEND_TENSOR_DESCRIPTOR, out));
    SET(*out, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    SET(*out, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dim);
    SET(*out, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, stride);
    SET(*out, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &uid);
    SET(*out, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &align);
    if (away) SET(*out, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &away);
    CHECK(cudnnBackendFinalize(*out));
    return HFF_OK;
}

static hff_status make_window(struct bag *bag, const struct cuda_conv_desc *desc, cudnnBackendDescriptor_t *out)
{
    int64_t dims = 2, pad[2] = {desc->pad, desc->pad}, stride[2] = {desc->stride, desc->stride}, one[2] = {1, 1};
    cudnnDataType_t sums = CUDNN_DATA_FLOAT;
    cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    TRY(bag_new(bag, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, out));
    SET(*out, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &dims);
    SET(*out, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &sums);
    SET(*out, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
    SET(*out, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, pad);
    SET(*out, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, pad);
    SET(*out, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, one);
    SET(*out, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, stride);
    CHECK(cudnnBackendFinalize(*out));
    return HFF_OK;
}

/* clang-format off */
static const struct {
    cudnnBackendDescriptorType_t type;
    cudnnBackendAttributeName_t x, w, y, window, alpha, beta;
} convs[] = {
    [CUDA_CONV] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
        CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
        CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
        CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA},
    [CUDA_CONV_DATA] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA},
    [CUDA_CONV_WEIGHT] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA},
};
/* clang-format on */

static hff_status make_conv(struct bag *bag, const struct cuda_conv_desc *desc, cudnnBackendDescriptor_t x,
                            cudnnBackendDescriptor_t w, cudnnBackendDescriptor_t y, cudnnBackendDescriptor_t *out)
{
    cudnnBackendDescriptor_t window;
    float alpha = 1, beta = 0;
    TRY(make_window(bag, desc, &window));
    TRY(bag_new(bag, convs[desc->kind].type, out));
    SET(*out, convs[desc->kind].window, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &window);
    SET(*out, convs[desc->kind].x, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &x);
    SET(*out, convs[desc->kind].w, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &w);
    SET(*out, convs[desc->kind].y, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &y);
    SET(*out, convs[desc->kind].alpha, CUDNN_TYPE_FLOAT, 1, &alpha);
    SET(*out, convs[desc->kind].beta, CUDNN_TYPE_FLOAT, 1, &beta);
    CHECK(cudnnBackendFinalize(*out));
    return HFF_OK;
}

/* y = sum + bias. */
static hff_status make_add(struct bag *bag, cudnnBackendDescriptor_t sum, cudnnBackendDescriptor_t bias,
                           cudnnBackendDescriptor_t y, cudnnBackendDescriptor_t *out)
{
    cudnnBackendDescriptor_t add;
    cudnnPointwiseMode_t mode = CUDNN_POINTWISE_ADD;
    cudnnDataType_t type = CUDNN_DATA_FLOAT;
    TRY(bag_new(bag, CUDNN_BACKEND_POINTWISE_DESCRIPTOR, &add));
    SET(add, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
    SET(add, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &type);
    CHECK(cudnnBackendFinalize(add));
    TRY(bag_new(bag, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, out));
    SET(*out, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &add);
    SET(*out, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &sum);
    SET(*out, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &bias);
    SET(*out, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &y);
    CHECK(cudnnBackendFinalize(*out));
    return HFF_OK;
}

hff_status cudnn_graph_make(struct bag *bag, const struct cudnn_device *device, const struct cuda_conv_desc *desc,
                            cudnnBackendDescriptor_t *out)
{
    const int64_t x_dim[4] = {desc->batch, desc->in, desc->height, desc->width},
                  w_dim[4] = {desc->out, desc->in, desc->kernel, desc->kernel},
                  y_dim[4] = {desc->batch, desc->out, desc->out_height, desc->out_width},
                  bias_dim[4] = {1, desc->out, 1, 1};
    cudnnDataType_t type = type_of(desc->dtype), of_w = desc->kind == CUDA_CONV_WEIGHT ? type_of(desc->result) : type;
    cudnnBackendDescriptor_t x, w, y, sum, bias, op[2];
    int ops = 1;
    TRY(make_tensor(bag, ID_X, type, x_dim, &x));
    TRY(make_tensor(bag, ID_W, of_w, w_dim, &w));
    TRY(make_tensor(bag, ID_Y, type, y_dim, &y));
    if (desc->bias) {
        TRY(make_tensor(bag, ID_BETWEEN, CUDNN_DATA_FLOAT, y_dim, &sum));
        TRY(make_tensor(bag, ID_BIAS, CUDNN_DATA_FLOAT, bias_dim, &bias));
        TRY(make_conv(bag, desc, x, w, sum, &op[0]));
        TRY(make_add(bag, sum, bias, y, &op[1]));
        ops = 2;
    } else {
        TRY(make_conv(bag, desc, x, w, y, &op[0]));
    }
    TRY(bag_new(bag, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, out));
    SET(*out, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, ops, op);
    if (device->handle) {                                                      /* cuDNN before 9.8 wants it */
        cudnnBackendAttributeName_t handle = (cudnnBackendAttributeName_t)800; /* OPERATIONGRAPH_HANDLE, deprecated */
        SET(*out, handle, CUDNN_TYPE_HANDLE, 1, &device->handle);
    }
    CHECK(cudnnBackendFinalize(*out));
    return HFF_OK;
}
