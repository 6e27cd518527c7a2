/* apool: adaptive average pool to min(units, H) x min(units, W). */
#include "layer.h"

static hff_status infer(struct layer *layer)
{
    char text[64];
    if (layer->in.rank != 3)
        return fail(HFF_E_CONFIG, "pooling wants images, not a flat input of %s", shape_text(&layer->in, text));
    layer->out = layer->in;
    for (int i = 1; i < 3; i++)
        if (layer->out.dim[i] > layer->units) layer->out.dim[i] = layer->units;
    return HFF_OK;
}

static int forward(struct graph *graph, struct layer *layer, int x, enum section section)
{
    int y = graph_value(graph, ROLE_ACT, shape_tensor(graph, &layer->out), "%s.y", layer->name);
    NODE(graph, section, OP_APOOL, x, y);
    return y;
}

static int backward(struct graph *graph, struct layer *layer, int dy, int need_dx, enum section section)
{
    if (!need_dx) return -1;
    int dx = graph_value(graph, ROLE_ACT, shape_tensor(graph, &layer->in), "%s.dx", layer->name);
    NODE(graph, section, OP_APOOL_BACK, dy, dx);
    return dx;
}

const struct layer_kind layer_apool = {"apool", infer, 0, forward, backward};
