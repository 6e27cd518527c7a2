/* Elements of an activation as numbers: f32, or bf16 that is widened and rounded on the way. With a type that the
 * compiler knows these are plain loads and stores, fit for loops that become vectors. */
#ifndef HFF_BACKEND_CPU_ELEMENT_H
#define HFF_BACKEND_CPU_ELEMENT_H

#include "lanes.h"
#include "tensor/bf16.h"
#include "tensor/tensor.h"

INLINE float element_get(enum dtype type, const void *x, int64_t i)
{
    return type == DTYPE_BF16 ? bf16_wide(((const bf16 *)x)[i]) : ((const float *)x)[i];
}

INLINE void element_put(enum dtype type, void *y, int64_t i, float v)
{
    if (type == DTYPE_BF16)
        ((bf16 *)y)[i] = bf16_near(v);
    else
        ((float *)y)[i] = v;
}

#endif
