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

INLINE const void *element_at(enum dtype type, const void *x, int64_t i)
{
    return (const char *)x + i * (int64_t)(type == DTYPE_BF16 ? sizeof(bf16) : sizeof(float));
}

INLINE void *element_to(enum dtype type, void *x, int64_t i)
{
    return (char *)x + i * (int64_t)(type == DTYPE_BF16 ? sizeof(bf16) : sizeof(float));
}

/* n elements from i on as f32: where they are, or widened into space. */
INLINE const float *elements_wide(enum dtype type, const void *x, int64_t i, int64_t n, float *space)
{
    if (type == DTYPE_F32) return (const float *)x + i;
#pragma omp simd
    for (int64_t l = 0; l < n; l++) space[l] = element_get(type, x, i + l);
    return space;
}

/* What element_put would leave of v. */
INLINE float element_near(enum dtype type, float v)
{
    return type == DTYPE_BF16 ? bf16_wide(bf16_near(v)) : v;
}

/* element_put of a v that needs no rounding. */
INLINE void element_keep(enum dtype type, void *y, int64_t i, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    if (type == DTYPE_BF16)
        ((bf16 *)y)[i] = (bf16)(bits >> 16);
    else
        ((float *)y)[i] = v;
}

/* An element of the same type, or 0. */
INLINE void element_copy(enum dtype type, void *y, int64_t i, const void *x, int64_t from, int copied)
{
    if (type == DTYPE_BF16)
        ((bf16 *)y)[i] = copied ? ((const bf16 *)x)[from] : 0;
    else
        ((float *)y)[i] = copied ? ((const float *)x)[from] : 0;
}

/* Eight elements from i on, as two vectors. Behind zeros, a bf16 is an f32; a loop of element_get would shuffle lanes
 * on the way to f64. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the zeros are the lower half");
typedef uint16_t oct16 __attribute__((vector_size(16), aligned(2), may_alias));
typedef float quad32 __attribute__((vector_size(16)));
INLINE void get_quads(enum dtype type, const void *x, int64_t i, quad64 *out)
{
    if (type == DTYPE_F32) {
        const float *v = (const float *)x + i;
        out[0] = QUAD64(v);
        out[1] = QUAD64(v + 4);
    } else {
        oct16 v = *(const oct16 *)((const bf16 *)x + i), zero = {0};
        quad32 low = (quad32)__builtin_shufflevector(zero, v, 0, 8, 1, 9, 2, 10, 3, 11);
        quad32 high = (quad32)__builtin_shufflevector(zero, v, 4, 12, 5, 13, 6, 14, 7, 15);
        out[0] = QUAD64(low);
        out[1] = QUAD64(high);
    }
}

/* acc[0 .. lanes / 4) += the elements from i on. */
INLINE void add_elements(int lanes, enum dtype type, quad64 *acc, const void *x, int64_t i)
{
    quad64 v[QUADS];
    get_quads(type, x, i, v);
    acc[0] += v[0];
    acc[1] += v[1];
    if (lanes < 16) return;
    get_quads(type, x, i + 8, v + 2);
    acc[2] += v[2];
    acc[3] += v[3];
}

/* acc += (element - mean)^2. */
INLINE void add_deviations(int lanes, enum dtype type, quad64 *acc, const void *x, int64_t i, const quad64 *mean)
{
    quad64 v[QUADS];
    get_quads(type, x, i, v);
    acc[0] += (v[0] - mean[0]) * (v[0] - mean[0]);
    acc[1] += (v[1] - mean[1]) * (v[1] - mean[1]);
    if (lanes < 16) return;
    get_quads(type, x, i + 8, v + 2);
    acc[2] += (v[2] - mean[2]) * (v[2] - mean[2]);
    acc[3] += (v[3] - mean[3]) * (v[3] - mean[3]);
}

#endif
