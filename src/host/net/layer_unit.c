/* unit: every sample scaled to root mean square 1; between the layers of one stage what net.between does between stages. */
#include "layer.h"

static hff_status infer(struct layer *layer)
{
    layer->out = layer->in;
    return HFF_OK;
}

static int forward(struct graph *graph, struct layer *layer, int x, enum section section)
{
    int y = graph_value(graph, ROLE_ACT, shape_tensor(graph, &layer->out), "%s.y", layer->name);
    NODE(graph, section, OP_UNIT, x, y);
    if (section_learns(section)) layer->x = x;
    return y;
}

static int backward(struct graph *graph, struct layer *layer, int dy, int need_dx, enum section section)
{
    if (!need_dx) return -1;
    NODE(graph, section, OP_UNIT_BACK, layer->x, dy, dy);
    return dy;
}

const struct layer_kind layer_unit = {"unit", infer, 0, forward, backward};
