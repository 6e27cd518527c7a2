/* energy: the mean square of each of units groups, into which the channels are split evenly. */
#include "layer.h"

static hff_status infer(struct layer *layer)
{
    char text[64];
    if (layer->in.dim[0] % layer->units != 0)
        return fail(HFF_E_CONFIG, "%lld groups do not divide the channels of %s", (long long)layer->units,
                    shape_text(&layer->in, text));
    layer->out = (struct shape){1, {layer->units}};
    return HFF_OK;
}

static int forward(struct graph *graph, struct layer *layer, int x, enum section section)
{
    struct tensor out = shape_tensor(graph, &layer->out);
    out.dtype = graph->real;
    int y = graph_value(graph, ROLE_ACT, out, "%s.y", layer->name);
    NODE(graph, section, OP_ENERGY, x, y);
    if (section_learns(section)) layer->x = x;
    return y;
}

static int backward(struct graph *graph, struct layer *layer, int dy, int need_dx, enum section section)
{
    if (!need_dx) return -1;
    int dx = graph_value(graph, ROLE_ACT, shape_tensor(graph, &layer->in), "%s.dx", layer->name);
    NODE(graph, section, OP_ENERGY_BACK, layer->x, dy, dx);
    return dx;
}

const struct layer_kind layer_energy = {"energy", infer, 0, forward, backward};
