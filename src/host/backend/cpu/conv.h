/* What conv, conv_data and conv_weight share: one oneDNN primitive for a piece of the batch, and what has to be moved
 * to layouts that it reads. */
#ifndef HFF_BACKEND_CPU_CONV_H
#define HFF_BACKEND_CPU_CONV_H

#include "convert.h"
#include "tiles.h"

#include <stdatomic.h>

/* Where an op's arguments stand; bias -1: none. */
struct conv_roles {
    int x, w, bias, y;
};

struct conv_op {
    struct cpu_op base;
    enum conv_pass pass;
    struct conv_roles role;
    struct primitive primitive; /* for one piece */
    int64_t piece;              /* samples; pieces follow each other, and a slice is a whole number of them */
    int pieces;
    struct tensor x, y; /* a piece as the primitive reads or writes it */
    struct tensor w;    /* as the primitive reads or writes it, in bf16 where it reads x in bf16 */
    int changes_x, changes_y, moves_w;
    struct weight_move move;                      /* between the argument's layout and w */
    size_t x_bytes, y_bytes, w_bytes, bias_bytes; /* of copies, multiples of 64 */
    size_t thread_bytes;                          /* the workspace begins with this for each thread; then w */
    void *const *args;                            /* of the current run */
    char *workspace;
    atomic_int refused;
};

/* Plans for pieces of that many samples. After an error there is nothing to free. */
hff_status conv_create(struct cpu_backend *backend, const struct op_desc *desc, enum conv_pass pass, int64_t piece,
                       struct conv_op **out);
void conv_destroy(struct cpu_op *op);
/* Runs the primitive on a piece, with weights and bias as it reads or writes them. */
void conv_piece(struct conv_op *op, int piece, int thread, void *w, void *bias);
hff_status conv_outcome(const struct conv_op *op);

#endif
