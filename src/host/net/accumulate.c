/* Gradients that add up over several runs of a graph. Each is first written to memory that lives for two ops, so that
 * no second copy of all gradients is needed. */
#include "rewrite.h"

#include <stdlib.h>
#include <string.h>

/* The node with its gradients elsewhere, and the sums. */
static void add_node(struct graph *graph, enum section section, const struct node *old)
{
    struct node node = *old;
    int grad[OP_ARGS], count = 0;
    for (int a = 0; a < op_table[old->kind].args; a++) {
        int v = old->arg[a];
        if (v < 0 || !(op_table[old->kind].arg[a].access & ARG_OUT) || graph->value[v].role != ROLE_GRAD) continue;
        struct tensor tensor = graph->value[v].tensor;
        char name[sizeof graph->value[v].name];
        memcpy(name, graph->value[v].name, sizeof name);
        tensor.block = VALUE_KEEP_PLAIN;
        node.arg[a] = graph_value(graph, ROLE_ACT, tensor, "%.50s.part", name);
        grad[count++] = a;
    }
    *graph_node(graph, section, node.kind, node.arg, OP_ARGS) = node;
    for (int i = 0; i < count; i++)
        NODE(graph, section, OP_ADD, old->arg[grad[i]], node.arg[grad[i]], old->arg[grad[i]]);
}

void graph_accumulate(struct graph *graph)
{
    for (int s = SECTION_FORWARD; s <= SECTION_BACKWARD; s++) {
        struct node *old = graph->node[s];
        int count = graph->nodes[s];
        graph->node[s] = NULL;
        graph->nodes[s] = graph->node_room[s] = 0;
        for (int i = 0; i < count; i++) add_node(graph, (enum section)s, &old[i]);
        free(old);
    }
}
