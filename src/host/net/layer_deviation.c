/* deviation: the standard deviation of each channel over its positions. */
#include "layer.h"

static hff_status infer(struct layer *layer)
{
    char text[64];
    if (layer->in.rank != 3 || layer->in.dim[1] * layer->in.dim[2] < 2)
        return fail(HFF_E_CONFIG, "%s has no deviation over positions", shape_text(&layer->in, text));
    layer->out = (struct shape){1, {layer->in.dim[0]}};
    return HFF_OK;
}

static int forward(struct graph *graph, struct layer *layer, int x, enum section section)
{
    struct tensor out = shape_tensor(graph, &layer->out);
    out.dtype = graph->real;
    int y = graph_value(graph, ROLE_ACT, out, "%s.y", layer->name);
    NODE(graph, section, OP_DEVIATION, x, y);
    if (section_learns(section)) layer->x = x;
    return y;
}

static int backward(struct graph *graph, struct layer *layer, int dy, int need_dx, enum section section)
{
    if (!need_dx) return -1;
    int dx = graph_value(graph, ROLE_ACT, shape_tensor(graph, &layer->in), "%s.dx", layer->name);
    NODE(graph, section, OP_DEVIATION_BACK, layer->x, dy, dx);
    return dx;
}

const struct layer_kind layer_deviation = {"deviation", infer, 0, forward, backward};
