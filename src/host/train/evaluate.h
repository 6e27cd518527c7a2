/* Evaluation: scores of every stage over a split, joined into predictions. METHOD.md 1.7: every rule is a vector of
 * weights over stages, prediction = argmax_c sum_l a_l log softmax(s_l)_c. */
#ifndef HFF_TRAIN_EVALUATE_H
#define HFF_TRAIN_EVALUATE_H

#include "engine/engine.h"

#include <signal.h>

/* The rules: name, word in configs. The first row begins without a bar, the others with one: the words side by side
 * are the config's choices. */
#define RULE_TABLE(X)                                                                                                  \
    X("", LAST, "last")                                                                                                \
    X("|", SUM, "sum")                                                                                                 \
    X("|", WEIGHTED, "weighted")                                                                                       \
    X("|", BEST, "best")

enum rule {
#define RULE_NAME(bar, name, word) RULE_##name,
    RULE_TABLE(RULE_NAME)
#undef RULE_NAME
        RULES
};
#define RULE_WORD(bar, name, word) bar word
#define RULE_WORDS RULE_TABLE(RULE_WORD) /* "last|sum|..." */
const char *rule_name(enum rule rule);
int rule_parse(const char *name); /* -1 */

/* Weights of each rule for a net; weighted and best are known once they were fitted on a hold-out. */
struct rules {
    int stages;
    int from; /* as given to rules_open */
    int known[RULES];
    double *weight[RULES]; /* (stages) each */
    struct arena arena;
};
/* from: predict.from, 0 for auto. */
void rules_open(struct rules *rules, int stages, int from);
/* last and sum become those of a net's first stages only: the others have not learnt yet. */
void rules_use(struct rules *rules, int stages);
void rules_close(struct rules *rules);

struct evaluation {
    int64_t samples; /* seen so far; of how many: total */
    int64_t total;
    int stages; /* that were evaluated: the engine's */
    int classes;
    double *stage_accuracy; /* (stages) */
    double *stage_loss;     /* (stages), each of its own objective, without margin and smoothing */
    double accuracy[RULES]; /* of the known rules, as the next two */
    double loss[RULES];     /* - mean log of the joined probability of the true class */
    double top5[RULES];     /* where classes >= 10 */
    int64_t *confusion;     /* (classes, classes) of the rule that was asked for; row: true class */
    double seconds;
    float *scores;    /* (stages, samples, classes), only when asked for */
    float **features; /* (stages) of (samples, D of the stage), only when asked for */
    int32_t *labels;  /* (samples), with either of them */
    struct arena arena;
};

/* HFF_E_INTERRUPTED, or HFF_E_TERMINATED for SIGTERM, once *signal is the number of a signal; signal may be NULL. */
hff_status stop_asked(const volatile sig_atomic_t *signal, const char *during);

/* What a pass keeps of every sample, beside figures. */
enum { KEEP_NOTHING = 0, KEEP_SCORES = 1, KEEP_FEATURES = 2 };

/* One pass over a split. The config's data map is for the loader. keep: KEEP_SCORES, KEEP_FEATURES or both.
 * stop: as in stop_asked. */
hff_status evaluate(struct engine *engine, const struct data *data, enum split split, int workers,
                    const struct rules *rules, enum rule rule, int keep, const volatile sig_atomic_t *stop,
                    struct evaluation *out);
void evaluation_free(struct evaluation *evaluation);
/* Bytes that an evaluation with KEEP_SCORES holds; *fit: those that rules_fit takes on top while it works. */
size_t evaluation_bytes(const struct engine *engine, int64_t samples, size_t *fit);

/* Joins one sample's scores (stage l's at scores + l * stride) by a rule into normalised log-probabilities joined[0
 * .. classes-1]; returns the predicted class. joined has room for 2 * classes numbers. */
int rules_join(const struct rules *rules, enum rule rule, const float *scores, size_t stride, int classes,
               double *joined);

/* Fits weighted and best on an evaluation of the hold-out that kept its scores, and fills in the evaluation's
 * figures for them. */
hff_status rules_fit(struct rules *rules, struct evaluation *holdout);

#endif
