/* Objectives: what a stage's loss is. Each is one file and one row of the table in objectives.c; nothing below this
 * room knows their names.
 *
 * An objective adds its head (its own parameters and ops) to a stage's graph: in training it turns h into loss,
 * metrics and dh; in evaluation into scores. */
#ifndef HFF_OBJECTIVE_H
#define HFF_OBJECTIVE_H

#include "config/config.h"
#include "net/net.h"

extern const struct config_row objective_rows[];

/* What the objective gets and gives. */
struct head {
    struct graph *graph;
    struct arena *arena;              /* for the lists of layers */
    const struct config_node *config; /* the "objective" map, the stage's overrides laid over it */
    int stage;                        /* from 1 */
    int classes;
    struct shape shape;   /* of h */
    int64_t global_batch; /* samples over which the loss is a mean */
    int y1, y2, weight;   /* ROLE_BATCH */
    int tick;             /* (TICKS) i64, ROLE_BATCH: the step or the pass of an evaluation */
    struct stage *body;
    int stages;
    const struct config_node *root; /* the whole config */
    int64_t batch;                  /* samples that a run of the program takes */
    struct shape image;             /* of the host's images */
    double white;                   /* what a white pixel is after normalisation */
    int64_t epoch_steps;            /* 0 when it will only evaluate */
    int input;                      /* what the stage receives, B rows; stage 1: the host's images */
    /* out */
    int h, h_eval; /* the body's output in training and in evaluation */
    /* Rows of a training step, rows and passes of an evaluation: the same in all stages of a net. 0: a row for each
     * sample, one pass. In pass p of an evaluation the stage fills its part of scores_eval. */
    int64_t rows, rows_eval, passes;
    int sum_from;              /* first stage of rule sum where predict.from is auto; 0: the rule's own */
    const char *own, *other;   /* what METRIC_OWN and METRIC_OTHER are called in logs; NULL: cosine_own, cosine_other;
                                * "": there are no METRIC_OWN .. METRIC_DEAD */
    struct layers embed;       /* from h to the embedding, or on to the scores */
    struct layers similar;     /* from h to what the similarity term compares; empty without that term */
    int64_t embedding;         /* D */
    int dh;                    /* gradient of h */
    int scores_eval;           /* (B, classes), ROLE_STAT */
    int features_eval;         /* (B, D): the embedding, plain, read by the last op of SECTION_EVAL; -1: none */
    int metrics, metrics_eval; /* (METRICS) f64, ROLE_STAT: added to, for the host to read and clear */
    int wins;       /* (classes x per_class) i64, ROLE_STAT: samples that each prototype won; -1: not counted */
    int prototypes; /* (classes, per_class, D), ROLE_PARAM; -1: the objective has none */
};

struct objective {
    const char *name, *help;
    hff_status (*build)(struct head *head);
};

/* The objectives: word in configs, the function in objective/NAME.c, what it is for people. The first row begins
 * without a bar, the others with one: the words side by side are the config's choices. */
#define OBJECTIVES(X)                                                                                                  \
    X("", "hff", hff_build, "cosines to learned class prototypes, cross-entropy or pairwise loss (arXiv 2605.00082)")  \
    X("|", "ff", ff_build, "the Forward-Forward algorithm: much activity for true labels, little for wrong ones")      \
    X("|", "softmax", softmax_build, "cross-entropy of a linear layer on the embedding (arXiv 1812.11446)")            \
    X("|", "cwc", cwc_build, "cross-entropy of the classes' shares of channel energy (arXiv 2312.12668)")

extern const struct objective objectives[]; /* ended by name NULL */

/* The objective that the node asks for. */
const struct objective *objective_find(const struct config_node *node);

/* Adds the body to forward and eval, a row for each sample, and fills h and h_eval. Begins the build of an objective
 * that has no reason to do otherwise. */
void head_body(struct head *head);

/* What the first stage receives for an image of shape *input, where the objective adds planes to it. */
hff_status objective_input(const struct config *config, int classes, struct shape *input);

/* What objectives share. head_embed: the head.* keys (pool, AuxConv, activation and grid of METHOD.md 1.1) as layers from
 * h to a flat embedding. */
hff_status head_embed(struct head *head);
/* metrics and metrics_eval. */
void head_metrics(struct head *head);
/* The rest of a head whose embed layers compute scores (B, classes): cross-entropy of their softmax, and dh. */
void head_cross_entropy(struct head *head);
/* The similarity-matching term, where objective.sim.beta asks for it: its gradient is added to dh. The objective's own
 * loss must have taken head_discount as its discount. */
hff_status head_similarity(struct head *head);
double head_discount(const struct head *head);

hff_status ff_input(const struct config_node *config, int classes, struct shape *input);

#define DECLARE(bar, name, build, help) hff_status build(struct head *head);
OBJECTIVES(DECLARE)
#undef DECLARE

#endif
