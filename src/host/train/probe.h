/* The floor that a net must beat: a linear softmax on the pixels. */
#ifndef HFF_TRAIN_PROBE_H
#define HFF_TRAIN_PROBE_H

#include "data/data.h"

#include <signal.h>

/* Fits multinomial logistic regression (Adam, mini-batches, single-threaded, deterministic) on the training split's
 * normalised pixels and returns its accuracy on the given split. stop: as in stop_asked of
 * evaluate.h. */
hff_status probe_linear(const struct data *data, enum split split, int epochs, uint64_t seed,
                        const volatile sig_atomic_t *stop, double *accuracy);

#endif
