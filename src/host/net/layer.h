/* Layers: each kind is one file and one declaration below. A layer knows its shapes and adds its ops to a graph;
 * it is made of existing ops and owns no memory. */
#ifndef HFF_NET_LAYER_H
#define HFF_NET_LAYER_H

#include "base/status.h"
#include "graph.h"

/* One sample's shape: rank 1 (features) or 3 (channels, height, width). */
struct shape {
    int rank;
    int64_t dim[3];
};
int64_t shape_count(const struct shape *shape);
/* "96x16x16" into out (at least 64 bytes). */
const char *shape_text(const struct shape *shape, char *out);
/* A whole batch of that shape, of the graph's activation type. */
struct tensor shape_tensor(const struct graph *graph, const struct shape *shape);

struct layer;
struct layers;

struct layer_kind {
    const char *name;
    /* Sets layer->out from layer->in and the attributes; HFF_E_CONFIG when they do not fit. */
    hff_status (*infer)(struct layer *layer);
    /* Adds the layer's parameters (once per graph); NULL: none. */
    void (*params)(struct graph *graph, struct layer *layer);
    /* Adds ops that compute y from value x to section and returns y. Where the section learns it keeps what backward
     * needs. */
    int (*forward)(struct graph *graph, struct layer *layer, int x, enum section section);
    /* Adds ops to section that compute the parameters' gradients and, if need_dx, dx from dy, and returns dx (-1
     * without). dy may be overwritten. */
    int (*backward)(struct graph *graph, struct layer *layer, int dy, int need_dx, enum section section);
};

struct layer {
    const struct layer_kind *kind;
    char name[32]; /* "conv": what stands between "stage.<i>." and ".weight" */
    struct shape in, out;
    /* attributes, by kind */
    int64_t units;           /* linear: outputs; conv: channels; apool: grid; energy: groups */
    int kernel, stride, pad; /* conv, pool */
    int bias;                /* linear, conv */
    enum pool_kind pool;
    enum act act; /* act, norm */
    int head;     /* belongs to the head: its parameters go to the head's groups, its flat values are real */
    int keeps_dy; /* norm, act: backward leaves dy as it is, since another layer reads it too */
    struct layers *inner, *shortcut; /* residual; shortcut NULL: the input itself */
    /* values in the current graph */
    int weight, offset;       /* weight or gamma; bias or beta */
    int run_mean, run_var;    /* norm */
    int x, y, saved1, saved2; /* kept by forward for backward */
};

extern const struct layer_kind layer_linear, layer_conv, layer_norm, layer_act, layer_pool, layer_apool, layer_flatten,
    layer_unit, layer_residual, layer_energy, layer_deviation;

/* The layer's values of that shape: real where they are flat and the head's, else as shape_tensor. */
struct tensor layer_tensor(const struct graph *graph, const struct layer *layer, const struct shape *shape);

/* A list of layers applied one after the other, in its owner's arena. */
struct layers {
    struct arena *arena;
    struct layer *item;
    int count, room;
};

/* Appends a layer after the last one (or after in for the first), with attributes as in *layer. */
hff_status layers_add(struct layers *layers, const struct shape *in, struct layer layer);
void layers_params(struct graph *graph, struct layers *layers);
int layers_forward(struct graph *graph, struct layers *layers, int x, enum section section);
int layers_backward(struct graph *graph, struct layers *layers, int dy, int need_dx, enum section section);
/* The last layer's output shape, in where there is no layer. */
struct shape layers_out(const struct layers *layers, const struct shape *in);

#endif
