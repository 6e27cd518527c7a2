/* What the batch norm ops share: a group's numbers, and y = act(gamma (x - mean) invstd + beta). */
#ifndef HFF_BACKEND_CPU_NORM_H
#define HFF_BACKEND_CPU_NORM_H

#include "groups.h"

struct norm_lanes {
    float mean[LANES], invstd[LANES], gamma[LANES], beta[LANES];
};

/* The same expression wherever it is needed, so that forward and backward agree on the sign of a ReLU's argument. */
INLINE float norm_hat(const struct norm_lanes *n, int lane, float x)
{
    return (x - n->mean[lane]) * n->invstd[lane];
}

INLINE float norm_value(const struct norm_lanes *n, int lane, float hat)
{
    return n->gamma[lane] * hat + n->beta[lane];
}

/* Lines of a chunk; x and y may be the same. */
void norm_lines(enum act act, const struct groups *groups, const struct norm_lanes *n, const void *x, void *y,
                int64_t lines);

#endif
