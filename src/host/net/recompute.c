/* Recomputation: which activations of a stage are kept, and the ops that make the others again. */
#include "rewrite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What becomes of a value in the forward section (numbers of nodes, -1: none). */
struct use {
    int made, written, read; /* first written; last written; last read */
    int late;                /* the backward section reads it */
    int again;               /* its second copy; -1: none */
    int wanted;              /* in that copy */
};

/* Where the forward section may be cut: before node, where value alone leads on. */
struct cut {
    int node, value;
    size_t before; /* bytes that the backward section reads of what was made before */
};

struct plan {
    struct graph *graph;
    int values; /* of the graph as it was */
    struct use *use;
    struct cut *cut; /* all that are possible, then, in chosen, those that are */
    int cuts;
    int *chosen, count;
    size_t total;
    unsigned char *repeated; /* by segment */
};

static void *zeroed(int count, size_t size)
{
    void *memory = calloc((size_t)count + 1, size);
    if (memory) return memory;
    fprintf(stderr, "hff: out of memory\n"); /* a few kilobytes: not worth a status */
    exit(1);
}

static int is_activation(const struct value *value)
{
    return value->role == ROLE_ACT || value->role == ROLE_OUTPUT || value->role == ROLE_HELD;
}

/* What would be kept for the backward section alone. The numbers of a channel are so few that they always are kept. */
static int is_large(const struct plan *plan, int value)
{
    const struct value *v = &plan->graph->value[value];
    return v->role == ROLE_ACT && plan->use[value].late && v->tensor.rank > 1;
}

static size_t bytes_of(const struct plan *plan, int value)
{
    return tensor_bytes(&plan->graph->value[value].tensor);
}

static void find_uses(struct plan *plan)
{
    const struct graph *graph = plan->graph;
    for (int v = 0; v < plan->values; v++) plan->use[v] = (struct use){-1, -1, -1, 0, -1, 0};
    for (int i = 0; i < graph->nodes[SECTION_FORWARD]; i++) {
        const struct node *node = &graph->node[SECTION_FORWARD][i];
        for (int a = 0; a < OP_ARGS; a++) {
            if (node->arg[a] < 0 || !is_activation(&graph->value[node->arg[a]])) continue;
            struct use *use = &plan->use[node->arg[a]];
            int access = op_table[node->kind].arg[a].access;
            if (access & ARG_OUT) use->written = i;
            if (access & ARG_OUT && use->made < 0) use->made = i;
            if (access & ARG_IN) use->read = i;
        }
    }
    for (int i = 0; i < graph->nodes[SECTION_BACKWARD]; i++)
        for (int a = 0; a < OP_ARGS; a++) {
            int v = graph->node[SECTION_BACKWARD][i].arg[a];
            if (v >= 0 && plan->use[v].made >= 0) plan->use[v].late = 1;
        }
}

/* A cut's value is one that the backward section reads anyway, and final: nothing behind the cut writes it. */
static void find_cuts(struct plan *plan)
{
    int nodes = plan->graph->nodes[SECTION_FORWARD];
    for (int i = 1; i < nodes; i++) {
        int crossing = 0, value = -1;
        size_t before = 0;
        for (int v = 0; v < plan->values; v++) {
            const struct use *use = &plan->use[v];
            if (use->made < 0 || use->made >= i) continue;
            if (is_large(plan, v)) before += bytes_of(plan, v);
            if (use->read < i && use->written < i) continue;
            crossing++;
            value = use->written < i && is_large(plan, v) ? v : -1;
        }
        if (crossing == 1 && value >= 0) plan->cut[plan->cuts++] = (struct cut){i, value, before};
    }
    for (int v = 0; v < plan->values; v++)
        if (is_large(plan, v)) plan->total += bytes_of(plan, v);
}

static size_t distance(size_t a, size_t b)
{
    return a > b ? a - b : b - a;
}

/* Cuts nearest to equal shares, small values preferred. */
static void choose(struct plan *plan, int segments)
{
    plan->count = 0;
    for (int s = 1, next = 0; s < segments && next < plan->cuts; s++) {
        size_t target = plan->total / (size_t)segments * (size_t)s, least = SIZE_MAX;
        int best = next;
        for (int c = next; c < plan->cuts; c++) {
            size_t away = distance(plan->cut[c].before, target);
            if (away + bytes_of(plan, plan->cut[c].value) < least) {
                least = away + bytes_of(plan, plan->cut[c].value);
                best = c;
            }
            if (plan->cut[c].before > target && away >= least) break;
        }
        plan->chosen[plan->count++] = best;
        next = best + 1;
    }
}

/* What is in memory at most with the chosen cuts: before the backward ops of a segment, its activations and the values
 * of the cuts up to it. */
static size_t most_bytes(const struct plan *plan)
{
    size_t kept = 0, most = 0, start = 0;
    for (int s = 0; s <= plan->count; s++) {
        const struct cut *end = s < plan->count ? &plan->cut[plan->chosen[s]] : NULL;
        size_t own = (end ? end->before : plan->total) - start;
        if (kept + own > most) most = kept + own;
        if (end) kept += bytes_of(plan, end->value);
        if (end) start = end->before;
    }
    return most;
}

/* Cuts that keep it within limit, if there are any: of the ways to a cut the one whose values are smallest together.
 * kept, from: room for cuts + 2; place 0 is the beginning, place c + 1 cut c. */
static int cut_within(struct plan *plan, size_t limit, size_t *kept, int *from)
{
    kept[0] = 0;
    for (int c = 0; c <= plan->cuts; c++) { /* the last one is the end */
        size_t before = c < plan->cuts ? plan->cut[c].before : plan->total, least = SIZE_MAX;
        for (int f = c; f >= 0; f--) {
            size_t own = before - (f ? plan->cut[f - 1].before : 0);
            if (own > limit) break;
            if (kept[f] > limit - own || kept[f] >= least) continue;
            least = kept[f];
            from[c + 1] = f;
        }
        if (c == plan->cuts && least == SIZE_MAX) return 0;
        kept[c + 1] = least < SIZE_MAX && c < plan->cuts ? least + bytes_of(plan, plan->cut[c].value) : least;
    }
    plan->count = 0;
    for (int c = from[plan->cuts + 1]; c > 0; c = from[c]) plan->count++;
    for (int c = from[plan->cuts + 1], i = plan->count; c > 0; c = from[c]) plan->chosen[--i] = c - 1;
    return 1;
}

/* The least there can be, by halving. */
static void choose_best(struct plan *plan)
{
    size_t too_small = 0, enough = plan->total;
    size_t *kept = zeroed(plan->cuts + 2, sizeof *kept);
    int *from = zeroed(plan->cuts + 2, sizeof *from);
    while (enough - too_small > 1) {
        size_t middle = too_small + (enough - too_small) / 2;
        if (cut_within(plan, middle, kept, from))
            enough = middle;
        else
            too_small = middle;
    }
    cut_within(plan, enough, kept, from);
    free(kept);
    free(from);
}

static int segment_of(const struct plan *plan, int node)
{
    int s = 0;
    while (s < plan->count && plan->cut[plan->chosen[s]].node <= node) s++;
    return s;
}

/* Whether backward ops are to read a second copy of the value. */
static int is_repeated(const struct plan *plan, int value)
{
    if (value < 0 || value >= plan->values || plan->use[value].made < 0 || !is_large(plan, value)) return 0;
    int s = segment_of(plan, plan->use[value].made);
    return s < plan->count && plan->cut[plan->chosen[s]].value != value;
}

static int second_copy(struct plan *plan, int value)
{
    struct graph *graph = plan->graph;
    if (plan->use[value].again < 0) {
        char name[sizeof graph->value[value].name];
        memcpy(name, graph->value[value].name, sizeof name);
        plan->use[value].again = graph_value(graph, ROLE_ACT, graph->value[value].tensor, "%.48s.again", name);
    }
    return plan->use[value].again;
}

/* From the last node of the segment to the first: those that make what is wanted, and then what they read. */
static void mark_wanted(struct plan *plan, int first, int end, unsigned char *needed)
{
    for (int v = 0; v < plan->values; v++)
        if (plan->use[v].made >= first && plan->use[v].made < end) plan->use[v].wanted = is_repeated(plan, v);
    for (int i = end - 1; i >= first; i--) {
        const struct node *node = &plan->graph->node[SECTION_FORWARD][i];
        for (int a = 0; a < OP_ARGS; a++)
            if (node->arg[a] >= 0 && op_table[node->kind].arg[a].access & ARG_OUT)
                needed[i] |= plan->use[node->arg[a]].wanted != 0;
        for (int a = 0; a < OP_ARGS && needed[i]; a++)
            if (node->arg[a] >= 0 && plan->use[node->arg[a]].made >= first) plan->use[node->arg[a]].wanted = 1;
    }
}

/* The node once more: what the segment makes goes to second copies, what outlives the step (running statistics, which
 * their ops can do without) stays out of it. */
static void repeat_node(struct plan *plan, int number, int first)
{
    struct graph *graph = plan->graph;
    struct node node = graph->node[SECTION_FORWARD][number];
    for (int a = 0; a < OP_ARGS; a++) {
        int v = node.arg[a];
        if (v < 0) continue;
        if (plan->use[v].made >= first)
            node.arg[a] = second_copy(plan, v);
        else if (op_table[node.kind].arg[a].access & ARG_OUT)
            node.arg[a] = -1;
    }
    *graph_node(graph, SECTION_BACKWARD, node.kind, node.arg, OP_ARGS) = node;
}

static void repeat_segment(struct plan *plan, int segment)
{
    int first = segment ? plan->cut[plan->chosen[segment - 1]].node : 0, end = plan->cut[plan->chosen[segment]].node;
    unsigned char *needed = zeroed(end, 1);
    mark_wanted(plan, first, end, needed);
    for (int i = first; i < end; i++)
        if (needed[i]) repeat_node(plan, i, first);
    free(needed);
    plan->repeated[segment] = 1;
}

static void rewrite_backward(struct plan *plan)
{
    struct graph *graph = plan->graph;
    struct node *old = graph->node[SECTION_BACKWARD];
    int count = graph->nodes[SECTION_BACKWARD];
    graph->node[SECTION_BACKWARD] = NULL;
    graph->nodes[SECTION_BACKWARD] = graph->node_room[SECTION_BACKWARD] = 0;
    for (int i = 0; i < count; i++) {
        struct node node = old[i];
        for (int a = 0; a < OP_ARGS; a++) {
            if (!is_repeated(plan, node.arg[a])) continue;
            int segment = segment_of(plan, plan->use[node.arg[a]].made);
            if (!plan->repeated[segment]) repeat_segment(plan, segment);
            node.arg[a] = plan->use[node.arg[a]].again;
        }
        *graph_node(graph, SECTION_BACKWARD, node.kind, node.arg, OP_ARGS) = node;
    }
    free(old);
}

int graph_recompute(struct graph *graph, int segments)
{
    int nodes = graph->nodes[SECTION_FORWARD];
    struct plan plan = {.graph = graph, .values = graph->values};
    plan.use = zeroed(graph->values, sizeof *plan.use);
    plan.cut = zeroed(nodes, sizeof *plan.cut);
    plan.chosen = zeroed(nodes, sizeof *plan.chosen);
    plan.repeated = zeroed(nodes, 1);
    find_uses(&plan);
    find_cuts(&plan);
    if (segments == RECOMPUTE_AUTO)
        choose_best(&plan);
    else
        choose(&plan, segments);
    if (most_bytes(&plan) >= plan.total) plan.count = 0;
    if (plan.count > 0) rewrite_backward(&plan);
    free(plan.use);
    free(plan.cut);
    free(plan.chosen);
    free(plan.repeated);
    return plan.count + 1;
}
