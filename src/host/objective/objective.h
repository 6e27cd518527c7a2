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
    const struct config_node *config; /* the "objective" map, the stage's overrides laid over it */
    int stage;                        /* from 1 */
    int classes;
    struct shape shape;   /* of h */
    int64_t global_batch; /* samples over which the loss is a mean */
    int y1, y2, weight;   /* ROLE_BATCH */
    int h, h_eval;        /* in: the body's output in training and in evaluation */
    /* out */
    struct layers embed;       /* from h to the embedding */
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
    X("", "hff", hff_build, "cosines to learned class prototypes, cross-entropy or pairwise loss (arXiv 2605.00082)")

extern const struct objective objectives[]; /* ended by name NULL */

/* The objective that the node asks for. */
const struct objective *objective_find(const struct config_node *node);

/* head.* keys: pool, AuxConv, activation and grid of METHOD.md 1.1, as layers from h to a flat embedding; shared by
 * objectives. */
hff_status head_embed(struct head *head);

#define DECLARE(bar, name, build, help) hff_status build(struct head *head);
OBJECTIVES(DECLARE)
#undef DECLARE

#endif
