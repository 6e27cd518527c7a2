/* Planes: how pooling walks over an activation. A plane is what lies together of one sample: one block of channels in
 * LAYOUT_BLOCKED, one channel in LAYOUT_PLAIN (a slow way; the cpu backend's own layout is the blocked one). */
#ifndef HFF_BACKEND_CPU_PLANES_H
#define HFF_BACKEND_CPU_PLANES_H

#include "groups.h"

struct planes {
    int lanes; /* 16, 8 or 1 */
    enum dtype type;
    struct cut cut; /* all samples' planes, in tasks */
};

/* Of two activations that lie alike and differ in height and width only; the larger makes a task big enough. */
static inline hff_status planes_make(struct planes *out, const struct tensor *a, const struct tensor *b)
{
    enum { TASK_ELEMENTS = 16384 };
    struct groups groups;
    TRY(groups_make(&groups, a, 1));
    TRY(groups_same(a, b));
    int64_t area = tensor_area(a) > tensor_area(b) ? tensor_area(a) : tensor_area(b);
    out->lanes = groups.blocked ? groups.lanes : 1;
    out->type = groups.type;
    area *= out->lanes;
    out->cut =
        cut_exact(a->dim[0] * (groups.blocked ? groups.count : groups.channels), (TASK_ELEMENTS + area - 1) / area);
    return HFF_OK;
}

/* Asks for n elements that a two-dimensional pattern is about to use: the processor foresees only straight runs. */
INLINE void foresee(enum dtype type, const void *x, int64_t i, int64_t n)
{
    const char *end = element_at(type, x, i + n);
    for (const char *line = element_at(type, x, i); line < end; line += 64) __builtin_prefetch(line);
}

/* A function body for a CPU_SIMD function: CALL(lanes, type) with both as constants. */
#define EACH_PLANE(planes, CALL)                                                                                       \
    switch ((planes)->lanes) {                                                                                         \
    case 16: EACH_TYPE((planes)->type, CALL, 16) break;                                                                \
    case 8: EACH_TYPE((planes)->type, CALL, 8) break;                                                                  \
    default: EACH_TYPE((planes)->type, CALL, 1)                                                                        \
    }
#define EACH_TYPE(type, CALL, lanes)                                                                                   \
    if ((type) == DTYPE_F32)                                                                                           \
        CALL(lanes, DTYPE_F32);                                                                                        \
    else                                                                                                               \
        CALL(lanes, DTYPE_BF16);

#endif
