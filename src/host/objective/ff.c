/* ff: the Forward-Forward algorithm (Hinton, arXiv 2212.13345; METHOD.md section 2). A stage learns to answer with much
 * activity to images that bear their own label and with little to those that bear a wrong one.
 *
 * A step takes two rows of each sample, positive and negative side by side. Where a read-out is wanted (hard negatives,
 * predict readout), the stages first preview the batch under a neutral label: a linear softmax on each stage's
 * normalised activity, held for the step, in which the read-out learns; nothing of it reaches the body. Where stages learn
 * in turn, those so far preview. */
#include "objective.h"

#include <string.h>

/* Rows of a pass of batched prediction: large products whose activations stay in a processor's caches (quicker than 256 and
 * than 2048). */
enum { ROWS_PASS = 512 };

enum predict { PREDICT_ORIGINAL, PREDICT_BATCHED, PREDICT_READOUT };

struct ff {
    struct head *head;
    const struct config_node *config; /* objective.ff */
    enum overlay overlay;
    enum predict predict;
    int hard, last;
    int on;     /* parameter: what a label's value is */
    int images; /* stage 1: the host's */
    int64_t area;
    int total; /* (B, classes): log-probabilities of all read-outs but the first stage's, added up */
    int weight, bias, dlogits, activity; /* of the read-out; activity (B, D) */
    struct layers embed;
};

static int is(const struct config_node *node, const char *key, const char *word)
{
    return strcmp(config_text(node, key), word) == 0;
}

static enum overlay overlay_of(const struct config_node *config)
{
    return is(config, "overlay", "pixels")  ? OVERLAY_PIXELS
           : is(config, "overlay", "plane") ? OVERLAY_PLANE
                                            : OVERLAY_PLANES;
}

hff_status ff_input(const struct config_node *config, int classes, struct shape *input)
{
    const struct config_node *ff = config_at(config, "ff");
    enum overlay overlay = overlay_of(ff);
    int64_t room = overlay == OVERLAY_PIXELS ? shape_count(input) : input->dim[1] * input->dim[2];
    if (overlay != OVERLAY_PLANES && room < classes)
        return config_fail(config_at(ff, "overlay"),
                           "objective.ff.overlay %s has %lld values for %d classes; use planes, one for each class",
                           config_text(ff, "overlay"), (long long)room, classes);
    if (overlay == OVERLAY_PLANE) input->dim[0] += 1;
    if (overlay == OVERLAY_PLANES) input->dim[0] += classes;
    return HFF_OK;
}

/* ---- what FF cannot do ---- */

static hff_status check_net(const struct ff *ff)
{
    const struct head *head = ff->head;
    if (head->body->items > 1)
        return config_fail(config_at(head->root, "net.partition"),
                           "stage %d: goodness is that of single layers; with objective ff use net.partition layer",
                           head->stage);
    for (int i = 0; i < head->body->body.count; i++)
        if (head->body->body.item[i].kind == &layer_norm || head->body->body.item[i].kind == &layer_residual)
            return config_fail(config_at(head->root, "net.stages"),
                               "stage %d: ff does not work with batch norm, which takes away the activity that tells "
                               "positive from negative; use norm: none",
                               head->stage);
    if (is(head->root, "net.between", "none"))
        return config_fail(config_at(head->root, "net.between"),
                           "ff needs net.between l2: otherwise a stage could tell positive from negative by the length "
                           "of what it receives, and learn nothing new");
    return HFF_OK;
}

static hff_status check_data(const struct ff *ff)
{
    const struct head *head = ff->head;
    const struct config_node *augment = config_at(head->root, "data.augment");
    if (head->classes < 2)
        return config_fail(head->config, "ff needs a wrong class for its negatives; the data has %d", head->classes);
    for (int i = 0; i < config_count(augment); i++)
        if (config_has(config_item(augment, i), "mixup"))
            return config_fail(config_item(augment, i), "ff writes one label into an image; mixup makes two");
    return HFF_OK;
}

/* ---- labels ---- */

static int overlay(struct ff *ff, enum section section, int64_t rows, int labels, int tick, double rest)
{
    struct head *head = ff->head;
    head->graph->batch = rows;
    struct tensor tensor = shape_tensor(head->graph, &head->body->in);
    tensor.dtype = head->graph->real;
    tensor.block = VALUE_KEEP_PLAIN;
    int y = graph_value(head->graph, ROLE_ACT, tensor, "labelled");
    struct node *node = NODE(head->graph, section, OP_OVERLAY, ff->images, ff->on, labels, tick, y);
    node->attr.attr.overlay.kind = ff->overlay;
    node->attr.attr.overlay.classes = head->classes;
    node->attr.attr.overlay.area = ff->area;
    node->attr.attr.overlay.rest = rest;
    return y;
}

/* (2 B): the true label and the negative of each sample. */
static int draw_labels(struct ff *ff, enum section section)
{
    struct head *head = ff->head;
    int labels = graph_value(head->graph, ROLE_ACT, tensor_make1(DTYPE_I32, 2 * head->batch), "labels");
    struct node *node =
        NODE(head->graph, section, OP_NEGATIVES, head->y1, head->tick, ff->hard ? ff->total : -1, labels);
    node->attr.attr.negatives.seed = (uint64_t)config_int(head->root, "run.seed");
    node->attr.attr.negatives.classes = head->classes;
    node->attr.attr.negatives.from =
        1 + (int64_t)(config_real(ff->config, "hard_after") * (double)head->epoch_steps + 0.5);
    return labels;
}

/* What a stage behind the first one receives, rows of it. */
static int receive(struct ff *ff, int64_t rows)
{
    ff->head->graph->batch = rows;
    return graph_value(ff->head->graph, ROLE_INPUT, shape_tensor(ff->head->graph, &ff->head->body->in), "input");
}

static int forward(struct ff *ff, struct stage *stage, int x, enum section section, int last)
{
    int passed;
    return stage_forward(ff->head->graph, stage, x, section, last, &passed);
}

/* ---- the read-out ---- */

static hff_status readout_layers(struct ff *ff)
{
    struct head *head = ff->head;
    ff->embed = (struct layers){.arena = head->arena};
    int64_t grid = config_int(head->config, "head.grid");
    if (head->shape.rank == 3 && (grid < head->shape.dim[1] || grid < head->shape.dim[2]))
        TRY(layers_add(&ff->embed, &head->shape,
                       (struct layer){.kind = &layer_apool, .name = "readout.grid", .units = grid, .head = 1}));
    return layers_add(&ff->embed, &head->shape, (struct layer){.kind = &layer_flatten, .name = "readout", .head = 1});
}

static hff_status readout_params(struct ff *ff)
{
    struct graph *graph = ff->head->graph;
    TRY(readout_layers(ff));
    struct shape out = layers_out(&ff->embed, &ff->head->shape);
    int64_t classes = ff->head->classes, width = shape_count(&out);
    ff->weight = graph_param(graph, GROUP_HEAD_DECAY, tensor_make2(graph->real, classes, width), INIT_ZERO, 0,
                             "head.readout.weight");
    ff->bias =
        graph_param(graph, GROUP_HEAD_PLAIN, tensor_make1(graph->real, classes), INIT_ZERO, 0, "head.readout.bias");
    return HFF_OK;
}

/* logits of h (B rows), with what they were made from. */
static int readout_logits(struct ff *ff, int h, enum section section)
{
    struct graph *graph = ff->head->graph;
    int unit = graph_value(graph, ROLE_ACT, shape_tensor(graph, &ff->head->shape), "readout.unit");
    NODE(graph, section, OP_UNIT, h, unit);
    ff->activity = layers_forward(graph, &ff->embed, unit, section);
    int logits = graph_value(graph, section == SECTION_EVAL ? ROLE_STAT : ROLE_ACT,
                             tensor_make2(graph->real, graph->batch, ff->head->classes), "readout.logits");
    NODE(graph, section, OP_LINEAR, ff->activity, ff->weight, ff->bias, logits);
    return logits;
}

static void readout_preview(struct ff *ff)
{
    struct head *head = ff->head;
    struct graph *graph = head->graph;
    int counted = head->stage > 1 || head->stages == 1 || head->in_turn; /* in turn: while there is no other */
    int x = head->stage == 1 ? overlay(ff, SECTION_PREVIEW, head->batch, -1, -1, 1.0 / head->classes)
                             : receive(ff, head->batch);
    int logits = readout_logits(ff, forward(ff, head->body, x, SECTION_PREVIEW, ff->last), SECTION_PREVIEW);
    graph_at(graph, ff->activity)->role = ROLE_HELD;
    ff->dlogits = graph_value(graph, ROLE_HELD, graph_at(graph, logits)->tensor, "readout.dlogits");
    struct node *node = NODE(graph, SECTION_PREVIEW, OP_READOUT, logits, head->y1, head->weight,
                             counted ? ff->total : -1, ff->dlogits, -1);
    node->attr.attr.readout.first = head->stage <= 2;
    node->attr.attr.readout.global_batch = head->global_batch;
    NODE(graph, SECTION_HEAD, OP_LINEAR_WEIGHT, ff->activity, ff->dlogits, graph_at(graph, ff->weight)->grad,
         graph_at(graph, ff->bias)->grad);
}

/* ---- prediction ---- */

/* What the labels of a pass add to the output of the first layer. */
static int label_terms(struct ff *ff, const struct layer *first, int64_t each)
{
    struct graph *graph = ff->head->graph;
    int64_t classes = ff->head->classes, planes = ff->overlay == OVERLAY_PLANES;
    if (first->kind == &layer_linear) {
        int64_t width = first->in.dim[0], behind = width - (planes ? classes * ff->area : ff->area);
        int terms = graph_value(graph, ROLE_ACT, tensor_make2(graph->act, each, first->units), "label.terms");
        struct node *node = NODE(graph, SECTION_EVAL, OP_COLUMNS, first->weight, ff->on, ff->head->tick, terms);
        node->attr.attr.columns.classes = (int)classes;
        node->attr.attr.columns.first = ff->overlay == OVERLAY_PIXELS ? 0 : behind;
        node->attr.attr.columns.span = planes ? ff->area : 1;
        return terms;
    }
    int images = ff->images;
    ff->images = -1; /* labels alone */
    struct stage alone = *ff->head->body;
    struct layer without_bias = *first; /* that is in the images' part */
    without_bias.offset = -1;
    alone.body = (struct layers){.item = &without_bias, .count = 1};
    int terms = forward(ff, &alone, overlay(ff, SECTION_EVAL, each, -1, ff->head->tick, 0), SECTION_EVAL, 1);
    ff->images = images;
    return terms;
}

/* Many classes a pass. The first layer is linear, so its part for the image is computed once; each label adds its own. */
static int predict_batched(struct ff *ff, int64_t each)
{
    struct head *head = ff->head;
    struct stage first = *head->body, rest = *head->body;
    const struct layer *layer = &first.body.item[0];
    if (head->stage > 1) return forward(ff, head->body, receive(ff, head->batch * each), SECTION_EVAL, ff->last);
    if (layer->kind != &layer_linear && layer->kind != &layer_conv)
        return forward(ff, head->body, overlay(ff, SECTION_EVAL, head->batch * each, -1, head->tick, 0), SECTION_EVAL,
                       ff->last);
    first.body.count = 1;
    rest.body.count--;
    rest.body.item++;
    int shared = forward(ff, &first, overlay(ff, SECTION_EVAL, head->batch, -1, -1, 0), SECTION_EVAL, 1);
    int terms = label_terms(ff, layer, each);
    head->graph->batch = head->batch * each;
    int y = graph_value(head->graph, ROLE_ACT, shape_tensor(head->graph, &layer->out), "spread");
    NODE(head->graph, SECTION_EVAL, OP_SPREAD, shared, terms, y);
    return forward(ff, &rest, y, SECTION_EVAL, ff->last);
}

static void predict(struct ff *ff)
{
    struct head *head = ff->head;
    struct graph *graph = head->graph;
    int64_t each = 1;
    if (ff->predict == PREDICT_BATCHED) each = ROWS_PASS / head->batch;
    if (each < 1) each = 1;
    if (each > head->classes) each = head->classes;
    int readout = ff->predict == PREDICT_READOUT, x;
    head->passes = readout ? 1 : (head->classes + each - 1) / each;
    if (!readout) each = (head->classes + head->passes - 1) / head->passes; /* as few idle rows as there can be */
    head->rows_eval = head->batch * each;
    head->metrics_eval = graph_value(graph, ROLE_STAT, tensor_make1(DTYPE_F64, METRICS), "head.metrics_eval");
    if (ff->predict == PREDICT_BATCHED)
        head->h_eval = predict_batched(ff, each);
    else {
        x = head->stage > 1 ? receive(ff, head->batch)
                            : overlay(ff, SECTION_EVAL, head->batch, -1, readout ? -1 : head->tick,
                                      readout ? 1.0 / head->classes : 0);
        head->h_eval = forward(ff, head->body, x, SECTION_EVAL, ff->last);
    }
    if (readout) {
        head->scores_eval = readout_logits(ff, head->h_eval, SECTION_EVAL);
        NODE(graph, SECTION_EVAL, OP_READOUT, head->scores_eval, head->y1, head->weight, -1, -1, head->metrics_eval)
            ->attr.attr.readout.global_batch = head->global_batch;
        return;
    }
    head->scores_eval =
        graph_value(graph, ROLE_STAT, tensor_make2(graph->real, head->batch, head->classes), "head.scores_eval");
    NODE(graph, SECTION_EVAL, OP_GOODNESS_EVAL, head->h_eval, head->y1, head->weight, head->tick, head->scores_eval,
         head->metrics_eval)
        ->attr.attr.goodness.mean = is(ff->config, "goodness", "mean");
}

/* ---- training ---- */

/* Weights start with variance 1 / fan-in: what follows the normalisation between stages has length sqrt(n). */
static void start_weights(struct graph *graph)
{
    for (int i = 0; i < graph->values; i++) {
        struct value *value = graph_at(graph, i);
        if (value->role == ROLE_PARAM && value->init == INIT_HE_NORMAL) value->init = INIT_FAN_NORMAL;
    }
}

/* A step's rows as they come to the stage. */
static int step_rows(struct ff *ff, enum section section)
{
    int64_t rows = ff->head->rows;
    return ff->head->stage > 1 ? receive(ff, rows) : overlay(ff, section, rows, draw_labels(ff, section), -1, 0);
}

static void train(struct ff *ff)
{
    struct head *head = ff->head;
    struct graph *graph = head->graph;
    int mean = is(ff->config, "goodness", "mean");
    head->rows = 2 * head->batch;
    head->drawn = 1;
    head->h = forward(ff, head->body, step_rows(ff, SECTION_FORWARD), SECTION_FORWARD, ff->last);
    if (head->in_turn && !ff->last) forward(ff, head->body, step_rows(ff, SECTION_FROZEN), SECTION_FROZEN, ff->last);
    head->dh = graph_value(graph, ROLE_ACT, graph_at(graph, head->h)->tensor, "head.dh");
    head->metrics = graph_value(graph, ROLE_STAT, tensor_make1(DTYPE_F64, METRICS), "head.metrics");
    struct node *node = NODE(graph, SECTION_HEAD, OP_GOODNESS, head->h, head->dh, head->metrics);
    node->attr.attr.goodness.mean = mean;
    node->attr.attr.goodness.theta = *config_text(ff->config, "theta") ? mean ? 1 : (double)shape_count(&head->shape)
                                                                       : config_real(ff->config, "theta");
    node->attr.attr.goodness.alpha = is(ff->config, "loss", "symba") ? config_real(ff->config, "alpha") : 0;
    node->attr.attr.goodness.global_batch = head->global_batch;
}

hff_status ff_build(struct head *head)
{
    struct graph *graph = head->graph;
    struct ff ff = {.head = head, .config = config_at(head->config, "ff"), .last = head->stage == head->stages};
    TRY(check_net(&ff));
    TRY(check_data(&ff));
    ff.overlay = overlay_of(ff.config);
    ff.predict = is(ff.config, "predict", "original")  ? PREDICT_ORIGINAL
                 : is(ff.config, "predict", "batched") ? PREDICT_BATCHED
                                                       : PREDICT_READOUT;
    ff.area = head->image.dim[1] * head->image.dim[2];
    ff.hard = is(ff.config, "negatives", "hard");
    head->sum_from = head->stages > 1 ? 2 : 1;
    head->own = "goodness_positive";
    head->other = "goodness_negative";
    head->embedding = shape_count(&head->shape);
    start_weights(graph);
    ff.total = graph_value(graph, ROLE_BATCH, tensor_make2(graph->real, head->batch, head->classes), "readout.total");
    if (head->stage == 1) {
        ff.images = head->input;
        struct value *images = graph_at(graph, ff.images);
        images->role = ROLE_HELD;
        images->tensor = tensor_make2(graph->real, head->batch, shape_count(&head->image));
        images->tensor.block = VALUE_KEEP_PLAIN;
        ff.on = graph_param(graph, GROUP_FROZEN, tensor_make1(graph->real, 1), INIT_VALUE,
                            ff.overlay == OVERLAY_PLANES ? 1 : head->white, "head.label");
    }
    if (ff.hard || ff.predict == PREDICT_READOUT) {
        TRY(readout_params(&ff));
        readout_preview(&ff); /* before train: a layer remembers its last forward pass */
    }
    predict(&ff);
    train(&ff);
    return HFF_OK;
}
