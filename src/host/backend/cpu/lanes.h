/* What the hot loops of this folder are written with: loops for vectors, mostly over a number of lanes that the
 * compiler knows, and sums in f64.
 *
 * An INLINE function gets the block and the activation as constants from the CPU_SIMD function that calls it. */
#ifndef HFF_BACKEND_CPU_LANES_H
#define HFF_BACKEND_CPU_LANES_H

#include "../activation.h"

#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

/* "omp simd" before a loop says that its rounds do not depend on each other, whatever the pointers in it look like.
 * Without OpenMP the compiler must find that out itself; the bits are the same. */
#if !defined(_OPENMP)
#pragma GCC diagnostic ignored "-Wunknown-pragmas"
#endif

enum { LANES = 16 /* the widest block */, QUADS = LANES / 4 };

/* A vector that every processor of interest has, or has halves of; at any address. Sums are kept in these and not in
 * arrays, which the compiler would leave in memory. QUAD64: four floats. */
typedef double quad64 __attribute__((vector_size(32), aligned(8), may_alias));
#define QUAD64(p) ((quad64){(p)[0], (p)[1], (p)[2], (p)[3]})

INLINE void zero_f64(quad64 *acc)
{
    acc[0] = acc[1] = acc[2] = acc[3] = (quad64){0, 0, 0, 0};
}

INLINE void scale_f64(quad64 *acc, double by)
{
    acc[0] *= by;
    acc[1] *= by;
    acc[2] *= by;
    acc[3] *= by;
}

INLINE void store_f64(int lanes, double *to, const quad64 *acc)
{
    *(quad64 *)to = acc[0];
    *(quad64 *)(to + 4) = acc[1];
    if (lanes < 16) return;
    *(quad64 *)(to + 8) = acc[2];
    *(quad64 *)(to + 12) = acc[3];
}

INLINE void load_f64(int lanes, quad64 *acc, const double *from)
{
    acc[0] = *(const quad64 *)from;
    acc[1] = *(const quad64 *)(from + 4);
    if (lanes < 16) return;
    acc[2] = *(const quad64 *)(from + 8);
    acc[3] = *(const quad64 *)(from + 12);
}

/* acc[0 .. lanes / 4) += v[0 .. lanes), 8 or 16 of them. Written out, like the others: a loop would leave acc in
 * memory. */
INLINE void add_f64(int lanes, quad64 *acc, const double *v)
{
    acc[0] += *(const quad64 *)v;
    acc[1] += *(const quad64 *)(v + 4);
    if (lanes < 16) return;
    acc[2] += *(const quad64 *)(v + 8);
    acc[3] += *(const quad64 *)(v + 12);
}

/* acc += x y, 16 of them. */
INLINE void add_products(quad64 *acc, const float *x, const float *y)
{
    acc[0] += QUAD64(x) * QUAD64(y);
    acc[1] += QUAD64(x + 4) * QUAD64(y + 4);
    acc[2] += QUAD64(x + 8) * QUAD64(y + 8);
    acc[3] += QUAD64(x + 12) * QUAD64(y + 12);
}

/* sum x y over n floats, in an order that depends on n only. */
INLINE double sum_products(const float *x, const float *y, int64_t n)
{
    quad64 acc[QUADS];
    double lane[LANES], sum = 0;
    int64_t i = 0;
    zero_f64(acc);
    for (; i + LANES <= n; i += LANES) add_products(acc, x + i, y + i);
    store_f64(LANES, lane, acc);
    for (; i < n; i++) sum += (double)x[i] * y[i];
    for (int l = 0; l < LANES; l++) sum += lane[l];
    return sum;
}

INLINE double sum_squares(const float *x, int64_t n)
{
    return sum_products(x, x, n);
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
#define EACH_ACT(act, CALL)                                                                                            \
    switch (act) {                                                                                                     \
        ACTIVATIONS(CALL)                                                                                              \
    case ACT_COUNT: break;                                                                                             \
    }

#endif
