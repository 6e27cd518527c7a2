/* norm: batch normalisation followed by an activation, in one op. METHOD: eps 1e-5, momentum 0.1, unbiased running
 * variance. */
#include "layer.h"

#include <stdio.h>

static hff_status infer(struct layer *layer)
{
    layer->out = layer->in;
    return HFF_OK;
}

static void params(struct graph *graph, struct layer *layer)
{
    struct tensor shape = tensor_make1(graph->real, layer->in.dim[0]);
    char name[56];
    snprintf(name, sizeof name, "%s.weight", layer->name);
    layer->weight = graph_param(graph, layer->head ? GROUP_HEAD_PLAIN : GROUP_BODY_PLAIN, shape, INIT_VALUE, 1, name);
    snprintf(name, sizeof name, "%s.bias", layer->name);
    layer->offset = graph_param(graph, layer->head ? GROUP_HEAD_PLAIN : GROUP_BODY_PLAIN, shape, INIT_ZERO, 0, name);
    snprintf(name, sizeof name, "%s.mean", layer->name);
    layer->run_mean = graph_state(graph, shape, 0, name);
    snprintf(name, sizeof name, "%s.var", layer->name);
    layer->run_var = graph_state(graph, shape, 1, name);
}

static void constants(struct node *node, const struct layer *layer)
{
    node->attr.attr.norm.eps = 1e-5;
    node->attr.attr.norm.momentum = 0.1;
    node->attr.attr.norm.act = layer->act;
}

static int forward(struct graph *graph, struct layer *layer, int x, enum section section)
{
    int y = graph_value(graph, ROLE_ACT, shape_tensor(graph, &layer->out), "%s.y", layer->name);
    if (!section_learns(section)) {
        constants(
            NODE(graph, section, OP_NORM_EVAL, x, layer->weight, layer->offset, layer->run_mean, layer->run_var, y),
            layer);
        return y;
    }
    struct tensor shape = tensor_make1(graph->real, layer->in.dim[0]);
    layer->x = x;
    layer->saved1 = graph_value(graph, ROLE_ACT, shape, "%s.batch_mean", layer->name);
    layer->saved2 = graph_value(graph, ROLE_ACT, shape, "%s.batch_invstd", layer->name);
    constants(NODE(graph, section, OP_NORM, x, layer->weight, layer->offset, layer->saved1, layer->saved2,
                   layer->run_mean, layer->run_var, y),
              layer);
    return y;
}

static int backward(struct graph *graph, struct layer *layer, int dy, int need_dx, enum section section)
{
    (void)need_dx; /* a norm never comes first in a stage */
    int dx = dy;
    if (layer->keeps_dy) dx = graph_value(graph, ROLE_ACT, shape_tensor(graph, &layer->in), "%s.dx", layer->name);
    constants(NODE(graph, section, OP_NORM_BACK, layer->x, layer->weight, layer->offset, layer->saved1, layer->saved2,
                   dy, dx, graph_at(graph, layer->weight)->grad, graph_at(graph, layer->offset)->grad),
              layer);
    return dx;
}

const struct layer_kind layer_norm = {"norm", infer, params, forward, backward};
