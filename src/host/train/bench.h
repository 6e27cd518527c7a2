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
    /* train */
    const char *methods; /* names with commas between them; NULL: the config as it is */
    double until;        /* of methods: train each to this accuracy too; 0: no */
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
/* The same net trained by several methods, measured in turns; with until also epochs and time to an accuracy. A method
 * that the net cannot have is reported as refused; HFF_E_CONFIG or HFF_E_MEMORY when all are. */
hff_status bench_methods(const struct bench_request *request, FILE *out);

/* The methods: name, objective, keys laid over the config (net.partition; engine.recompute; parts of a batch, whose
 * run.micro_batch is as many times smaller, 0: the config's), what it is for people. Local methods keep the config's
 * net.partition. */
#define METHODS(X)                                                                                                     \
    X("hff", "hff", NULL, NULL, 0, "stages by cosines to prototypes")                                                  \
    X("ff", "ff", NULL, NULL, 0, "Forward-Forward")                                                                    \
    X("softmax", "softmax", NULL, NULL, 0, "stages by linear heads")                                                   \
    X("cwc", "cwc", NULL, NULL, 0, "stages by channel energy")                                                         \
    X("backprop", "softmax", "net.partition=whole", NULL, 0, "the whole net by a linear head")                         \
    X("backprop_hff", "hff", "net.partition=whole", NULL, 0, "the whole net by cosines to prototypes")                 \
    X("backprop_recompute", "softmax", "net.partition=whole", "engine.recompute=auto", 0,                              \
      "as backprop, recomputing activations")                                                                          \
    X("backprop_micro", "softmax", "net.partition=whole", NULL, 4, "as backprop, a batch in four parts")

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
