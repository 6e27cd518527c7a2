/* hff: softmax or pairwise loss over cosines to unit-norm class prototypes (METHOD.md section 1; arXiv 2605.00082). */
#include "objective.h"

#include <math.h>
#include <string.h>

static enum init prototype_init(const struct config_node *config)
{
    return strcmp(config_text(config, "prototypes.init"), "orthogonal") == 0 ? INIT_ORTHOGONAL : INIT_UNIT_ROWS;
}

hff_status hff_build(struct head *head)
{
    struct graph *graph = head->graph;
    const struct config_node *config = head->config;
    int64_t per_class = config_int(config, "prototypes.per_class");
    int pairwise = strcmp(config_text(config, "loss"), "pairwise") == 0,
        learn_scale = config_bool(config, "learn_scale");
    double smoothing = config_real(config, "smoothing");
    if (pairwise && smoothing > 0)
        return config_fail(
            config_at(config, "smoothing"),
            "stage %d: label smoothing has no meaning for the pairwise loss; set objective.smoothing to 0",
            head->stage);

    head_body(head);
    TRY(head_embed(head));
    layers_params(graph, &head->embed);
    struct tensor shape = tensor_plain(graph->real, 3, (const int64_t[]){head->classes, per_class, head->embedding});
    head->prototypes = graph_param(graph, config_bool(config, "prototypes.train") ? GROUP_PROTOTYPES : GROUP_FROZEN,
                                   shape, prototype_init(config), 0, "head.prototypes");
    int scale = graph_param(graph, learn_scale ? GROUP_SCALE : GROUP_FROZEN, tensor_make1(graph->real, 1), INIT_VALUE,
                            log(config_real(config, "scale")), "head.log_scale");

    struct tensor scores = tensor_make2(graph->real, graph->batch, head->classes);
    int scores_train = graph_value(graph, ROLE_ACT, scores, "head.scores");
    head->scores_eval = graph_value(graph, ROLE_STAT, scores, "head.scores_eval");
    head_metrics(head);
    head->wins = per_class > 1
                     ? graph_value(graph, ROLE_STAT, tensor_make1(DTYPE_I64, head->classes * per_class), "head.wins")
                     : -1;

    int e = layers_forward(graph, &head->embed, head->h, SECTION_HEAD);
    int de = graph_value(graph, ROLE_ACT, graph_at(graph, e)->tensor, "head.de");
    struct node *node =
        NODE(graph, SECTION_HEAD, OP_HFF, e, head->prototypes, scale, head->y1, head->y2, head->weight, scores_train,
             de, graph_at(graph, head->prototypes)->grad, graph_at(graph, scale)->grad, head->metrics, head->wins);
    node->attr.attr.hff.global_batch = head->global_batch;
    node->attr.attr.hff.loss = pairwise ? HFF_LOSS_PAIRWISE : HFF_LOSS_SOFTMAX;
    node->attr.attr.hff.margin = config_real(config, "margin");
    node->attr.attr.hff.smoothing = smoothing;
    node->attr.attr.hff.discount = head_discount(head);
    head->dh = layers_backward(graph, &head->embed, de, 1, SECTION_HEAD);

    head->features_eval = layers_forward(graph, &head->embed, head->h_eval, SECTION_EVAL);
    node = NODE(graph, SECTION_EVAL, OP_HFF_EVAL, head->features_eval, head->prototypes, scale, head->y1, head->weight,
                head->scores_eval, head->metrics_eval);
    node->attr.attr.hff.global_batch = head->global_batch;
    node->attr.attr.hff.loss = pairwise ? HFF_LOSS_PAIRWISE : HFF_LOSS_SOFTMAX;
    return head_similarity(head);
}
