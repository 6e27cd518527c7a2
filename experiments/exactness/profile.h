/* Where the time of a training step goes, measured inside whole steps. */
#ifndef EXACTNESS_PROFILE_H
#define EXACTNESS_PROFILE_H

#include "train/setup.h"

/* Sorts. */
double median(double *numbers, int count);

struct profile {
    double step;                                             /* engine_step: median seconds */
    double walk;                                             /* the same ops run one by one with a clock between */
    double kind[OP_KINDS], flops[OP_KINDS], bytes[OP_KINDS]; /* of a step; seconds are medians over steps */
    int count[OP_KINDS];                                     /* instructions of a step */
    double stage[64];                                        /* seconds of the first 64 stages */
    int disturbed; /* steps that other processes disturbed, however often they were taken again */
};

/* steps measured steps after two others, on one random batch. The engine is bound and initialised here. */
hff_status profile_take(struct profile *out, struct setup *setup, const struct shape *input, int classes, int steps);
void profile_print(const struct profile *profile, FILE *out);

#endif
