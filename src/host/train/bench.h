/* Measuring: how long steps, ops and the data path take. Nothing is asserted here; rows carry the number of runs and
 * their spread. */
#ifndef HFF_TRAIN_BENCH_H
#define HFF_TRAIN_BENCH_H

#include "train.h"

struct bench_request {
    const char *config_path;
    const char *const *sets;
    int set_count;
    int runs; /* measured repetitions; 0: the default of the bench */
    int json;
    int heads; /* train, ops, data: classes of the heads; 0: the data's */
    /* infer */
    const int *classes, *batches;
    int class_count, batch_count;
    const char *const *models; /* run folders or model files */
    int model_count;
    const char *figure; /* PNG with bars, of models; NULL */
    struct console console;
};

/* Training steps of the config's net on one batch of its data: milliseconds, images/s, phases, bytes. */
hff_status bench_train(const struct bench_request *request, FILE *out);
/* Every op of every stage's program: milliseconds, GFLOP/s, GB/s, share of a step. */
hff_status bench_ops(const struct bench_request *request, FILE *out);
/* The loader and augmentation alone, by number of loader threads: images/s, and the share that would be of a
 * training step. */
hff_status bench_data(const struct bench_request *request, FILE *out);

/* Predicting with the config's layers, as HFF and as FF, for every number of classes and every batch asked for. */
hff_status bench_infer(const struct bench_request *request, FILE *out);
/* Trained models: accuracy on their test data, and prediction speed, measured in turns. */
hff_status bench_models(const struct bench_request *request, FILE *out);

#endif
