/* 3 x 3 convolutions of stride 1 with 'same' padding by Winograd's minimal filtering F(4 x 4, 3 x 3) (Lavin & Gray,
 * arXiv 1509.09308): 36 products of channels where the definition needs 144. For a tile of 4 x 4 outputs with its 6 x 6
 * inputs d, filter g and output gradient dy,
 *
 *     V = B' d B,  U = G g G',  y = A' (sum over channels of U . V) A,
 *     Z = A dy A', dg = G' (sum over tiles of Z . V) G,
 *
 * where . goes element by element: position p of 36 is a matrix product of its own, over channels forward, over tiles
 * for the weights' gradient. The matrices come from the points 0, +-5/8, +-3/2 and infinity: exact in binary, and
 * with rounding errors about twice those of the direct sum (+-1, +-2 in the usual choice: four to five times). All in
 * f32, also where activations are bf16.
 *
 * Channels lie in blocks of 16 (LAYOUT_BLOCKED with AVX-512); without them the convolution is oneDNN's. */
#ifndef HFF_BACKEND_CPU_WINOGRAD_H
#define HFF_BACKEND_CPU_WINOGRAD_H

#include "dnnl.h"

/* Whether a conv, conv_data or conv_weight is one for this file's ways. */
int winograd_fits(const struct cpu_backend *backend, const struct op_desc *desc, enum conv_pass pass);
hff_status winograd_create(struct cpu_backend *backend, const struct op_desc *desc, enum conv_pass pass,
                           struct cpu_op **out);
hff_status winograd_weight_create(struct cpu_backend *backend, const struct op_desc *desc, struct cpu_op **out);

#endif
