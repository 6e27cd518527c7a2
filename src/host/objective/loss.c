/* Parts of heads: metrics, cross-entropy over scores that layers compute, and the similarity term (METHOD.md 3). */
#include "objective.h"

void head_metrics(struct head *head)
{
    struct tensor sums = tensor_make1(DTYPE_F64, METRICS);
    head->metrics = graph_value(head->graph, ROLE_STAT, sums, "head.metrics");
    head->metrics_eval = graph_value(head->graph, ROLE_STAT, sums, "head.metrics_eval");
}

double head_discount(const struct head *head)
{
    return config_real(head->config, "sim.beta");
}

void head_cross_entropy(struct head *head)
{
    struct graph *graph = head->graph;
    head_metrics(head);
    head->own = head->other = ""; /* no cosines */
    layers_params(graph, &head->embed);
    int scores = layers_forward(graph, &head->embed, head->h, SECTION_HEAD);
    int dscores = graph_value(graph, ROLE_ACT, graph_at(graph, scores)->tensor, "head.dscores");
    struct node *node =
        NODE(graph, SECTION_HEAD, OP_CROSS_ENTROPY, scores, head->y1, head->y2, head->weight, dscores, head->metrics);
    node->attr.attr.cross_entropy.global_batch = head->global_batch;
    node->attr.attr.cross_entropy.smoothing = config_real(head->config, "smoothing");
    node->attr.attr.cross_entropy.discount = head_discount(head);
    head->dh = layers_backward(graph, &head->embed, dscores, 1, SECTION_HEAD);

    head->scores_eval = layers_forward(graph, &head->embed, head->h_eval, SECTION_EVAL);
    graph_at(graph, head->scores_eval)->role = ROLE_STAT; /* the host reads them */
    NODE(graph, SECTION_EVAL, OP_CROSS_ENTROPY_EVAL, head->scores_eval, head->y1, head->weight, head->metrics_eval);
}

/* For images a local 3x3 convolution and the deviation of its channels (a few channels or a single position: all their
 * values); for flat stages a linear map. */
static hff_status add_similar(struct head *head)
{
    struct layers *layers = &head->similar;
    const struct shape *shape = &head->shape;
    *layers = (struct layers){.arena = head->arena};
    if (shape->rank == 3) {
        struct layer conv = {.kind = &layer_conv,
                             .name = "head.sim",
                             .units = shape->dim[0],
                             .kernel = 3,
                             .stride = 1,
                             .pad = 1,
                             .head = 1};
        TRY(layers_add(layers, shape, conv));
        struct layer deviation = {.kind = &layer_deviation, .name = "head.deviation", .head = 1},
                     flatten = {.kind = &layer_flatten, .name = "head.similar", .head = 1};
        int deviates = shape->dim[0] > 3 && shape->dim[1] * shape->dim[2] > 1;
        return layers_add(layers, shape, deviates ? deviation : flatten);
    }
    if (head->graph->act != head->graph->real)
        TRY(layers_add(layers, shape, (struct layer){.kind = &layer_flatten, .name = "head.similar", .head = 1}));
    return layers_add(layers, shape,
                      (struct layer){.kind = &layer_linear, .name = "head.sim", .units = shape->dim[0], .head = 1});
}

hff_status head_similarity(struct head *head)
{
    struct graph *graph = head->graph;
    if (head_discount(head) == 0) return HFF_OK;
    TRY(add_similar(head));
    layers_params(graph, &head->similar);
    int x = layers_forward(graph, &head->similar, head->h, SECTION_HEAD);
    int dx = graph_value(graph, ROLE_ACT, graph_at(graph, x)->tensor, "head.sim.dx");
    struct node *node =
        NODE(graph, SECTION_HEAD, OP_SIMILARITY, x, head->y1, head->y2, head->weight, dx, head->metrics);
    node->attr.attr.similarity.global_batch = head->global_batch;
    node->attr.attr.similarity.classes = head->classes;
    node->attr.attr.similarity.share = head_discount(head);
    int dh = layers_backward(graph, &head->similar, dx, 1, SECTION_HEAD);
    NODE(graph, SECTION_HEAD, OP_ADD, head->dh, dh, head->dh);
    return HFF_OK;
}
