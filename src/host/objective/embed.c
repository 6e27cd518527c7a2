/* From a stage's output to its embedding: METHOD.md 1.1. */
#include "objective.h"

static hff_status add(struct head *head, struct layer layer)
{
    layer.head = 1;
    if (layers_add(&head->embed, &head->shape, layer) == HFF_OK) return HFF_OK;
    return config_fail(config_at(head->config, "head"), "stage %d: %s", head->stage, hff_error_message());
}

static hff_status add_pool(struct head *head, int64_t side, const char *name)
{
    struct shape in = layers_out(&head->embed, &head->shape);
    if (side == 0 || (in.dim[1] <= side && in.dim[2] <= side)) return HFF_OK;
    struct layer pool = {.kind = &layer_apool, .units = side};
    for (int i = 0; name[i]; i++) pool.name[i] = name[i];
    return add(head, pool);
}

/* Whether pooling to side and then to grid averages equal windows of equal windows, and so is one pool to grid. */
static int is_one_pool(const struct shape *in, int64_t side, int64_t grid)
{
    return side > 0 && side % grid == 0 && in->dim[1] % side == 0 && in->dim[2] % side == 0;
}

void head_body(struct head *head)
{
    int passed, last = head->stage == head->stages;
    head->h = stage_forward(head->graph, head->body, head->input, SECTION_FORWARD, last, &passed);
    head->h_eval = stage_forward(head->graph, head->body, head->input, SECTION_EVAL, last, &passed);
    if (head->in_turn && !last) stage_forward(head->graph, head->body, head->input, SECTION_FROZEN, last, &passed);
}

hff_status head_embed(struct head *head)
{
    head->embed = (struct layers){.arena = head->arena};
    if (head->shape.rank == 3) {
        int64_t aux = config_int(head->config, "head.aux"), grid = config_int(head->config, "head.grid");
        int kernel = (int)config_int(head->config, "head.aux_kernel");
        enum act act = (enum act)act_parse(config_text(head->config, "head.aux_act"));
        if (kernel % 2 == 0)
            return config_fail(config_at(head->config, "head"),
                               "head.aux_kernel is %d; it must be odd ('same' padding)", kernel);
        /* A 1x1 convolution without activation commutes with average pooling: pool first, the same result for less
         * work. */
        int pool_first = kernel == 1 && act == ACT_NONE;
        int64_t side = config_int(head->config, "head.pool");
        if ((aux && !pool_first) || !is_one_pool(&head->shape, side, grid)) TRY(add_pool(head, side, "head.pool"));
        if (pool_first) TRY(add_pool(head, grid, "head.grid"));
        if (aux) {
            TRY(add(head, (struct layer){.kind = &layer_conv,
                                         .name = "head.aux",
                                         .units = aux,
                                         .kernel = kernel,
                                         .stride = 1,
                                         .pad = kernel / 2}));
            if (act != ACT_NONE) TRY(add(head, (struct layer){.kind = &layer_act, .name = "head.act", .act = act}));
        }
        if (!pool_first) TRY(add_pool(head, grid, "head.grid"));
    }
    if (head->shape.rank == 3 || head->graph->act != head->graph->real)
        TRY(add(head, (struct layer){.kind = &layer_flatten, .name = "head.flatten"}));
    struct shape out = layers_out(&head->embed, &head->shape);
    head->embedding = shape_count(&out);
    return HFF_OK;
}
