/* act: an activation on its own (after a layer without norm). */
#include "layer.h"

static hff_status infer(struct layer *layer)
{
    layer->out = layer->in;
    return HFF_OK;
}

static int forward(struct graph *graph, struct layer *layer, int x, enum section section)
{
    int y = graph_value(graph, ROLE_ACT, shape_tensor(graph, &layer->out), "%s.y", layer->name);
    NODE(graph, section, OP_ACT, x, y)->attr.attr.act.act = layer->act;
    if (section_learns(section)) layer->x = x;
    return y;
}

static int backward(struct graph *graph, struct layer *layer, int dy, int need_dx, enum section section)
{
    if (!need_dx) return -1;
    int dx = dy;
    if (layer->keeps_dy) dx = graph_value(graph, ROLE_ACT, shape_tensor(graph, &layer->in), "%s.dx", layer->name);
    NODE(graph, section, OP_ACT_BACK, layer->x, dy, dx)->attr.attr.act.act = layer->act;
    return dx;
}

const struct layer_kind layer_act = {"act", infer, 0, forward, backward};
