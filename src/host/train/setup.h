/* From a checked config to data, net, backend and engine: what training, evaluation and info share. */
#ifndef HFF_TRAIN_SETUP_H
#define HFF_TRAIN_SETUP_H

#include "train.h"

/* The run.* keys. */
struct run_options {
    const char *name, *out, *backend;
    enum dtype act;           /* run.dtype */
    enum precision precision; /* likewise */
    uint64_t seed;
    double epochs, checkpoint_every, time_limit, until_accuracy;
    int batch, micro, threads, slices, log_every, keep, final_best;
};

struct setup {
    struct config *config;
    struct run_options run;
    int trained;       /* of a model: how many stages have learnt; 0: all */
    struct data *data; /* NULL when opened without data */
    char *plans;       /* what chosen gave the run that is to go on (backend.h); owned; NULL: nothing */
    int looks_only;    /* nothing will be trained: plans of convolutions are not tried */
    int classes;       /* of the heads; 0: as many as the data has, else no fewer */
    struct net *net;
    struct backend *backend;
    struct engine *engine;
};

/* Reads the run.* and predict.* keys; HFF_E_CONFIG when micro-batches do not divide the batch
 * or slices not those. */
hff_status setup_options(struct setup *setup);

/* Opens data, backend, net and engine (not bound). training 0: to evaluate only. */
hff_status setup_open(struct setup *setup, int training);
/* The same without data, for a model whose input and classes are known. */
hff_status setup_open_for(struct setup *setup, const struct shape *input, int classes, int64_t stage_steps);
void setup_close(struct setup *setup); /* everything, config too */

/* Of a loader of training batches from the setup's data, as its config says; no timeline. */
struct loader_options setup_training_loader(const struct setup *setup);

/* Steps of one epoch, of each stage's training, and of the whole run (once the engine is open). */
int64_t setup_epoch_steps(const struct setup *setup);
int64_t setup_stage_steps(const struct setup *setup);
int64_t setup_total_steps(const struct setup *setup);

/* All bytes that a run plans: the engine's, the batches that its training and evaluation loaders hold, and what the
 * hold-out's evaluation keeps to fit the stages' weights. */
size_t setup_planned_bytes(const struct setup *setup);
size_t setup_loader_bytes(const struct setup *setup);
size_t setup_evaluation_bytes(const struct setup *setup);

/* HFF_E_MEMORY, with both figures, when the machine has less memory left than the plan needs. */
hff_status setup_fits(const struct setup *setup);

/* The plan: one row a stage, then bytes by arena. */
void plan_print(const struct setup *setup, FILE *out, const struct console *console);
void plan_json(const struct setup *setup, json_t *out);

#endif
