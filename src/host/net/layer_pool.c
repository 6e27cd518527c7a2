/* pool: maximum or average over k x k windows, no padding. */
#include "layer.h"

static hff_status infer(struct layer *layer)
{
    char text[64];
    if (layer->in.rank != 3)
        return fail(HFF_E_CONFIG, "pooling wants images, not a flat input of %s", shape_text(&layer->in, text));
    layer->out = layer->in;
    for (int i = 1; i < 3; i++) {
        if (layer->in.dim[i] < layer->kernel)
            return fail(HFF_E_CONFIG, "a %d x %d pool does not fit an input of %s", layer->kernel, layer->kernel,
                        shape_text(&layer->in, text));
        layer->out.dim[i] = (layer->in.dim[i] - layer->kernel) / layer->stride + 1;
    }
    return HFF_OK;
}

static void window(struct node *node, const struct layer *layer)
{
    node->attr.attr.pool.kind = layer->pool;
    node->attr.attr.pool.kernel = layer->kernel;
    node->attr.attr.pool.stride = layer->stride;
}

static int forward(struct graph *graph, struct layer *layer, int x, enum section section)
{
    struct tensor out = shape_tensor(graph, &layer->out);
    int y = graph_value(graph, ROLE_ACT, out, "%s.y", layer->name), index = -1;
    if (section_learns(section) && layer->pool == POOL_MAX) {
        out.dtype = DTYPE_U8;
        index = graph_value(graph, ROLE_ACT, out, "%s.index", layer->name);
    }
    window(NODE(graph, section, OP_POOL, x, y, index), layer);
    if (section_learns(section)) layer->saved1 = index;
    return y;
}

static int backward(struct graph *graph, struct layer *layer, int dy, int need_dx, enum section section)
{
    if (!need_dx) return -1;
    int dx = graph_value(graph, ROLE_ACT, shape_tensor(graph, &layer->in), "%s.dx", layer->name);
    window(NODE(graph, section, OP_POOL_BACK, layer->saved1, dy, dx), layer);
    return dx;
}

const struct layer_kind layer_pool = {"pool", infer, 0, forward, backward};
