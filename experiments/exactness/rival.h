/* What hff's products and convolutions are compared with: one oneDNN primitive over the whole batch, made for several
 * OpenMP threads, in each of a few layouts. Such a primitive cuts sums over samples as it likes, so its bits depend on
 * the number of threads; that is the freedom whose price exactness is. */
#ifndef EXACTNESS_RIVAL_H
#define EXACTNESS_RIVAL_H

#include "backend/cpu/dnnl.h"

enum { RIVALS = 6, RIVAL_STEPS = 2 };

struct rival {
    const char *way;                    /* primitive and layouts, in words */
    struct primitive step[RIVAL_STEPS]; /* run one after the other; the second is there for a matmul's bias gradient */
    int steps, threads;
    void *data[RIVAL_STEPS][PRIMITIVE_ARGS], *scratch[RIVAL_STEPS];
    void *memory; /* holds all of them */
};

/* All that oneDNN has quick code for, with arguments of their own in the layouts they want. desc: one of the six kinds
 * of product and convolution. */
hff_status rivals_open(struct rival out[RIVALS], int *count, struct backend *backend, const struct op_desc *desc,
                       int threads);
void rival_run(const struct rival *rival);
void rivals_close(struct rival *rivals, int count, struct backend *backend);

/* Small numbers of both signs: what memory held before may be anything, and denormal numbers are slow. */
void fill_random(void *memory, size_t floats);

#endif
