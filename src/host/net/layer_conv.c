/* conv: k x k cross-correlation with zero padding. */
#include "layer.h"

#include <stdio.h>

static hff_status infer(struct layer *layer)
{
    char text[64];
    if (layer->in.rank != 3)
        return fail(HFF_E_CONFIG, "a convolution wants images, not a flat input of %s", shape_text(&layer->in, text));
    layer->out = (struct shape){3, {layer->units}};
    for (int i = 1; i < 3; i++) {
        int64_t room = layer->in.dim[i] + 2 * layer->pad - layer->kernel;
        if (room < 0)
            return fail(HFF_E_CONFIG, "a %d x %d convolution does not fit an input of %s", layer->kernel, layer->kernel,
                        shape_text(&layer->in, text));
        layer->out.dim[i] = room / layer->stride + 1;
    }
    return HFF_OK;
}

static void params(struct graph *graph, struct layer *layer)
{
    char name[56];
    int64_t in = layer->in.dim[0], k = layer->kernel;
    snprintf(name, sizeof name, "%s.weight", layer->name);
    layer->weight =
        graph_param(graph, layer->head ? GROUP_HEAD_DECAY : GROUP_BODY_DECAY,
                    tensor_make4(graph->real, layer->units, in, k, k), INIT_HE_NORMAL, (double)(in * k * k), name);
    layer->offset = -1;
    if (!layer->bias) return;
    snprintf(name, sizeof name, "%s.bias", layer->name);
    layer->offset = graph_param(graph, layer->head ? GROUP_HEAD_PLAIN : GROUP_BODY_PLAIN,
                                tensor_make1(graph->real, layer->units), INIT_ZERO, 0, name);
}

static void geometry(struct node *node, const struct layer *layer)
{
    node->attr.attr.conv.kernel = layer->kernel;
    node->attr.attr.conv.stride = layer->stride;
    node->attr.attr.conv.pad = layer->pad;
}

static int forward(struct graph *graph, struct layer *layer, int x, enum section section)
{
    int y = graph_value(graph, ROLE_ACT, shape_tensor(graph, &layer->out), "%s.y", layer->name);
    geometry(NODE(graph, section, OP_CONV, x, layer->weight, layer->offset, y), layer);
    if (section_learns(section)) layer->x = x;
    return y;
}

static int backward(struct graph *graph, struct layer *layer, int dy, int need_dx, enum section section)
{
    int dw = graph_at(graph, layer->weight)->grad, db = layer->offset < 0 ? -1 : graph_at(graph, layer->offset)->grad;
    geometry(NODE(graph, section, OP_CONV_WEIGHT, layer->x, dy, dw, db), layer);
    if (!need_dx) return -1;
    int dx = graph_value(graph, ROLE_ACT, shape_tensor(graph, &layer->in), "%s.dx", layer->name);
    geometry(NODE(graph, section, OP_CONV_DATA, dy, layer->weight, dx), layer);
    return dx;
}

const struct layer_kind layer_conv = {"conv", infer, params, forward, backward};
