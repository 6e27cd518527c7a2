/* Shapes, and lists of layers. */
#include "layer.h"

#include <stdio.h>
#include <string.h>

int64_t shape_count(const struct shape *shape)
{
    int64_t count = 1;
    for (int i = 0; i < shape->rank; i++) count *= shape->dim[i];
    return count;
}

const char *shape_text(const struct shape *shape, char *out)
{
    int used = 0;
    for (int i = 0; i < shape->rank; i++) used += sprintf(out + used, "%s%lld", i ? "x" : "", (long long)shape->dim[i]);
    return out;
}

struct tensor shape_tensor(const struct graph *graph, const struct shape *shape)
{
    int64_t dim[TENSOR_RANK] = {graph->batch};
    for (int i = 0; i < shape->rank; i++) dim[i + 1] = shape->dim[i];
    return tensor_plain(graph->act, shape->rank + 1, dim);
}

struct tensor layer_tensor(const struct graph *graph, const struct layer *layer, const struct shape *shape)
{
    struct tensor t = shape_tensor(graph, shape);
    if (layer->head && shape->rank == 1) t.dtype = graph->real;
    return t;
}

struct shape layers_out(const struct layers *layers, const struct shape *in)
{
    return layers->count ? layers->item[layers->count - 1].out : *in;
}

/* Sizes may come from an untrusted model file: nothing that is computed from them may overflow. */
static int shape_is_sane(const struct shape *shape)
{
    int64_t count = 1;
    for (int i = 0; i < shape->rank; i++)
        if (shape->dim[i] < 1 || __builtin_mul_overflow(count, shape->dim[i], &count) || count > INT32_MAX) return 0;
    return 1;
}

hff_status layers_add(struct layers *layers, const struct shape *in, struct layer layer)
{
    char text[64];
    layer.in = layers_out(layers, in);
    if (!shape_is_sane(&layer.in))
        return fail(HFF_E_CONFIG, "an input of %s is too large", shape_text(&layer.in, text));
    TRY(layer.kind->infer(&layer));
    if (!shape_is_sane(&layer.out))
        return fail(HFF_E_CONFIG, "an output of %s is too large", shape_text(&layer.out, text));
    if (layers->count == layers->room) {
        struct layer *items =
            ARENA_NEW(layers->arena, struct layer, layers->room = layers->room ? 2 * layers->room : 8);
        if (layers->count) memcpy(items, layers->item, sizeof *items * (size_t)layers->count);
        layers->item = items;
    }
    layers->item[layers->count++] = layer;
    return HFF_OK;
}

void layers_params(struct graph *graph, struct layers *layers)
{
    for (int i = 0; i < layers->count; i++)
        if (layers->item[i].kind->params) layers->item[i].kind->params(graph, &layers->item[i]);
}

int layers_forward(struct graph *graph, struct layers *layers, int x, enum section section)
{
    for (int i = 0; i < layers->count; i++) x = layers->item[i].kind->forward(graph, &layers->item[i], x, section);
    return x;
}

int layers_backward(struct graph *graph, struct layers *layers, int dy, int need_dx, enum section section)
{
    int first = 0; /* that has something to learn: nothing before it wants a gradient for its own sake */
    while (!need_dx && first < layers->count && !layers->item[first].kind->params) first++;
    for (int i = layers->count - 1; i >= first; i--)
        dy = layers->item[i].kind->backward(graph, &layers->item[i], dy, need_dx || i > first, section);
    return need_dx ? dy : -1;
}
