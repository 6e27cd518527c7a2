/* Optimizers: one row each in the table below. Decay touches weights of linear, conv and AuxConv only (METHOD.md
 * 1.6). */
#include "optim.h"

#include <math.h>
#include <string.h>

/* Word in configs, the function below that adds an update's ops. The first row begins without a bar, the others with
 * one: the words side by side are the config's choices. */
#define OPTIMIZERS(X)                                                                                                  \
    X("", "adamw", adamw)                                                                                              \
    X("|", "sgd", sgd)

#define WORD(bar, name, function) bar name

const struct config_row optim_rows[] = {
    {"optimizer", CONFIG_MAP, "{}", 0, 0, NULL, "", "how parameters are updated; state is kept per stage"},
    {"optimizer.kind", CONFIG_CHOICE, "adamw", 0, 0, OPTIMIZERS(WORD), "",
     "adamw: decoupled decay; sgd: momentum, coupled decay"},
    {"optimizer.lr", CONFIG_REAL, "0.001", 0, 100, NULL, "", "learning rate"},
    {"optimizer.weight_decay", CONFIG_REAL, "0.0001", 0, 10, NULL, "", "on weights of linear, conv and AuxConv only"},
    {"optimizer.beta1", CONFIG_REAL, "0.9", 0, 0.9999, NULL, "", "adamw: decay of the first moment"},
    {"optimizer.beta2", CONFIG_REAL, "0.999", 0, 0.999999, NULL, "", "adamw: decay of the second moment"},
    {"optimizer.eps", CONFIG_REAL, "0.00000001", 0, 1, NULL, "", "adamw: added to the root of the second moment"},
    {"optimizer.momentum", CONFIG_REAL, "0.9", 0, 0.9999, NULL, "", "sgd"},
    {"optimizer.nesterov", CONFIG_BOOL, "true", 0, 0, NULL, "", "sgd"},
    {"optimizer.prototype_lr", CONFIG_REAL, "1.0", 0, 1000, NULL, "", "factor on the prototypes' rate"},
    {"optimizer.clip", CONFIG_REAL, "0", 0, 1000000, NULL, "", "largest norm of a stage's whole gradient; 0: no limit"},
    {"optimizer.schedule", CONFIG_MAP, "{}", 0, 0, NULL, "", "the rate over a stage's own steps"},
    {"optimizer.schedule.kind", CONFIG_CHOICE, "cosine", 0, 0, SCHEDULES(WORD), "", "step: a tenth after each third"},
    {"optimizer.schedule.warmup", CONFIG_REAL, "0.05", 0, 1000000000, NULL, "",
     "below 1: share of all steps; else steps"},
    {"optimizer.schedule.hold", CONFIG_REAL, "0", 0, 1000000000, NULL, "",
     "at the full rate after the warm-up; below 1: share of all steps; else steps"},
    {"optimizer.schedule.final", CONFIG_REAL, "0.0", 0, 1, NULL, "", "share of the rate that is left at the end"},
    {0},
};

/* What a stage's update needs. */
struct update {
    struct graph *graph;
    const struct config_node *config;
    struct update_parts parts;
    int params, grads, hyper, norm;
};

static void adamw(const struct update *u)
{
    int m = graph_whole(u->graph, ROLE_MOMENT, 0), v = graph_whole(u->graph, ROLE_MOMENT, 1);
    struct node *node = NODE(u->graph, SECTION_UPDATE, OP_ADAMW, u->params, u->grads, m, v, u->hyper, u->norm);
    node->attr.attr.adamw.parts = u->parts;
    node->attr.attr.adamw.beta1 = config_real(u->config, "beta1");
    node->attr.attr.adamw.beta2 = config_real(u->config, "beta2");
    node->attr.attr.adamw.eps = config_real(u->config, "eps");
}

static void sgd(const struct update *u)
{
    double momentum = config_real(u->config, "momentum");
    int m = momentum > 0 ? graph_whole(u->graph, ROLE_MOMENT, 0) : -1;
    struct node *node = NODE(u->graph, SECTION_UPDATE, OP_SGD, u->params, u->grads, m, u->hyper, u->norm);
    node->attr.attr.sgd.parts = u->parts;
    node->attr.attr.sgd.momentum = momentum;
    node->attr.attr.sgd.nesterov = momentum > 0 && config_bool(u->config, "nesterov");
}

#define ROW(bar, name, function) {name, function},
static const struct {
    const char *name;
    void (*add)(const struct update *update);
} kinds[] = {OPTIMIZERS(ROW)};

/* After the step: prototypes back to the sphere, log_scale back into its range. */
static void constrain(struct graph *graph, int norm)
{
    for (int i = 0; i < graph->values; i++) {
        const struct value *v = graph_at(graph, i);
        if (v->role != ROLE_PARAM || v->whole) continue;
        if (v->group == GROUP_PROTOTYPES) NODE(graph, SECTION_UPDATE, OP_RETRACT, i, norm);
        if (v->group == GROUP_SCALE) {
            struct node *node = NODE(graph, SECTION_UPDATE, OP_CLAMP, i, norm);
            node->attr.attr.clamp.lo = 0;
            node->attr.attr.clamp.hi = log(100);
        }
    }
}

/* Groups are updated together, each at its own rate. */
static struct update_parts parts_of(const struct graph *graph, const struct config_node *config)
{
    struct group_place place[GROUPS];
    struct update_parts parts = {0};
    graph_places(graph, place);
    for (int g = 0; g < GROUPS; g++) {
        if (place[g].count == 0) continue;
        int decays = g == GROUP_BODY_DECAY || g == GROUP_HEAD_DECAY;
        parts.part[parts.count++] =
            (struct update_part){.first = place[g].first,
                                 .count = place[g].count,
                                 .lr_factor = g == GROUP_PROTOTYPES ? config_real(config, "prototype_lr") : 1,
                                 .decay = decays ? config_real(config, "weight_decay") : 0};
    }
    return parts;
}

hff_status optim_build(struct graph *graph, const struct config_node *config, int *hyper, int *norm)
{
    *hyper = graph_value(graph, ROLE_HYPER, tensor_make1(DTYPE_F64, HYPERS), "hyper");
    *norm = graph_value(graph, ROLE_STAT, tensor_make1(DTYPE_F64, NORMS), "norm");
    struct update update = {
        .graph = graph, .config = config, .parts = parts_of(graph, config), .hyper = *hyper, .norm = *norm};
    int grads[GROUPS + 2];
    for (int g = 0; g < GROUPS; g++) grads[g] = graph_group_grads(graph, (enum group)g);
    grads[GROUPS] = *hyper;
    grads[GROUPS + 1] = *norm;
    graph_node(graph, SECTION_UPDATE, OP_GRAD_NORM, grads, GROUPS + 2)->attr.attr.grad_norm.clip =
        config_real(config, "clip");
    if (update.parts.count > 0) {
        update.params = graph_whole(graph, ROLE_PARAM, 0);
        update.grads = graph_whole(graph, ROLE_GRAD, 0);
        const char *kind = config_text(config, "kind");
        for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++)
            if (strcmp(kinds[k].name, kind) == 0) kinds[k].add(&update);
    }
    constrain(graph, *norm);
    return HFF_OK;
}
