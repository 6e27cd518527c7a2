/* flatten: images (C, H, W) become rows in the order channel, row, column. In the head the rows are the embedding,
 * which is real whatever the activations are. */
#include "layer.h"

static hff_status infer(struct layer *layer)
{
    layer->out = (struct shape){1, {shape_count(&layer->in)}};
    return HFF_OK;
}

static int forward(struct graph *graph, struct layer *layer, int x, enum section section)
{
    int y = graph_value(graph, ROLE_ACT, layer_tensor(graph, layer, &layer->out), "%s.y", layer->name);
    NODE(graph, section, OP_REORDER, x, y);
    return y;
}

static int backward(struct graph *graph, struct layer *layer, int dy, int need_dx, enum section section)
{
    if (!need_dx) return -1;
    int dx = graph_value(graph, ROLE_ACT, shape_tensor(graph, &layer->in), "%s.dx", layer->name);
    NODE(graph, section, OP_REORDER, dy, dx);
    return dx;
}

const struct layer_kind layer_flatten = {"flatten", infer, 0, forward, backward};
