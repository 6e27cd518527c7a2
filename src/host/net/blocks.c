/* Residual blocks (He et al., arXiv 1512.03385): convolutions with batch norm, a shortcut around them, an activation after
 * the sum. Where shapes differ the shortcut is a 1x1 convolution with batch norm. */
#include "net.h"

#include <stdio.h>
#include <string.h>

/* A path of a block under construction. */
struct path {
    struct stage *stage;
    const struct config_node *node;
    struct layers *layers;
    struct shape in;
};

static struct path path_open(struct stage *stage, const struct config_node *node)
{
    struct arena *arena = stage->body.arena;
    struct path path = {stage, node, ARENA_NEW(arena, struct layers, 1), stage_shape(stage)};
    path.layers->arena = arena;
    return path;
}

/* A convolution with batch norm and an activation: layers conv and norm, with suffix ("1") behind their names and the
 * stage's prefix before. */
static hff_status add_conv(struct path *path, const char *suffix, int64_t channels, int kernel, int stride,
                           enum act act)
{
    struct layer conv = {.kind = &layer_conv, .units = channels, .kernel = kernel, .stride = stride, .pad = kernel / 2},
                 norm = {.kind = &layer_norm, .act = act};
    snprintf(conv.name, sizeof conv.name, "%sconv%s", path->stage->prefix, suffix);
    snprintf(norm.name, sizeof norm.name, "%snorm%s", path->stage->prefix, suffix);
    if (layers_add(path->layers, &path->in, conv) == HFF_OK && layers_add(path->layers, &path->in, norm) == HFF_OK)
        return HFF_OK;
    return config_fail(path->node, "stage %d: %s", path->stage->number, hff_error_message());
}

/* The block from its inner path: sum, activation. */
static hff_status close_block(struct path *inner, int stride)
{
    struct stage *stage = inner->stage;
    const struct config_node *node = inner->node;
    struct layer sum = {.kind = &layer_residual, .name = "sum", .inner = inner->layers};
    struct shape in = stage_shape(stage), out = layers_out(inner->layers, &in);
    if (memcmp(in.dim, out.dim, sizeof in.dim) != 0) {
        struct path shortcut = path_open(stage, node);
        TRY(add_conv(&shortcut, "_skip", out.dim[0], 1, stride, ACT_NONE));
        sum.shortcut = shortcut.layers;
    }
    inner->layers->item[inner->layers->count - 1].keeps_dy = 1;
    TRY(stage_add(stage, node, sum));
    stage->normed = 1;
    enum act act = (enum act)act_parse(config_text(node, "act"));
    if (act == ACT_NONE) return HFF_OK;
    return stage_add(stage, node, (struct layer){.kind = &layer_act, .name = "act", .act = act});
}

hff_status build_basic_block(struct stage *stage, const struct config_node *node)
{
    int64_t channels = config_int(node, "channels");
    int stride = (int)config_int(node, "stride");
    enum act act = (enum act)act_parse(config_text(node, "act"));
    struct path inner = path_open(stage, node);
    stage_name(stage, "basic block, %lld", (long long)channels);
    TRY(add_conv(&inner, "1", channels, 3, stride, act));
    TRY(add_conv(&inner, "2", channels, 3, 1, ACT_NONE));
    return close_block(&inner, stride);
}

hff_status build_bottleneck(struct stage *stage, const struct config_node *node)
{
    int64_t channels = config_int(node, "channels"), out = channels * config_int(node, "expansion");
    int stride = (int)config_int(node, "stride");
    enum act act = (enum act)act_parse(config_text(node, "act"));
    struct path inner = path_open(stage, node);
    stage_name(stage, "bottleneck, %lld", (long long)out);
    TRY(add_conv(&inner, "1", channels, 1, 1, act));
    TRY(add_conv(&inner, "2", channels, 3, stride, act));
    TRY(add_conv(&inner, "3", out, 1, 1, ACT_NONE));
    return close_block(&inner, stride);
}
