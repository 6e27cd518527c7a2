/* Stages from config: one row for each kind of stage, and the rows of the config's "net" map. */
#include "net.h"

#include <stdio.h>
#include <string.h>

const struct config_row net_rows[] = {
    {"net", CONFIG_MAP, NULL, 0, 0, NULL, "", "the network"},
    {"net.between", CONFIG_CHOICE, "auto", 0, 0, "auto|l2|none", "",
     "normalisation of what a stage passes on: l2 scales each sample to root mean square 1; auto: none after batch "
     "norm, else l2"},
    {"net.stages", CONFIG_LIST, NULL, 0, 0, "one", "", "the stages, first to last; each learns alone"},
    {"net.stages[].repeat", CONFIG_INT, "1", 1, 1000, NULL, "", "+this many equal stages in a row"},
    {"net.stages[].objective", CONFIG_LIKE, "", 0, 0, "objective", "", "+objective keys that differ in this stage"},
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
    {0},
};

/* layers_add, with the place in the config before what it says. */
static hff_status add(struct stage *stage, const struct config_node *node, struct layer layer)
{
    if (layers_add(&stage->body, &stage->in, layer) == HFF_OK) return HFF_OK;
    return config_fail(node, "stage %d: %s", stage->number, hff_error_message());
}

/* norm and activation, as the config node asks; shared by all kinds. */
static hff_status add_norm_act(struct stage *stage, const struct config_node *node)
{
    enum act act = (enum act)act_parse(config_text(node, "act"));
    if (strcmp(config_text(node, "norm"), "batch") == 0)
        return add(stage, node, (struct layer){.kind = &layer_norm, .name = "norm", .act = act});
    if (act != ACT_NONE) return add(stage, node, (struct layer){.kind = &layer_act, .name = "act", .act = act});
    return HFF_OK;
}

static hff_status build_linear(struct stage *stage, const struct config_node *node)
{
    int64_t units = config_int(node, "units");
    snprintf(stage->name, sizeof stage->name, "linear %lld", (long long)units);
    if (stage->in.rank == 3) {
        if (stage->number == 1) /* the batch lies flat already */
            stage->in = (struct shape){1, {shape_count(&stage->in)}};
        else
            TRY(add(stage, node, (struct layer){.kind = &layer_flatten, .name = "flatten"}));
    }
    int bias = strcmp(config_text(node, "norm"), "none") == 0;
    TRY(add(stage, node, (struct layer){.kind = &layer_linear, .name = "linear", .units = units, .bias = bias}));
    return add_norm_act(stage, node);
}

static hff_status build_conv(struct stage *stage, const struct config_node *node)
{
    int64_t channels = config_int(node, "channels");
    int kernel = (int)config_int(node, "kernel"), stride = (int)config_int(node, "stride");
    if (kernel % 2 == 0)
        return config_fail(config_at(node, "kernel"), "kernel is %d; it must be odd ('same' padding)", kernel);
    snprintf(stage->name, sizeof stage->name, "conv %dx%d, %lld", kernel, kernel, (long long)channels);
    int bias = strcmp(config_text(node, "norm"), "none") == 0;
    TRY(add(stage, node,
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
    return add(stage, node,
               (struct layer){.kind = &layer_pool,
                              .name = "pool",
                              .pool = max ? POOL_MAX : POOL_AVERAGE,
                              .kernel = max ? max : average,
                              .stride = step  ? step
                                        : max ? max
                                              : average});
}

static const struct stage_kind stage_kinds[] = {
    {"linear", build_linear},
    {"conv", build_conv},
};

static hff_status build_stage(struct stage *stage, const struct config_node *item)
{
    for (size_t i = 0; i < sizeof stage_kinds / sizeof stage_kinds[0]; i++) {
        const struct config_node *node = config_at(item, stage_kinds[i].name);
        if (!node) continue;
        TRY(stage_kinds[i].build(stage, node));
        stage->out = layers_out(&stage->body, &stage->in);
        return HFF_OK;
    }
    return config_fail(item, "a stage of an unknown kind");
}

static int has_norm(const struct stage *stage)
{
    for (int i = 0; i < stage->body.count; i++)
        if (stage->body.item[i].kind == &layer_norm) return 1;
    return 0;
}

hff_status net_build(struct net **out, const struct config_node *net_node, const struct shape *input)
{
    const struct config_node *list = config_at(net_node, "stages");
    int64_t total = 0;
    *out = NULL;
    for (int i = 0; i < config_count(list); i++) total += config_int(config_item(list, i), "repeat");
    if (total == 0) return config_fail(net_node, "net.stages is empty; a net needs at least one stage");
    if (total > 10000) return config_fail(net_node, "net.stages has %lld stages; at most 10000", (long long)total);
    struct arena arena = {0};
    struct net *net = ARENA_NEW(&arena, struct net, 1);
    net->stage = ARENA_NEW(&arena, struct stage, total);
    const char *between = config_text(net_node, "between");
    struct shape in = *input;
    for (int i = 0; i < config_count(list); i++) {
        const struct config_node *item = config_item(list, i);
        for (int64_t r = 0; r < config_int(item, "repeat"); r++) {
            struct stage *stage = &net->stage[net->count++];
            *stage = (struct stage){.number = net->count, .in = in};
            stage->objective = config_at(item, "objective");
            stage->optimizer = config_at(item, "optimizer");
            hff_status status = build_stage(stage, item);
            if (status != HFF_OK) {
                arena_free(&arena);
                return status;
            }
            if (strcmp(between, "auto") == 0)
                stage->between = has_norm(stage) ? BETWEEN_NONE : BETWEEN_L2;
            else
                stage->between = strcmp(between, "l2") == 0 ? BETWEEN_L2 : BETWEEN_NONE;
            in = stage->out;
        }
    }
    net->stage[net->count - 1].between = BETWEEN_NONE;
    net->arena = arena;
    *out = net;
    return HFF_OK;
}

void net_free(struct net *net)
{
    if (!net) return;
    struct arena arena = net->arena;
    arena_free(&arena);
}

void stage_params(struct graph *graph, struct stage *stage)
{
    layers_params(graph, &stage->body);
}

/* The host's batch is real. */
static int as_activation(struct graph *graph, int x, enum section section)
{
    struct tensor tensor = graph_at(graph, x)->tensor;
    if (tensor.dtype == graph->act) return x;
    tensor.dtype = graph->act;
    int y = graph_value(graph, ROLE_ACT, tensor, "input.%s", dtype_name(graph->act));
    NODE(graph, section, OP_REORDER, x, y);
    return y;
}

int stage_forward(struct graph *graph, struct stage *stage, int x, enum section section, int last, int *passed)
{
    int h = layers_forward(graph, &stage->body, as_activation(graph, x, section), section);
    *passed = -1;
    if (last) return h;
    if (stage->between == BETWEEN_NONE) {
        graph_at(graph, h)->role = ROLE_OUTPUT;
        *passed = h;
        return h;
    }
    *passed = graph_value(graph, ROLE_OUTPUT, shape_tensor(graph, &stage->out), "passed");
    NODE(graph, section, OP_UNIT, h, *passed);
    return h;
}

void stage_backward(struct graph *graph, struct stage *stage, int dh)
{
    layers_backward(graph, &stage->body, dh, 0, SECTION_BACKWARD);
}
