/* Moving the same elements from one layout and type to another: samples of activations, and weights. */
#ifndef HFF_BACKEND_CPU_CONVERT_H
#define HFF_BACKEND_CPU_CONVERT_H

#include "dnnl.h"

/* Samples whose shapes agree up to flattening, from one plain or blocked layout to another, from f32 or bf16 to either;
 * lanes that pad become 0. */
void convert_samples(const struct tensor *to, void *out, const struct tensor *from, const void *in, int64_t samples);

/* Weights, by oneDNN: in parts along the first dimension where they are large and the layouts can be cut there. */
enum { WEIGHT_PARTS = 32 };
struct weight_move {
    int parts;
    struct primitive part[WEIGHT_PARTS];
    size_t scratch; /* of a running thread, a multiple of 64 */
};
/* After an error there is nothing to free. */
hff_status weight_move_create(struct weight_move *out, const struct mem_layout *to, const struct mem_layout *from);
/* scratch: move->scratch bytes for each thread of the team. */
hff_status weight_move_run(const struct weight_move *move, struct team *team, void *out, void *in, void *scratch);
void weight_move_free(struct weight_move *move);

#endif
