/* The ops of the cpu backend: one row each. */
#include "cpu.h"

const cpu_create cpu_table[OP_KINDS] = {
    [OP_REORDER] = cpu_reorder_create,
    [OP_LINEAR] = cpu_linear_create,
    [OP_LINEAR_DATA] = cpu_linear_data_create,
    [OP_LINEAR_WEIGHT] = cpu_linear_weight_create,
    [OP_CONV] = cpu_conv_create,
    [OP_CONV_DATA] = cpu_conv_data_create,
    [OP_CONV_WEIGHT] = cpu_conv_weight_create,
    [OP_NORM] = cpu_norm_create,
    [OP_NORM_EVAL] = cpu_norm_eval_create,
    [OP_NORM_BACK] = cpu_norm_back_create,
    [OP_ACT] = cpu_act_create,
    [OP_ACT_BACK] = cpu_act_back_create,
    [OP_POOL] = cpu_pool_create,
    [OP_POOL_BACK] = cpu_pool_back_create,
    [OP_APOOL] = cpu_apool_create,
    [OP_APOOL_BACK] = cpu_apool_back_create,
    [OP_UNIT] = cpu_unit_create,
    [OP_HFF] = cpu_hff_create,
    [OP_HFF_EVAL] = cpu_hff_eval_create,
    [OP_GRAD_NORM] = cpu_grad_norm_create,
    [OP_ADAMW] = cpu_adamw_create,
    [OP_SGD] = cpu_sgd_create,
    [OP_RETRACT] = cpu_retract_create,
    [OP_CLAMP] = cpu_clamp_create,
};
