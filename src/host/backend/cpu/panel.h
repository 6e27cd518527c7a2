/* Matrix products in f32 by own code: where oneDNN's matmul of the same shape leaves a third of the processor idle. */
#ifndef HFF_BACKEND_CPU_PANEL_H
#define HFF_BACKEND_CPU_PANEL_H

#include "cpu.h"

/* Whether a product is one for panel_run here. */
int panel_fits(const struct product_desc *desc);
size_t panel_scratch(const struct product_desc *desc); /* bytes, a multiple of 64 */
void panel_run(const struct product_desc *desc, const float *a, const float *b, float *c, void *scratch);

/* C (m, n) = the sum along the tree (../tree.h) of slices products A_s' B_s, whose k rows follow each other in A and B;
 * A transposed, not accumulating. */
size_t panel_slices_scratch(const struct product_desc *desc, int slices); /* bytes, a multiple of 64 */
void panel_slices_run(const struct product_desc *desc, int slices, const float *a, const float *b, float *c,
                      void *scratch);

#endif
