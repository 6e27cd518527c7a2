/* Drawing a class that is not the true one: the same numbers in every backend. */
#ifndef HFF_BACKEND_WRONG_LABEL_H
#define HFF_BACKEND_WRONG_LABEL_H

#include <stdint.h>

/* The negative label of sample number in its step: 0 .. classes-1 (at least 2) but never label. scores NULL: each as
 * likely as the others; else (classes) logarithms of weights, which are overwritten. */
int32_t wrong_label(uint64_t seed, int64_t step, int64_t sample, int32_t label, int classes, double *scores);

#endif
