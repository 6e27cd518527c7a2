/* hff eval: a model on a split. */
#include "model.h"
#include "probe.h"

#include "base/file.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

static const char *const split_names[] = {"train", "val", "test"};

static hff_status write_scores(const char *path, const struct evaluation *e)
{
    struct safetensor tensors[2] = {
        {.name = "scores",
         .dtype = DTYPE_F32,
         .rank = 3,
         .dim = {e->stages, e->samples, e->classes},
         .data = e->scores},
        {.name = "labels", .dtype = DTYPE_I32, .rank = 1, .dim = {e->samples}, .data = e->labels},
    };
    tensors[0].bytes = (size_t)e->stages * (size_t)e->samples * (size_t)e->classes * sizeof(float);
    tensors[1].bytes = (size_t)e->samples * sizeof(int32_t);
    return safetensors_write(path, tensors, 2, NULL, NULL, 0);
}

static hff_status write_features(const char *path, const struct engine *engine, const struct evaluation *e)
{
    struct arena arena = {0};
    int count = e->stages + 1;
    struct safetensor *tensors = ARENA_NEW(&arena, struct safetensor, count);
    for (int l = 0; l < e->stages; l++) {
        int64_t width = engine->stage[l].embedding;
        tensors[l] = (struct safetensor){.name = arena_printf(&arena, "stage.%d.features", l + 1),
                                         .dtype = DTYPE_F32,
                                         .rank = 2,
                                         .dim = {e->samples, width},
                                         .data = e->features[l],
                                         .bytes = (size_t)(e->samples * width) * sizeof(float)};
    }
    tensors[e->stages] = (struct safetensor){.name = "labels",
                                             .dtype = DTYPE_I32,
                                             .rank = 1,
                                             .dim = {e->samples},
                                             .data = e->labels,
                                             .bytes = (size_t)e->samples * sizeof(int32_t)};
    hff_status status = safetensors_write(path, tensors, count, NULL, NULL, 0);
    arena_free(&arena);
    return status;
}

/* floor: accuracy of a linear softmax on the pixels, -1: not asked for. */
static void print_json(const struct model *model, const struct evaluation *e, const struct rules *rules, enum rule rule,
                       enum split split, double floor, FILE *out)
{
    json_t *root = json_object(), *stages = json_array(), *confusion = json_array(), *by_rule = json_object();
    json_object_set_new(root, "model", json_string(model->path));
    json_object_set_new(root, "split", json_string(split_names[split]));
    json_object_set_new(root, "samples", json_integer(e->samples));
    json_object_set_new(root, "rule", json_string(rule_name(rule)));
    json_object_set_new(root, "accuracy", json_number(e->accuracy[rule]));
    json_object_set_new(root, "top5", e->classes >= 10 ? json_number(e->top5[rule]) : json_null());
    json_object_set_new(root, "loss", json_number(e->loss[rule]));
    for (int r = 0; r < RULES; r++)
        if (rules->known[r]) json_object_set_new(by_rule, rule_name((enum rule)r), json_number(e->accuracy[r]));
    json_object_set_new(root, "rules", by_rule);
    for (int l = 0; l < e->stages; l++) {
        json_t *stage = json_object();
        json_object_set_new(stage, "accuracy", json_number(e->stage_accuracy[l]));
        json_object_set_new(stage, "loss", json_number(e->stage_loss[l]));
        json_array_append_new(stages, stage);
    }
    json_object_set_new(root, "stages", stages);
    for (int y = 0; y < e->classes; y++) {
        json_t *row = json_array();
        for (int c = 0; c < e->classes; c++) json_array_append_new(row, json_integer(e->confusion[y * e->classes + c]));
        json_array_append_new(confusion, row);
    }
    json_object_set_new(root, "confusion", confusion);
    json_object_set_new(root, "seconds", json_number(e->seconds));
    if (floor >= 0) json_object_set_new(root, "linear_softmax", json_number(floor));
    char *text = json_text(root, 2);
    fprintf(out, "%s\n", text ? text : "{}");
    free(text);
    json_decref(root);
}

static void print_table(const struct setup *setup, const struct evaluation *e, const struct rules *rules,
                        enum rule rule, enum split split, double floor, const struct console *console, FILE *out)
{
    struct arena arena = {0};
    int rows = 1;
    const char **cells = ARENA_NEW(&arena, const char *, (e->stages + RULES + 2) * 4);
    memcpy(cells, (const char *[]){"stage", "kind", "accuracy %", "loss"}, 4 * sizeof *cells);
    for (int l = 0; l < e->stages; l++, rows++) {
        cells[rows * 4] = arena_printf(&arena, "%d", l + 1);
        cells[rows * 4 + 1] = setup->engine->stage[l].stage->name;
        cells[rows * 4 + 2] = arena_printf(&arena, "%.2f", 100 * e->stage_accuracy[l]);
        cells[rows * 4 + 3] = arena_printf(&arena, "%.4f", e->stage_loss[l]);
    }
    for (int r = 0; r < RULES; r++) {
        if (!rules->known[r]) continue;
        cells[rows * 4] = r == (int)rule ? "all *" : "all";
        cells[rows * 4 + 1] = arena_printf(&arena, "together, rule %s", rule_name((enum rule)r));
        cells[rows * 4 + 2] = arena_printf(&arena, "%.2f", 100 * e->accuracy[r]);
        cells[rows * 4 + 3] = arena_printf(&arena, "%.4f", e->loss[r]);
        rows++;
    }
    if (floor >= 0) {
        const char *row[4] = {"-", "for comparison: linear softmax on the pixels",
                              arena_printf(&arena, "%.2f", 100 * floor), ""};
        memcpy(cells + rows++ * 4, row, sizeof row);
    }
    table_print(out, cells, rows, 4, terminal_width(out), terminal_color(out, console->color));
    fprintf(out, "\n%lld %s samples in %.1f s", (long long)e->samples, split_names[split], e->seconds);
    if (e->classes >= 10) fprintf(out, ", top-5 %.2f %%", 100 * e->top5[rule]);
    fputc('\n', out);
    arena_free(&arena);
}

struct eval_state {
    struct model model;
    struct setup setup;
    struct rules rules;
    struct evaluation evaluation;
};

static hff_status choose_rule(const struct eval_state *s, const struct eval_request *request, enum rule *rule)
{
    int chosen = request->rule ? rule_parse(request->rule) : (int)*rule;
    if (chosen < 0) return fail(HFF_E_USAGE, "--rule %s: it is one of %s", request->rule, RULE_WORDS);
    *rule = (enum rule)chosen;
    if (!s->rules.known[chosen])
        return fail(HFF_E_USAGE,
                    "rule %s needs weights fitted on a hold-out, and this model was trained without one (data.holdout)",
                    rule_name(*rule));
    return HFF_OK;
}

static hff_status run(struct eval_state *s, const struct eval_request *request, FILE *out)
{
    enum rule rule;
    double floor = -1;
    TRY(model_open(&s->model, &s->setup, request->model, request->data_root, request->sets, request->set_count));
    TRY(setup_open(&s->setup, 0));
    TRY(rules_from_config(&s->rules, &rule, s->setup.config, s->setup.engine));
    model_rules(&s->model, &s->rules);
    TRY(choose_rule(s, request, &rule));
    TRY(model_fit_data(&s->model, s->setup.data));
    if (s->setup.data->split[request->split].count == 0)
        return fail(HFF_E_USAGE, "the %s split is empty%s", split_names[request->split],
                    request->split == SPLIT_VAL ? "; the model was trained without data.holdout" : "");
    if (request->split == SPLIT_VAL) TRY(identity_check_holdout(s->model.identity, s->model.path, s->setup.data));
    TRY(setup_fits(&s->setup));
    TRY(engine_bind(s->setup.engine));
    TRY(tensors_read(s->setup.engine, 0, &s->model.file, s->model.path));
    int workers = (int)config_int(config_root(s->setup.config), "data.workers");
    int keep = (request->scores ? KEEP_SCORES : 0) | (request->features ? KEEP_FEATURES : 0);
    TRY(evaluate(s->setup.engine, s->setup.data, request->split, workers, &s->rules, rule, keep,
                 request->console.signal, &s->evaluation));
    if (request->scores) TRY(write_scores(request->scores, &s->evaluation));
    if (request->features) TRY(write_features(request->features, s->setup.engine, &s->evaluation));
    if (request->probe)
        TRY(probe_linear(s->setup.data, request->split, 10, s->setup.run.seed, request->console.signal, &floor));
    if (request->json)
        print_json(&s->model, &s->evaluation, &s->rules, rule, request->split, floor, out);
    else
        print_table(&s->setup, &s->evaluation, &s->rules, rule, request->split, floor, &request->console, out);
    return HFF_OK;
}

hff_status eval_run(const struct eval_request *request, FILE *out)
{
    struct eval_state state = {0};
    hff_status status = run(&state, request, out);
    evaluation_free(&state.evaluation);
    rules_close(&state.rules);
    setup_close(&state.setup);
    model_close(&state.model);
    return status;
}
