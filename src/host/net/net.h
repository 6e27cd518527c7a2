/* Nets: a list of stages from a config, with every shape known. Stages are numbered from 1. No gradient crosses the
 * line between two stages. net.partition says which items of net.stages learn together as one stage; what it joins keeps
 * the normalisation between items as a layer, so that the net computes the same. */
#ifndef HFF_NET_H
#define HFF_NET_H

#include "config/config.h"
#include "layer.h"

extern const struct config_row net_rows[];

enum between { BETWEEN_NONE, BETWEEN_L2 };

struct stage {
    int number;                          /* from 1 */
    char name[64];                       /* "conv 3x3, 96" for people */
    char prefix[16];                     /* "2." before the names of an item's layers where there are several items */
    int items, normed;                   /* items of net.stages so far; the last one ends with batch norm */
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

/* A kind of item of net.stages: one row each in stages.c. Its layers are added to the stage's body. */
struct stage_kind {
    const char *name;
    hff_status (*build)(struct stage *stage, const struct config_node *node);
    /* With partition block: whether a stage ends with such an item although an equal kind follows. */
    int (*ends_block)(const struct config_node *node);
};
extern const struct stage_kind stage_kinds[]; /* ended by name NULL */

/* The residual blocks of stage_kinds (blocks.c). */
hff_status build_basic_block(struct stage *stage, const struct config_node *node);
hff_status build_bottleneck(struct stage *stage, const struct config_node *node);

/* For builders: appends a layer, the stage's prefix before its name; node is what an error is about. */
hff_status stage_add(struct stage *stage, const struct config_node *node, struct layer layer);
/* Says what an item is, for people. */
void stage_name(struct stage *stage, const char *format, ...) PRINTF_LIKE(2, 3);
/* What the stage has so far puts out. */
struct shape stage_shape(const struct stage *stage);

/* Adds the stage's parameters (stage_params, once), its forward ops from value x (returns h; *passed is the value
 * that it passes on, h itself or normalised, -1 for the last stage), and its backward ops from dh. */
void stage_params(struct graph *graph, struct stage *stage);
int stage_forward(struct graph *graph, struct stage *stage, int x, enum section section, int last, int *passed);
void stage_backward(struct graph *graph, struct stage *stage, int dh);

#endif
