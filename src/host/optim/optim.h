/* Optimizers and learning-rate schedules. An optimizer is one row of the table in optim.c: it adds its moments and
 * update ops to a stage's graph. State is per stage. */
#ifndef HFF_OPTIM_H
#define HFF_OPTIM_H

#include "config/config.h"
#include "net/graph.h"

extern const struct config_row optim_rows[];

/* The shapes of the rate: word in configs, the function in schedule.c. The first row begins without a bar, the others
 * with one: the words side by side are the config's choices. */
#define SCHEDULES(X)                                                                                                   \
    X("", "cosine", cosine)                                                                                            \
    X("|", "linear", linear)                                                                                           \
    X("|", "step", steps)                                                                                              \
    X("|", "constant", constant)

/* How a stage's rate and bias corrections depend on its own step. */
struct schedule {
    int kind;      /* a row of SCHEDULES */
    double rate;   /* optimizer.lr */
    double warmup; /* steps */
    double hold;   /* steps after it at the full rate */
    double final;  /* share of the rate at the end */
    double total;  /* steps of the whole run */
    double beta1, beta2;
};

/* Adds gradient norm, update, retraction and clamping ops to the graph's update section, with their moments; hyper
 * and norm are set to the values (HYPERS, NORMS f64) that the engine writes and reads. config: the "optimizer" map
 * with the stage's overrides. */
hff_status optim_build(struct graph *graph, const struct config_node *config, int *hyper, int *norm);

/* The schedule of the same config for a run of total steps. */
struct schedule schedule_make(const struct config_node *config, double total);

/* The learning rate of step (from 1). */
double schedule_rate(const struct schedule *schedule, int64_t step);

/* Fills the HYPERS numbers for step (from 1). */
void schedule_hyper(const struct schedule *schedule, int64_t step, double *hyper);

#endif
