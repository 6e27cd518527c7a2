/* Ops side by side become one: batch norm and pooling; activation, adaptive pooling and flattening. */
#include "rewrite.h"

#include <string.h>

/* Arguments of a graph's nodes that are the value. */
static int uses(const struct graph *graph, int value)
{
    int count = 0;
    for (int s = 0; s < SECTIONS; s++)
        for (int i = 0; i < graph->nodes[s]; i++)
            for (int a = 0; a < OP_ARGS; a++) count += graph->node[s][i].arg[a] == value;
    return count;
}

/* Whether a value lies between two nodes and is nothing to anyone else. */
static int is_between(const struct graph *graph, int value)
{
    return graph->value[value].role == ROLE_ACT && uses(graph, value) == 2;
}

static int overlaps_little(const struct pool_window *window)
{
    return window->kernel < 2 * window->stride;
}

/* norm with the pool behind it; pooled: where the norm has its y, and the joined op that of the pool. */
static int join_norm(const struct graph *graph, struct node *norm, const struct node *pool, int pooled)
{
    int y = norm->arg[pooled];
    if (pool->kind != OP_POOL || pool->arg[0] != y || !overlaps_little(&pool->attr.attr.pool)) return 0;
    if (!is_between(graph, y)) return 0;
    norm->kind = norm->kind == OP_NORM ? OP_NORM_POOL : OP_NORM_POOL_EVAL;
    norm->attr.attr.norm.pool = pool->attr.attr.pool;
    norm->arg[pooled] = pool->arg[1];
    norm->arg[pooled + 1] = pool->arg[2];
    return 1;
}

/* norm_back with the pool_back in front of it. norm_back may write its dx over the dy that it reads (in place): then what
 * others read of that value later is dx, which the joined op writes there just so. */
static int join_norm_back(const struct graph *graph, const struct node *pool, struct node *norm)
{
    int dy = pool->arg[2], dx = norm->arg[6];
    if (norm->kind != OP_NORM_BACK || norm->arg[5] != dy || !overlaps_little(&pool->attr.attr.pool)) return 0;
    if (graph->value[dy].role != ROLE_ACT || (dx != dy && uses(graph, dy) != 2) || dx == pool->arg[1]) return 0;
    norm->kind = OP_NORM_POOL_BACK;
    norm->attr.attr.norm.pool = pool->attr.attr.pool;
    norm->arg[5] = pool->arg[1];
    norm->arg[9] = pool->arg[0];
    return 1;
}

static struct node joined_apool(const struct graph *graph, enum op_kind kind, int small)
{
    const struct tensor *t = &graph->value[small].tensor;
    struct node node = {.kind = kind};
    for (int i = 0; i < OP_ARGS; i++) node.arg[i] = -1;
    node.attr.attr.act_apool.rows = (int)t->dim[2];
    node.attr.attr.act_apool.columns = (int)t->dim[3];
    return node;
}

/* What a head's embedding is: rows of the graph's real type. */
static int is_rows(const struct graph *graph, int value)
{
    const struct tensor *t = &graph->value[value].tensor;
    return t->rank == 2 && t->dtype == graph->real;
}

/* apool with the reorder behind it. */
static int join_apool(const struct graph *graph, struct node *apool, const struct node *rows)
{
    int y = apool->arg[1];
    if (rows->kind != OP_REORDER || rows->arg[0] != y || !is_between(graph, y) || !is_rows(graph, rows->arg[1]))
        return 0;
    struct node joined = joined_apool(graph, OP_ACT_APOOL, y);
    joined.arg[0] = apool->arg[0];
    joined.arg[1] = rows->arg[1];
    *apool = joined;
    return 1;
}

/* act_apool with the act in front of it. */
static int join_act(const struct graph *graph, const struct node *act, struct node *apool)
{
    int y = act->arg[1];
    if (apool->kind != OP_ACT_APOOL || apool->attr.attr.act_apool.act != ACT_NONE || apool->arg[0] != y) return 0;
    if (!is_between(graph, y)) return 0;
    apool->attr.attr.act_apool.act = act->attr.attr.act.act;
    apool->arg[0] = act->arg[0];
    return 1;
}

/* apool_back with the reorder in front of it. */
static int join_apool_back(const struct graph *graph, const struct node *rows, struct node *apool)
{
    int dy = rows->arg[1];
    if (apool->kind != OP_APOOL_BACK || apool->arg[0] != dy || !is_between(graph, dy) || !is_rows(graph, rows->arg[0]))
        return 0;
    struct node joined = joined_apool(graph, OP_ACT_APOOL_BACK, dy);
    joined.arg[1] = rows->arg[0];
    joined.arg[2] = apool->arg[1];
    *apool = joined;
    return 1;
}

/* act_apool_back with the act_back behind it, which may write its dx over the dy that it reads. */
static int join_act_back(const struct graph *graph, struct node *apool, const struct node *act)
{
    int dy = apool->arg[2], dx = act->arg[2];
    if (act->kind != OP_ACT_BACK || act->arg[1] != dy || apool->arg[0] >= 0) return 0;
    if (graph->value[dy].role != ROLE_ACT || (dx != dy && uses(graph, dy) != 2) || dx == act->arg[0]) return 0;
    apool->attr.attr.act_apool.act = act->attr.attr.act.act;
    apool->arg[0] = act->arg[0];
    apool->arg[2] = dx;
    return 1;
}

/* Joins a node and the next one, if they can be: 1 where the second is to go, -1 where the first is; 0. */
static int join(const struct graph *graph, struct node *node)
{
    switch (node->kind) {
    case OP_NORM: return join_norm(graph, node, node + 1, 7);
    case OP_NORM_EVAL: return join_norm(graph, node, node + 1, 5);
    case OP_POOL_BACK: return -join_norm_back(graph, node, node + 1);
    case OP_APOOL: return join_apool(graph, node, node + 1);
    case OP_ACT: return -join_act(graph, node, node + 1);
    case OP_REORDER: return -join_apool_back(graph, node, node + 1);
    case OP_ACT_APOOL_BACK: return join_act_back(graph, node, node + 1);
    default: return 0;
    }
}

static void remove_node(struct graph *graph, int section, int number)
{
    struct node *node = graph->node[section];
    int behind = --graph->nodes[section] - number;
    memmove(&node[number], &node[number + 1], (size_t)behind * sizeof *node);
}

static int join_once(struct graph *graph)
{
    int joined = 0;
    for (int s = 0; s < SECTIONS; s++)
        for (int i = 0; i + 1 < graph->nodes[s]; i++) {
            int gone = join(graph, &graph->node[s][i]);
            if (gone == 0) continue;
            remove_node(graph, s, gone > 0 ? i + 1 : i);
            joined++;
        }
    return joined;
}

int graph_join(struct graph *graph)
{
    int joined = 0, more;
    do joined += more = join_once(graph);
    while (more > 0); /* what is joined may be joined again */
    return joined;
}
