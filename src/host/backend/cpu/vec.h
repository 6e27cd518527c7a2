/* Vectors of 16 floats (AVX-512), and the product that convolutions and matrix products here end in: a few rows of
 * broadcast numbers times two vectors, all sums in registers. Use in files that are compiled with contraction (see
 * CMakeLists.txt), in functions marked VEC_SIMD, called only where dnnl_block() is 16. */
#ifndef HFF_BACKEND_CPU_VEC_H
#define HFF_BACKEND_CPU_VEC_H

#include "element.h"

/* One target and not clones: elsewhere these functions are never called. */
#if defined(__x86_64__)
#define VEC_SIMD __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")))
#else
#define VEC_SIMD
#endif

enum {
    BLOCK = 16, /* floats of a vector */
    PAIR = 32,  /* two vectors: the columns of a product */
    ROWS_MOST = 12,
};

typedef float vec __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint16_t half_vec __attribute__((vector_size(32), aligned(2), may_alias));
typedef uint32_t bits_vec __attribute__((vector_size(64)));

INLINE void vec_get(enum dtype type, const void *x, int64_t i, vec *out)
{
    if (type == DTYPE_F32)
        *out = *(const vec *)((const float *)x + i);
    else
        *out = (vec)(__builtin_convertvector(*(const half_vec *)((const bf16 *)x + i), bits_vec) << 16);
}

INLINE void vec_put(enum dtype type, void *y, int64_t i, const vec *v)
{
    if (type == DTYPE_F32)
        *(vec *)((float *)y + i) = *v;
    else
#pragma omp simd
        for (int l = 0; l < BLOCK; l++) ((bf16 *)y)[i + l] = bf16_near(((const float *)v)[l]);
}

INLINE void rows_clear(int rows, vec acc[][2])
{
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++) acc[r][0] = acc[r][1] = (vec){0};
}

/* acc (rows, 32) += a (rows, depth) b (depth, 32), one term after the other; a's elements lie row and step floats
 * apart. rows is a constant, at most ROWS_MOST. */
INLINE void rows_add(int rows, const float *a, int64_t row, int64_t step, const float *b, int64_t b_step, int64_t depth,
                     vec acc[][2])
{
    for (int64_t k = 0; k < depth; k++, a += step, b += b_step) {
        vec b0 = *(const vec *)b, b1 = *(const vec *)(b + BLOCK);
#pragma GCC unroll 12
        for (int r = 0; r < rows; r++) {
            float one = a[r * row];
            acc[r][0] += one * b0;
            acc[r][1] += one * b1;
        }
    }
}

INLINE void rows_store(int rows, vec acc[][2], float *c, int64_t step)
{
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++) {
        *(vec *)(c + r * step) = acc[r][0];
        *(vec *)(c + r * step + BLOCK) = acc[r][1];
    }
}

#endif
