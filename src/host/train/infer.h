/* Timing predictions: several ways to predict the same number of images, measured in turns. */
#ifndef HFF_TRAIN_INFER_H
#define HFF_TRAIN_INFER_H

#include "evaluate.h"
#include "setup.h"
#include "turns.h"

/* One way to predict. Its setup's engine is open; contender_start does the rest. */
struct contender {
    const char *name; /* "hff", "ff_original", ... */
    struct setup setup;
    struct rules rules;
    enum rule rule;
    struct batch batch; /* noise: time does not depend on what is in an image */
    float *scores;
    int32_t *labels; /* what was predicted last */
    struct turns turns;
};

/* Binds the engine and fills a batch; parameters are the caller's to set. */
hff_status contender_start(struct contender *contender, int rounds);
void contender_close(struct contender *contender); /* the setup too */

/* Predicts the batch: scores of all stages, joined by the rule into a class for each image. */
hff_status contender_predict(struct contender *contender);

/* rounds in which every contender predicts. stop: as in stop_asked. */
hff_status contenders_time(struct contender *contenders, int count, int rounds, const volatile sig_atomic_t *stop);
/* Of a call; images_per_s is from its median. */
struct spread contender_latency(const struct contender *contender, double *images_per_s);

#endif
