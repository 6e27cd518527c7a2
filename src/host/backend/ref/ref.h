/* The reference backend's inside: every op as near to its formula as it can be written, once for float and once for
 * double. Element types are REAL; sums, norms and everything in between are double in both. One thread, plain
 * layout. */
#ifndef HFF_BACKEND_REF_REF_H
#define HFF_BACKEND_REF_REF_H

#include "../op.h"

/* args in the catalogue's order, NULL where absent; work: ref_work(desc) doubles. */
typedef void (*ref_run)(const struct op_desc *desc, void *const *args, double *work);

extern const ref_run ref_f32[OP_KINDS], ref_f64[OP_KINDS];

/* Doubles of scratch that an op wants. */
size_t ref_work(const struct op_desc *desc);

#endif
