/* One stage's computation as a graph: values (shapes, roles) and nodes (ops on values), in sections. No layouts, no
 * memory, no backend: layers, objectives and optimizers add to it, the program room lowers it onto a backend. */
#ifndef HFF_NET_GRAPH_H
#define HFF_NET_GRAPH_H

#include "backend/op.h"
#include "base/arena.h"

/* A training step runs forward, head, backward, update, and pack, which no graph has nodes in: weights as ops want them
 * (program/pack.c). Evaluation runs eval. Where stages learn in turn, those that have
 * learnt run frozen instead: forward on the step's rows with running statistics, nothing kept, nothing changed. Where an
 * objective has a preview, the stages' run before the step, so that the first stage may learn from what the last one says
 * of the same batch. */
enum section {
    SECTION_FORWARD,
    SECTION_HEAD,
    SECTION_BACKWARD,
    SECTION_UPDATE,
    SECTION_PACK,
    SECTION_FROZEN,
    SECTION_EVAL,
    SECTION_PREVIEW,
    SECTIONS
};
const char *section_name(enum section section);
/* Whether a backward follows, for which a forward pass keeps what it needs, and running statistics change. */
int section_learns(enum section section);

enum role {
    ROLE_INPUT,  /* what the stage receives */
    ROLE_OUTPUT, /* what it passes on */
    ROLE_BATCH,  /* labels and weights, the same for every stage */
    ROLE_ACT,    /* lives inside a step */
    ROLE_HELD,   /* lives from the preview to the end of the step, or through all passes of an evaluation */
    ROLE_PARAM,  /* in the model file; trained unless its group is GROUP_FROZEN */
    ROLE_STATE,  /* in the model file, changed by the forward pass (running statistics) */
    ROLE_GRAD,   /* of a parameter */
    ROLE_MOMENT, /* in the optimizer file */
    ROLE_STAT,   /* read by the host now and then: metrics, norms, scores of an evaluation */
    ROLE_HYPER,  /* set by the host before every step */
};

/* Parameters of a group lie side by side, and so do their gradients and moments: grad_norm takes whole groups. The order
 * is that of its arguments. Each group begins at a multiple of GROUP_STEP elements of what the stage has together, the
 * same one in all of them: an update takes the whole stage. */
enum group {
    GROUP_BODY_DECAY,
    GROUP_BODY_PLAIN, /* weights; biases and batch norm */
    GROUP_HEAD_DECAY,
    GROUP_HEAD_PLAIN, /* the head's weights; its biases */
    GROUP_PROTOTYPES,
    GROUP_SCALE,
    GROUPS,
    GROUP_FROZEN = GROUPS, /* never updated, no gradient */
};
enum { GROUP_STEP = 16 };
enum whole { WHOLE_NOTHING, WHOLE_GROUP, WHOLE_STAGE };

enum init {
    INIT_ZERO,
    INIT_VALUE,
    INIT_HE_NORMAL,
    INIT_FAN_NORMAL /* variance 1 / fan-in */,
    INIT_UNIT_ROWS,
    INIT_ORTHOGONAL
};

/* In a value's tensor.block: it lies plain whatever layout the backend likes (the host's batch). */
enum { VALUE_KEEP_PLAIN = -1 };

struct value {
    char name[56]; /* "conv.weight"; unique within the stage */
    enum role role;
    enum group group;     /* PARAM, GRAD, MOMENT */
    enum whole whole;     /* stands for all of its group, or of the stage's groups: rank 1 */
    struct tensor tensor; /* logical, LAYOUT_PLAIN */
    enum init init;       /* PARAM, STATE */
    double init_value;    /* VALUE: the value; HE_NORMAL, FAN_NORMAL: the fan-in */
    int grad;             /* PARAM: its gradient's value, -1 when frozen */
};

struct node {
    enum op_kind kind;
    struct op_desc attr; /* only .attr is used */
    int arg[OP_ARGS];    /* values, -1: absent */
};

struct graph {
    enum dtype real;  /* f32, or f64 on the reference backend: parameters, gradients, statistics, embeddings */
    enum dtype act;   /* of activations and their gradients: real, or bf16 beside f32 */
    int moves_images; /* the host's images, planes, are moved into the layout of activations: backend.h */
    int64_t batch;    /* rows of the activations that layers add now: B, or as an objective expands it */
    struct value *value;
    int values, value_room;
    struct node *node[SECTIONS];
    int nodes[SECTIONS], node_room[SECTIONS];
};

void graph_init(struct graph *graph, enum dtype real, enum dtype act, int64_t batch);
void graph_free(struct graph *graph);

/* A new value; returns its number. name is a printf format. */
int graph_value(struct graph *graph, enum role role, struct tensor tensor, const char *name, ...)
    __attribute__((format(printf, 4, 5)));
/* A parameter of the graph's real type, with its gradient unless group is GROUP_FROZEN. */
int graph_param(struct graph *graph, enum group group, struct tensor shape, enum init init, double init_value,
                const char *name);
/* Running statistics. */
int graph_state(struct graph *graph, struct tensor shape, double init_value, const char *name);
/* Where a group's parameters lie among those of its stage, in elements: the first of them; how many, 0: none. */
struct group_place {
    int64_t first, count;
};
void graph_places(const struct graph *graph, struct group_place place[GROUPS]);
/* A new value that stands for the gradients of a group; -1 when the group is empty. */
int graph_group_grads(struct graph *graph, enum group group);
/* A new value that stands for all groups' params, gradients, or moments (which: 0, 1), which are not empty. */
int graph_whole(struct graph *graph, enum role role, int which);

/* Adds an op; args are value numbers in the order of the op table, count of them (missing ones are absent). The
 * result is valid until the next node is added: set its attributes at once. */
struct node *graph_node(struct graph *graph, enum section section, enum op_kind kind, const int *args, int count);
#define NODE(graph, section, kind, ...)                                                                                \
    graph_node((graph), (section), (kind), (const int[]){__VA_ARGS__},                                                 \
               (int)(sizeof((int[]){__VA_ARGS__}) / sizeof(int)))

struct value *graph_at(struct graph *graph, int value);
int graph_find(const struct graph *graph, const char *name); /* -1 */

/* The node as an op description with plain shapes. */
struct op_desc node_desc(const struct graph *graph, const struct node *node, int slices);
/* Floating-point operations of a section. */
double graph_flops(const struct graph *graph, enum section section);

#endif
