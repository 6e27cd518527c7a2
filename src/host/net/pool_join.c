/* Batch norm and pooling side by side become one op. */
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

static int overlaps_little(const struct pool_window *window)
{
    return window->kernel < 2 * window->stride;
}

/* norm with the pool behind it; pooled: where the norm has its y, and the joined op that of the pool. */
static int join_forward(const struct graph *graph, struct node *norm, const struct node *pool, int pooled)
{
    int y = norm->arg[pooled];
    if (pool->kind != OP_POOL || pool->arg[0] != y || !overlaps_little(&pool->attr.attr.pool)) return 0;
    if (graph->value[y].role != ROLE_ACT || uses(graph, y) != 2) return 0;
    norm->kind = norm->kind == OP_NORM ? OP_NORM_POOL : OP_NORM_POOL_EVAL;
    norm->attr.attr.norm.pool = pool->attr.attr.pool;
    norm->arg[pooled] = pool->arg[1];
    norm->arg[pooled + 1] = pool->arg[2];
    return 1;
}

/* norm_back with the pool_back in front of it. norm_back may write its dx over the dy that it reads (in place): then what
 * others read of that value later is dx, which the joined op writes there just so. */
static int join_backward(const struct graph *graph, const struct node *pool, struct node *norm)
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

static void remove_node(struct graph *graph, int section, int number)
{
    struct node *node = graph->node[section];
    int behind = --graph->nodes[section] - number;
    memmove(&node[number], &node[number + 1], (size_t)behind * sizeof *node);
}

int graph_join_pools(struct graph *graph)
{
    int joined = 0;
    for (int s = 0; s < SECTIONS; s++)
        for (int i = 0; i + 1 < graph->nodes[s]; i++) {
            struct node *node = &graph->node[s][i];
            int gone = -1;
            if (node->kind == OP_NORM && join_forward(graph, node, node + 1, 7)) gone = i + 1;
            if (node->kind == OP_NORM_EVAL && join_forward(graph, node, node + 1, 5)) gone = i + 1;
            if (node->kind == OP_POOL_BACK && join_backward(graph, node, node + 1)) gone = i;
            if (gone < 0) continue;
            remove_node(graph, s, gone);
            joined++;
        }
    return joined;
}
