/* The ops of the cuda backend: one row each. An op without a row is refused when a program is built. */
#include "cuda.h"

const cuda_create cuda_table[OP_KINDS] = {
    [OP_REORDER] = cuda_reorder_create,
    [OP_LINEAR] = cuda_linear_create,
    [OP_LINEAR_DATA] = cuda_linear_data_create,
    [OP_LINEAR_WEIGHT] = cuda_linear_weight_create,
    [OP_CONV] = cuda_conv_create,
    [OP_CONV_DATA] = cuda_conv_data_create,
    [OP_CONV_WEIGHT] = cuda_conv_weight_create,
    [OP_NORM] = cuda_norm_create,
    [OP_NORM_EVAL] = cuda_norm_eval_create,
    [OP_NORM_BACK] = cuda_norm_back_create,
    [OP_ACT] = cuda_act_create,
    [OP_ACT_BACK] = cuda_act_back_create,
    [OP_POOL] = cuda_pool_create,
    [OP_POOL_BACK] = cuda_pool_back_create,
    [OP_APOOL] = cuda_apool_create,
    [OP_APOOL_BACK] = cuda_apool_back_create,
    [OP_UNIT] = cuda_unit_create,
    [OP_HFF] = cuda_hff_create,
    [OP_HFF_EVAL] = cuda_hff_eval_create,
    [OP_GRAD_NORM] = cuda_grad_norm_create,
    [OP_ADAMW] = cuda_adamw_create,
    [OP_SGD] = cuda_sgd_create,
    [OP_RETRACT] = cuda_retract_create,
    [OP_CLAMP] = cuda_clamp_create,
};
