/* Nets: a list of stages from a config, with every shape known. Stages are numbered from 1. No gradient crosses the
 * line between two stages. */
#ifndef HFF_NET_H
#define HFF_NET_H

#include "config/config.h"
#include "layer.h"

extern const struct config_row net_rows[];

enum between { BETWEEN_NONE, BETWEEN_L2 };

struct stage {
    int number;                          /* from 1 */
    char name[32];                       /* "conv 3x3, 96" for people */
    const struct config_node *objective; /* the stage's overrides, NULL: none */
    const struct config_node *optimizer;
    struct layers body;
    enum between between; /* what it does to h before passing it on; NONE for the last stage */
    struct shape in, out; /* out: of h */
};

struct net {
    int count;
    struct stage *stage;
    struct arena arena;
};

/* Builds the stages of the config's "net" map for inputs of the given shape (channels, height, width). HFF_E_CONFIG
 * with the place in the config. */
hff_status net_build(struct net **out, const struct config_node *net_node, const struct shape *input);
void net_free(struct net *net);

/* A kind of stage: a key of an item of net.stages, one row each in stages.c. */
struct stage_kind {
    const char *name;
    hff_status (*build)(struct stage *stage, const struct config_node *node);
};

/* Adds the stage's parameters (stage_params, once), its forward ops from value x (returns h; *passed is the value
 * that it passes on, h itself or normalised, -1 for the last stage), and its backward ops from dh. */
void stage_params(struct graph *graph, struct stage *stage);
int stage_forward(struct graph *graph, struct stage *stage, int x, enum section section, int last, int *passed);
void stage_backward(struct graph *graph, struct stage *stage, int dh);

#endif
