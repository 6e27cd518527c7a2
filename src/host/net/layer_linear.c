/* linear: y = x w^T + b. */
#include "layer.h"

#include <stdio.h>

static hff_status infer(struct layer *layer)
{
    char text[64];
    if (layer->in.rank != 1)
        return fail(HFF_E_CONFIG, "a linear layer wants a flat input, not %s", shape_text(&layer->in, text));
    layer->out = (struct shape){1, {layer->units}};
    return HFF_OK;
}

static void params(struct graph *graph, struct layer *layer)
{
    char name[56];
    int64_t in = layer->in.dim[0];
    snprintf(name, sizeof name, "%s.weight", layer->name);
    layer->weight = graph_param(graph, layer->head ? GROUP_HEAD_DECAY : GROUP_BODY_DECAY,
                                tensor_make2(graph->real, layer->units, in), INIT_HE_NORMAL, (double)in, name);
    layer->offset = -1;
    if (!layer->bias) return;
    snprintf(name, sizeof name, "%s.bias", layer->name);
    layer->offset = graph_param(graph, layer->head ? GROUP_HEAD_PLAIN : GROUP_BODY_PLAIN,
                                tensor_make1(graph->real, layer->units), INIT_ZERO, 0, name);
}

static int forward(struct graph *graph, struct layer *layer, int x, enum section section)
{
    int y = graph_value(graph, ROLE_ACT, layer_tensor(graph, layer, &layer->out), "%s.y", layer->name);
    NODE(graph, section, OP_LINEAR, x, layer->weight, layer->offset, y);
    if (section_learns(section)) layer->x = x;
    return y;
}

static int backward(struct graph *graph, struct layer *layer, int dy, int need_dx, enum section section)
{
    int dw = graph_at(graph, layer->weight)->grad, db = layer->offset < 0 ? -1 : graph_at(graph, layer->offset)->grad;
    NODE(graph, section, OP_LINEAR_WEIGHT, layer->x, dy, dw, db);
    if (!need_dx) return -1;
    int dx = graph_value(graph, ROLE_ACT, layer_tensor(graph, layer, &layer->in), "%s.dx", layer->name);
    NODE(graph, section, OP_LINEAR_DATA, dy, layer->weight, dx);
    return dx;
}

const struct layer_kind layer_linear = {"linear", infer, params, forward, backward};
