/* Timing predictions: several ways to predict the same number of images, measured in turns, so that what else happens
 * on the machine meets all of them alike. */
#ifndef HFF_TRAIN_INFER_H
#define HFF_TRAIN_INFER_H

#include "evaluate.h"
#include "setup.h"

/* One way to predict. Its setup's engine is open; contender_start does the rest. */
struct contender {
    const char *name; /* "hff", "ff_original", ... */
    struct setup setup;
    struct rules rules;
    enum rule rule;
    struct batch batch; /* noise: time does not depend on what is in an image */
    float *scores;
    int32_t *labels;       /* what was predicted last */
    double *seconds;       /* of every call, (room) */
    double *round;         /* median of each round's calls, (rounds) */
    int calls, room, each; /* each: calls of a round */
};

/* Binds the engine and fills a batch; parameters are the caller's to set. */
hff_status contender_start(struct contender *contender, int rounds);
void contender_close(struct contender *contender); /* the setup too */

/* Predicts the batch: scores of all stages, joined by the rule into a class for each image. */
hff_status contender_predict(struct contender *contender);

/* rounds in which every contender predicts, the slow ones once, the quick ones several times. stop: as in stop_asked. */
hff_status contenders_time(struct contender *contenders, int count, int rounds, const volatile sig_atomic_t *stop);

struct latency {
    double images_per_s, p50, p99, min, max; /* seconds; images_per_s from p50 */
    int runs;
};
struct latency contender_latency(const struct contender *contender);

/* How many times as long as by takes: the median over rounds. */
double contender_ratio(const struct contender *contender, const struct contender *by, int rounds);

#endif
