/* What the hot loops of this folder are written with: loops for vectors, mostly over a number of lanes that the
 * compiler knows, and
 * sums in f64.
 *
 * An INLINE function gets the block and the activation as constants from the CPU_SIMD function that calls it. */
#ifndef HFF_BACKEND_CPU_LANES_H
#define HFF_BACKEND_CPU_LANES_H

#include "../activation.h"

#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

/* "omp simd" before a loop says that its rounds do not depend on each other, whatever the pointers in it look like.
 * Without
 * OpenMP the compiler must find that out itself; the bits are the same. */
#if !defined(_OPENMP)
#pragma GCC diagnostic ignored "-Wunknown-pragmas"
#endif

enum { LANES = 16 /* the widest block */, QUADS = LANES / 4 };

/* A vector that every processor of interest has, or has halves of; at any address. Sums are kept in these and not in
 * arrays,
 * which the compiler would leave in memory. QUAD64: four floats. */
typedef double quad64 __attribute__((vector_size(32), aligned(8), may_alias));
#define QUAD64(p) ((quad64){(p)[0], (p)[1], (p)[2], (p)[3]})

/* acc[0 .. lanes / 4) += v[0 .. lanes). */
INLINE void add_f64(int lanes, quad64 *acc, const float *v)
{
#pragma GCC unroll 4
    for (int q = 0; q < lanes / 4; q++) acc[q] += QUAD64(v + 4 * q);
}

/* Written out, since an initialiser would keep the sums in memory. */
INLINE void zero_f64(int lanes, quad64 *acc)
{
#pragma GCC unroll 4
    for (int q = 0; q < lanes / 4; q++) acc[q] = (quad64){0, 0, 0, 0};
}

INLINE void store_f64(int lanes, double *to, const quad64 *acc)
{
#pragma GCC unroll 4
    for (int q = 0; q < lanes / 4; q++) *(quad64 *)(to + 4 * q) = acc[q];
}

/* Asks for n floats that a two-dimensional pattern is about to use: the processor itself foresees only straight runs. */
INLINE void foresee(const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i += 16) __builtin_prefetch(x + i);
}

/* The sum of squares of n floats, in an order that depends on n only. */
INLINE double sum_squares(const float *x, int64_t n)
{
    quad64 acc[QUADS];
    double lane[LANES], sum = 0;
    int64_t i = 0;
    zero_f64(LANES, acc);
    for (; i + LANES <= n; i += LANES) {
#pragma GCC unroll 4
        for (int q = 0; q < QUADS; q++) acc[q] += QUAD64(x + i + 4 * q) * QUAD64(x + i + 4 * q);
    }
    store_f64(LANES, lane, acc);
    for (; i < n; i++) sum += (double)x[i] * x[i];
    for (int l = 0; l < LANES; l++) sum += lane[l];
    return sum;
}

/* sum x y, likewise. */
INLINE double sum_products(const float *x, const float *y, int64_t n)
{
    quad64 acc[QUADS];
    double lane[LANES], sum = 0;
    int64_t i = 0;
    zero_f64(LANES, acc);
    for (; i + LANES <= n; i += LANES) {
#pragma GCC unroll 4
        for (int q = 0; q < QUADS; q++) acc[q] += QUAD64(x + i + 4 * q) * QUAD64(y + i + 4 * q);
    }
    store_f64(LANES, lane, acc);
    for (; i < n; i++) sum += (double)x[i] * y[i];
    for (int l = 0; l < LANES; l++) sum += lane[l];
    return sum;
}

/* The activations on f32. */
#define REAL float
INLINE float act_value(enum act act, float v)
{
    switch (act) {
#define ROW(name, word, y, dy)                                                                                         \
    case ACT_##name: return y;
        ACTIVATIONS(ROW)
#undef ROW
    case ACT_COUNT: break;
    }
    return v;
}

INLINE float act_slope(enum act act, float v)
{
    switch (act) {
#define ROW(name, word, y, dy)                                                                                         \
    case ACT_##name: return dy;
        ACTIVATIONS(ROW)
#undef ROW
    case ACT_COUNT: break;
    }
    return 1;
}
#undef REAL

/* Makes the activation a constant: in a function with "act", a switch with one call for each; CALL is a macro of an
 * enum act. */
#define EACH_ACT(act, CALL)                                                                                           \
    switch (act) {                                                                                                    \
        ACTIVATIONS(CALL)                                                                                             \
    case ACT_COUNT: break;                                                                                            \
    }

#endif
