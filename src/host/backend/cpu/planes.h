/* Planes: how pooling walks over an activation. A plane is what lies together of one sample: one block of channels in
 * LAYOUT_BLOCKED, one channel in LAYOUT_PLAIN (a slow way; the cpu backend's own layout is the blocked one). */
#ifndef HFF_BACKEND_CPU_PLANES_H
#define HFF_BACKEND_CPU_PLANES_H

#include "groups.h"

struct planes {
    int lanes;      /* 16, 8 or 1 */
    struct cut cut; /* all samples' planes, in tasks */
};

/* Of two activations that lie alike and differ in height and width only; the larger makes a task big enough. */
static inline hff_status planes_make(struct planes *out, const struct tensor *a, const struct tensor *b)
{
    enum { TASK_FLOATS = 16384 };
    struct groups groups;
    TRY(groups_make(&groups, a, 1));
    TRY(groups_same(a, b));
    int64_t area = tensor_area(a) > tensor_area(b) ? tensor_area(a) : tensor_area(b);
    out->lanes = groups.blocked ? groups.lanes : 1;
    area *= out->lanes;
    out->cut =
        cut_exact(a->dim[0] * (groups.blocked ? groups.count : groups.channels), (TASK_FLOATS + area - 1) / area);
    return HFF_OK;
}

/* A function body for a CPU_SIMD function: CALL(lanes) with lanes a constant. */
#define EACH_LANES(lanes, CALL)                                                                                        \
    if ((lanes) == 16)                                                                                                 \
        CALL(16);                                                                                                      \
    else if ((lanes) == 8)                                                                                             \
        CALL(8);                                                                                                       \
    else                                                                                                               \
        CALL(1);

#endif
