/* Training until an accuracy is reached, without a run folder: for measuring how long that takes. */
#ifndef HFF_TRAIN_UNTIL_H
#define HFF_TRAIN_UNTIL_H

#include "setup.h"

struct until {
    double accuracy; /* in: what to reach, 0 .. 1 */
    int reached;
    double best, epochs, seconds; /* out: highest seen; trained; of training, the epochs' evaluations not counted */
};

/* Trains a setup whose engine is bound and fresh from engine_init for at most run.epochs, and evaluates after every
 * epoch, and at the end, on the hold-out or without one on the test set, by predict.rule. what: for messages. */
hff_status train_until(struct setup *setup, const char *what, const volatile sig_atomic_t *stop, struct until *until);

#endif
