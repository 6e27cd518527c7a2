/* residual: inner(x) + shortcut(x), where the shortcut may be x itself. */
#include "layer.h"

static hff_status infer(struct layer *layer)
{
    char a[64], b[64];
    layer->out = layers_out(layer->inner, &layer->in);
    struct shape other = layer->shortcut ? layers_out(layer->shortcut, &layer->in) : layer->in;
    int same = layer->out.rank == other.rank;
    for (int i = 0; same && i < other.rank; i++) same = layer->out.dim[i] == other.dim[i];
    if (!same)
        return fail(HFF_E_CONFIG, "a residual sum of %s and %s", shape_text(&layer->out, a), shape_text(&other, b));
    return HFF_OK;
}

static void params(struct graph *graph, struct layer *layer)
{
    layers_params(graph, layer->inner);
    if (layer->shortcut) layers_params(graph, layer->shortcut);
}

/* The host's batch lies plain; the sum wants it as other activations lie. */
static int as_others(struct graph *graph, const struct layer *layer, int x, enum section section)
{
    if (graph_at(graph, x)->tensor.block != VALUE_KEEP_PLAIN) return x;
    int y = graph_value(graph, ROLE_ACT, shape_tensor(graph, &layer->in), "%s.x", layer->name);
    NODE(graph, section, OP_REORDER, x, y);
    return y;
}

/* The sum takes the place of inner's last value, a norm's output, which no backward reads. */
static int forward(struct graph *graph, struct layer *layer, int x, enum section section)
{
    int y = layers_forward(graph, layer->inner, x, section);
    int other =
        layer->shortcut ? layers_forward(graph, layer->shortcut, x, section) : as_others(graph, layer, x, section);
    NODE(graph, section, OP_ADD, y, other, y);
    return y;
}

/* inner's last layer keeps dy, which then is the shortcut's to overwrite. */
static int backward(struct graph *graph, struct layer *layer, int dy, int need_dx, enum section section)
{
    int dx = layers_backward(graph, layer->inner, dy, need_dx, section);
    int other = layer->shortcut ? layers_backward(graph, layer->shortcut, dy, need_dx, section) : dy;
    if (!need_dx) return -1;
    NODE(graph, section, OP_ADD, dx, other, dx);
    return dx;
}

const struct layer_kind layer_residual = {"residual", infer, params, forward, backward};
