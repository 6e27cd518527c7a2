/* A large product C (m, n), cut into tiles: a task computes one. */
#ifndef HFF_BACKEND_CPU_TILES_H
#define HFF_BACKEND_CPU_TILES_H

#include "cut.h"

/* The last tiles of either direction may be smaller, so there are up to four different products. */
struct tiles {
    struct cut m, n;
    struct product *product[2][2]; /* [short in m][short in n] */
    size_t scratch;                /* bytes that a running thread needs, a multiple of 64 */
};

/* desc: of all of C; m and n of the tiles come from the cuts. tiles_free is due also after an error. */
hff_status tiles_create(struct tiles *out, struct cut m, struct cut n, const struct product_desc *desc);
const struct product *tiles_product(const struct tiles *tiles, int i, int j);
void tiles_free(struct tiles *tiles);

/* HFF_E_CONFIG for real arguments in f64. */
hff_status cpu_check_types(const struct op_desc *desc);
/* Samples of a slice, or of the batch where slices do not divide it; checks the types too. */
hff_status slice_samples(const struct op_desc *desc, int64_t *samples);

#endif
