/* From a config's list of items to stages, and a stage's ops in a graph. */
#include "net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum partition { PARTITION_LAYER, PARTITION_BLOCK, PARTITION_WHOLE };

static enum partition partition_of(const struct config_node *net_node)
{
    const char *word = config_text(net_node, "partition");
    return strcmp(word, "whole") == 0   ? PARTITION_WHOLE
           : strcmp(word, "block") == 0 ? PARTITION_BLOCK
                                        : PARTITION_LAYER;
}

/* The kind of an item, and its map. */
static const struct stage_kind *kind_of(const struct config_node *item, const struct config_node **node)
{
    for (const struct stage_kind *kind = stage_kinds; kind->name; kind++)
        if ((*node = config_at(item, kind->name))) return kind;
    return NULL; /* the config's rows are the table's names */
}

/* Whether a stage ends between an item and the next one. */
static int stage_ends(enum partition partition, const struct config_node *item, const struct config_node *next)
{
    const struct config_node *node, *other;
    const struct stage_kind *kind = kind_of(item, &node);
    switch (partition) {
    case PARTITION_LAYER: return 1;
    case PARTITION_BLOCK: return kind->ends_block(node) || kind_of(next, &other) != kind;
    case PARTITION_WHOLE: return 0;
    }
    return 1;
}

static int wants_unit(const struct stage *stage, const struct config_node *net_node)
{
    const char *between = config_text(net_node, "between");
    return strcmp(between, "auto") == 0 ? !stage->normed : strcmp(between, "l2") == 0;
}

/* An item more in the stage. several: the stage has others too. */
static hff_status add_item(struct stage *stage, const struct config_node *net_node, const struct config_node *item,
                           int several)
{
    const struct config_node *node;
    const struct stage_kind *kind = kind_of(item, &node);
    if (!kind) return config_fail(item, "a stage of an unknown kind");
    if (stage->optimizer)
        return config_fail(stage->optimizer,
                           "net.partition makes this item part of a stage, which has one optimizer; put these keys "
                           "beside the stage's last item or under optimizer");
    if (stage->items > 0 && wants_unit(stage, net_node))
        TRY(stage_add(stage, item, (struct layer){.kind = &layer_unit, .name = "unit"}));
    stage->items++;
    stage->normed = 0;
    if (several) snprintf(stage->prefix, sizeof stage->prefix, "%d.", stage->items);
    stage->objective = config_at(item, "objective");
    stage->optimizer = config_at(item, "optimizer");
    TRY(kind->build(stage, node));
    stage->out = stage_shape(stage);
    return HFF_OK;
}

/* The items with repeat written out. */
static hff_status expand(struct arena *arena, const struct config_node *net_node, const struct config_node ***out,
                         int *count)
{
    const struct config_node *list = config_at(net_node, "stages");
    int64_t total = 0;
    for (int i = 0; i < config_count(list); i++) total += config_int(config_item(list, i), "repeat");
    if (total == 0) return config_fail(net_node, "net.stages is empty; a net needs at least one stage");
    if (total > 10000) return config_fail(net_node, "net.stages has %lld stages; at most 10000", (long long)total);
    *out = ARENA_NEW(arena, const struct config_node *, total);
    *count = 0;
    for (int i = 0; i < config_count(list); i++)
        for (int64_t r = 0; r < config_int(config_item(list, i), "repeat"); r++)
            (*out)[(*count)++] = config_item(list, i);
    return HFF_OK;
}

static hff_status build(struct net *net, const struct config_node *net_node, const struct shape *input)
{
    const struct config_node **item = NULL;
    int items = 0;
    enum partition partition = partition_of(net_node);
    TRY(expand(&net->arena, net_node, &item, &items));
    net->stage = ARENA_NEW(&net->arena, struct stage, items);
    for (int i = 0, first = 1; i < items; i++) {
        int ends = i + 1 == items || stage_ends(partition, item[i], item[i + 1]);
        struct stage *stage = &net->stage[net->count];
        if (first) {
            *stage = (struct stage){.number = net->count + 1, .in = net->count ? stage[-1].out : *input};
            stage->body.arena = &net->arena;
        }
        TRY(add_item(stage, net_node, item[i], !(first && ends)));
        first = ends;
        if (!ends) continue;
        stage->between = i + 1 < items && wants_unit(stage, net_node) ? BETWEEN_L2 : BETWEEN_NONE;
        net->count++;
    }
    return HFF_OK;
}

hff_status net_build(struct net **out, const struct config_node *net_node, const struct shape *input)
{
    *out = NULL;
    struct net *net = calloc(1, sizeof *net);
    if (!net) return fail(HFF_E_MEMORY, "no memory for a net");
    hff_status status = build(net, net_node, input);
    if (status != HFF_OK)
        net_free(net);
    else
        *out = net;
    return status;
}

void net_free(struct net *net)
{
    if (!net) return;
    arena_free(&net->arena);
    free(net);
}

void stage_params(struct graph *graph, struct stage *stage)
{
    layers_params(graph, &stage->body);
}

/* The host's batch is real, and lies plain. */
static int as_activation(struct graph *graph, const struct stage *stage, int x, enum section section)
{
    struct tensor tensor = graph_at(graph, x)->tensor;
    int moves = graph->moves_images && tensor.block == VALUE_KEEP_PLAIN && tensor.rank == 4 &&
                stage->body.item[0].kind != &layer_flatten;
    if (tensor.dtype == graph->act && !moves) return x;
    if (moves) tensor.block = 0;
    tensor.dtype = graph->act;
    int y = graph_value(graph, ROLE_ACT, tensor, "input.%s", dtype_name(graph->act));
    NODE(graph, section, OP_REORDER, x, y);
    return y;
}

int stage_forward(struct graph *graph, struct stage *stage, int x, enum section section, int last, int *passed)
{
    int h = layers_forward(graph, &stage->body, as_activation(graph, stage, x, section), section);
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
