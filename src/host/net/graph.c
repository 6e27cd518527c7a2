/* Building graphs: growing arrays of values and nodes. */
#include "graph.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *section_name(enum section section)
{
    static const char *const names[SECTIONS] = {"forward", "head",   "backward", "update",
                                                "pack",    "frozen", "eval",     "preview"};
    return names[section];
}

int section_learns(enum section section)
{
    return section != SECTION_EVAL && section != SECTION_FROZEN;
}

void graph_init(struct graph *graph, enum dtype real, enum dtype act, int64_t batch)
{
    *graph = (struct graph){.real = real, .act = act, .batch = batch};
}

void graph_free(struct graph *graph)
{
    free(graph->value);
    for (int s = 0; s < SECTIONS; s++) free(graph->node[s]);
    memset(graph, 0, sizeof *graph);
}

/* items with room for one more; a few hundred at most, so that running out of memory here is not worth a status. */
static void *grown(void *items, int count, int *room, size_t size)
{
    if (count < *room) return items;
    *room = *room ? 2 * *room : 32;
    void *larger = realloc(items, (size_t)*room * size);
    if (!larger) {
        fprintf(stderr, "hff: out of memory\n");
        exit(1);
    }
    return larger;
}

int graph_value(struct graph *graph, enum role role, struct tensor tensor, const char *name, ...)
{
    graph->value = grown(graph->value, graph->values, &graph->value_room, sizeof *graph->value);
    struct value *value = &graph->value[graph->values];
    *value = (struct value){.role = role, .tensor = tensor, .group = GROUP_FROZEN, .grad = -1};
    va_list args;
    va_start(args, name);
    vsnprintf(value->name, sizeof value->name, name, args);
    va_end(args);
    return graph->values++;
}

int graph_param(struct graph *graph, enum group group, struct tensor shape, enum init init, double init_value,
                const char *name)
{
    shape.dtype = graph->real;
    int id = graph_value(graph, ROLE_PARAM, shape, "%s", name);
    int grad = group == GROUP_FROZEN ? -1 : graph_value(graph, ROLE_GRAD, shape, "%s.grad", name);
    struct value *value = &graph->value[id];
    value->group = group;
    value->init = init;
    value->init_value = init_value;
    value->grad = grad;
    if (grad >= 0) graph->value[grad].group = group;
    return id;
}

int graph_state(struct graph *graph, struct tensor shape, double init_value, const char *name)
{
    shape.dtype = graph->real;
    int id = graph_value(graph, ROLE_STATE, shape, "%s", name);
    graph->value[id].init = INIT_VALUE;
    graph->value[id].init_value = init_value;
    return id;
}

void graph_places(const struct graph *graph, struct group_place place[GROUPS])
{
    int64_t end = 0;
    memset(place, 0, GROUPS * sizeof *place);
    for (int i = 0; i < graph->values; i++) {
        const struct value *v = &graph->value[i];
        if (v->role == ROLE_PARAM && v->group != GROUP_FROZEN && !v->whole)
            place[v->group].count += tensor_count(&v->tensor);
    }
    for (int g = 0; g < GROUPS; g++) {
        place[g].first = (end + GROUP_STEP - 1) / GROUP_STEP * GROUP_STEP;
        if (place[g].count > 0) end = place[g].first + place[g].count;
    }
}

int graph_group_grads(struct graph *graph, enum group group)
{
    static const char *const names[GROUPS] = {"body_decay", "body_plain", "head_decay",
                                              "head_plain", "prototypes", "scale"};
    struct group_place place[GROUPS];
    graph_places(graph, place);
    if (place[group].count == 0) return -1;
    int id = graph_value(graph, ROLE_GRAD, tensor_make1(graph->real, place[group].count), "%s.grads", names[group]);
    graph->value[id].group = group;
    graph->value[id].whole = WHOLE_GROUP;
    return id;
}

int graph_whole(struct graph *graph, enum role role, int which)
{
    struct group_place place[GROUPS];
    int64_t count = 0;
    graph_places(graph, place);
    for (int g = 0; g < GROUPS; g++)
        if (place[g].count > 0) count = place[g].first + place[g].count;
    const char *what = role == ROLE_PARAM ? "params" : role == ROLE_GRAD ? "grads" : which ? "moment2" : "moment1";
    int id = graph_value(graph, role, tensor_make1(graph->real, count), "stage.%s", what);
    graph->value[id].whole = WHOLE_STAGE;
    return id;
}

struct node *graph_node(struct graph *graph, enum section section, enum op_kind kind, const int *args, int count)
{
    graph->node[section] =
        grown(graph->node[section], graph->nodes[section], &graph->node_room[section], sizeof *graph->node[section]);
    struct node *node = &graph->node[section][graph->nodes[section]++];
    memset(node, 0, sizeof *node);
    node->kind = kind;
    for (int i = 0; i < OP_ARGS; i++) node->arg[i] = i < count ? args[i] : -1;
    return node;
}

struct value *graph_at(struct graph *graph, int value)
{
    return &graph->value[value];
}

int graph_find(const struct graph *graph, const char *name)
{
    for (int i = 0; i < graph->values; i++)
        if (strcmp(graph->value[i].name, name) == 0) return i;
    return -1;
}

struct op_desc node_desc(const struct graph *graph, const struct node *node, int slices)
{
    struct op_desc desc = node->attr;
    desc.kind = node->kind;
    desc.slices = slices;
    for (int i = 0; i < OP_ARGS; i++)
        if (node->arg[i] >= 0) desc.arg[i] = graph->value[node->arg[i]].tensor;
    return desc;
}

double graph_flops(const struct graph *graph, enum section section)
{
    double total = 0;
    for (int i = 0; i < graph->nodes[section]; i++) {
        struct op_desc desc = node_desc(graph, &graph->node[section][i], 1);
        total += op_flops(&desc);
    }
    return total;
}
