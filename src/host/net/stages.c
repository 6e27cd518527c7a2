/* The kinds of items of net.stages, one row each, and the rows of the config's "net" map. */
#include "net.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const struct config_row net_rows[] = {
    {"net", CONFIG_MAP, NULL, 0, 0, NULL, "", "the network"},
    {"net.between", CONFIG_CHOICE, "auto", 0, 0, "auto|l2|none", "",
     "normalisation of what a stage passes on: l2 scales each sample to root mean square 1; auto: none after batch "
     "norm, else l2"},
    {"net.partition", CONFIG_CHOICE, "layer", 0, 0, "layer|block|whole", "",
     "what learns together: each item of net.stages; residual blocks, and convolutions up to the next pool; everything "
     "(backpropagation)"},
    {"net.stages", CONFIG_LIST, NULL, 0, 0, "one", "",
     "the stages, first to last; each learns alone unless net.partition joins them"},
    {"net.stages[].repeat", CONFIG_INT, "1", 1, 1000, NULL, "", "+this many equal stages in a row"},
    {"net.stages[].objective", CONFIG_LIKE, "", 0, 0, "objective", "",
     "+objective keys that differ in this stage (of joined items the last one's hold)"},
    {"net.stages[].optimizer", CONFIG_LIKE, "", 0, 0, "optimizer", "", "+optimizer keys that differ in this stage"},
    {"net.stages[].linear", CONFIG_MAP, "", 0, 0, NULL, "", "a fully connected layer (images are flattened)"},
    {"net.stages[].linear.units", CONFIG_INT, NULL, 1, 1 << 20, NULL, "", "outputs"},
    {"net.stages[].linear.norm", CONFIG_CHOICE, "none", 0, 0, "none|batch", "",
     "batch normalisation (then without bias)"},
    {"net.stages[].linear.act", CONFIG_CHOICE, "relu", 0, 0, act_words, "", "activation"},
    {"net.stages[].conv", CONFIG_MAP, "", 0, 0, NULL, "", "a convolution, then norm, activation and pool"},
    {"net.stages[].conv.channels", CONFIG_INT, NULL, 1, 1 << 20, NULL, "", "output channels"},
    {"net.stages[].conv.kernel", CONFIG_INT, "3", 1, 31, NULL, "pixels",
     "side of the window; odd, 'same' zero padding"},
    {"net.stages[].conv.stride", CONFIG_INT, "1", 1, 16, NULL, "pixels", "step of the window"},
    {"net.stages[].conv.norm", CONFIG_CHOICE, "batch", 0, 0, "none|batch", "",
     "batch normalisation (then without bias)"},
    {"net.stages[].conv.act", CONFIG_CHOICE, "relu", 0, 0, act_words, "", "activation"},
    {"net.stages[].conv.pool", CONFIG_MAP, "{}", 0, 0, NULL, "", "pooling after the activation"},
    {"net.stages[].conv.pool.max", CONFIG_INT, "0", 0, 16, NULL, "pixels", "side of the window of a max pool; 0: none"},
    {"net.stages[].conv.pool.average", CONFIG_INT, "0", 0, 16, NULL, "pixels",
     "side of the window of an average pool; 0: none"},
    {"net.stages[].conv.pool.stride", CONFIG_INT, "0", 0, 64, NULL, "pixels", "step of the window; 0: its side"},
    {"net.stages[].basic_block", CONFIG_MAP, "", 0, 0, NULL, "",
     "a residual block of two 3x3 convolutions with batch norm (arXiv 1512.03385); always learns as one"},
    {"net.stages[].basic_block.channels", CONFIG_INT, NULL, 1, 1 << 20, NULL, "", "output channels"},
    {"net.stages[].basic_block.stride", CONFIG_INT, "1", 1, 16, NULL, "pixels", "step of the first convolution"},
    {"net.stages[].basic_block.act", CONFIG_CHOICE, "relu", 0, 0, act_words, "", "activation"},
    {"net.stages[].bottleneck", CONFIG_MAP, "", 0, 0, NULL, "",
     "a residual block of 1x1, 3x3 and 1x1 convolutions with batch norm; always learns as one"},
    {"net.stages[].bottleneck.channels", CONFIG_INT, NULL, 1, 1 << 20, NULL, "", "channels of the 3x3 convolution"},
    {"net.stages[].bottleneck.expansion", CONFIG_INT, "4", 1, 64, NULL, "", "output channels for each of those"},
    {"net.stages[].bottleneck.stride", CONFIG_INT, "1", 1, 16, NULL, "pixels", "step of the 3x3 convolution"},
    {"net.stages[].bottleneck.act", CONFIG_CHOICE, "relu", 0, 0, act_words, "", "activation"},
    {0},
};

struct shape stage_shape(const struct stage *stage)
{
    return layers_out(&stage->body, &stage->in);
}

/* "A", or with several items "A ... C". */
void stage_name(struct stage *stage, const char *format, ...)
{
    char own[28];
    va_list args;
    va_start(args, format);
    vsnprintf(own, sizeof own, format, args);
    va_end(args);
    char *end = strstr(stage->name, " ... ");
    if (end) *end = 0;
    size_t used = strlen(stage->name);
    snprintf(stage->name + used, sizeof stage->name - used, "%s%s", used ? " ... " : "", own);
}

hff_status stage_add(struct stage *stage, const struct config_node *node, struct layer layer)
{
    char name[sizeof layer.name];
    snprintf(name, sizeof name, "%s%.15s", stage->prefix, layer.name);
    memcpy(layer.name, name, sizeof name);
    stage->normed |= layer.kind == &layer_norm;
    if (layers_add(&stage->body, &stage->in, layer) == HFF_OK) return HFF_OK;
    return config_fail(node, "stage %d: %s", stage->number, hff_error_message());
}

/* norm and activation, as the config node asks; shared by all kinds. */
static hff_status add_norm_act(struct stage *stage, const struct config_node *node)
{
    enum act act = (enum act)act_parse(config_text(node, "act"));
    if (strcmp(config_text(node, "norm"), "batch") == 0)
        return stage_add(stage, node, (struct layer){.kind = &layer_norm, .name = "norm", .act = act});
    if (act != ACT_NONE) return stage_add(stage, node, (struct layer){.kind = &layer_act, .name = "act", .act = act});
    return HFF_OK;
}

static hff_status build_linear(struct stage *stage, const struct config_node *node)
{
    int64_t units = config_int(node, "units");
    stage_name(stage, "linear %lld", (long long)units);
    if (stage_shape(stage).rank == 3) {
        if (stage->number == 1 && stage->body.count == 0) /* the batch lies flat already */
            stage->in = (struct shape){1, {shape_count(&stage->in)}};
        else
            TRY(stage_add(stage, node, (struct layer){.kind = &layer_flatten, .name = "flatten"}));
    }
    int bias = strcmp(config_text(node, "norm"), "none") == 0;
    TRY(stage_add(stage, node, (struct layer){.kind = &layer_linear, .name = "linear", .units = units, .bias = bias}));
    return add_norm_act(stage, node);
}

static hff_status build_conv(struct stage *stage, const struct config_node *node)
{
    int64_t channels = config_int(node, "channels");
    int kernel = (int)config_int(node, "kernel"), stride = (int)config_int(node, "stride");
    if (kernel % 2 == 0)
        return config_fail(config_at(node, "kernel"), "kernel is %d; it must be odd ('same' padding)", kernel);
    stage_name(stage, "conv %dx%d, %lld", kernel, kernel, (long long)channels);
    int bias = strcmp(config_text(node, "norm"), "none") == 0;
    TRY(stage_add(stage, node,
                  (struct layer){.kind = &layer_conv,
                                 .name = "conv",
                                 .units = channels,
                                 .kernel = kernel,
                                 .stride = stride,
                                 .pad = kernel / 2,
                                 .bias = bias}));
    TRY(add_norm_act(stage, node));
    int max = (int)config_int(node, "pool.max"), average = (int)config_int(node, "pool.average");
    int step = (int)config_int(node, "pool.stride");
    if (max && average) return config_fail(config_at(node, "pool"), "a stage has one pool: max or average, not both");
    if (!max && !average) return HFF_OK;
    return stage_add(stage, node,
                     (struct layer){.kind = &layer_pool,
                                    .name = "pool",
                                    .pool = max ? POOL_MAX : POOL_AVERAGE,
                                    .kernel = max ? max : average,
                                    .stride = step  ? step
                                              : max ? max
                                                    : average});
}

static int always(const struct config_node *node)
{
    return node != NULL;
}

static int has_pool(const struct config_node *node)
{
    return config_int(node, "pool.max") || config_int(node, "pool.average");
}

const struct stage_kind stage_kinds[] = {
    {"linear", build_linear, always},
    {"conv", build_conv, has_pool},
    {"basic_block", build_basic_block, always},
    {"bottleneck", build_bottleneck, always},
    {0},
};
