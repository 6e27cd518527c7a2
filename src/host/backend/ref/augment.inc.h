/* Batches of images (augment). Included by ops.inc.h. */

#include "../augment.h"

static void augment(const struct op_desc *d, void *const *args, double *work)
{
    REAL *x = args[6];
    int64_t size = tensor_row(&d->arg[6]);
    float *row = (float *)((char *)work + augment_scratch(d));
    for (int64_t b = 0; b < d->arg[6].dim[0]; b++, x += size) {
        augment_row(d, args, b, work, row);
        for (int64_t i = 0; i < size; i++) x[i] = (REAL)row[i];
    }
}
