/* hff bench infer: the same layers predicting as HFF, as FF in its original form (a forward pass for each class) and in
 * its best form (many classes a pass, the first layer's work on the image shared); or trained models beside each
 * other. Parameters are those of a start: time does not depend on them. */
#include "bench.h"
#include "infer.h"
#include "model.h"

#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 5, METHODS = 3 };

static const struct {
    const char *name, *objective, *predict, *help;
} methods[METHODS] = {
    {"hff", "objective.kind=hff", "objective.ff.predict=original", "HFF: one pass"},
    {"ff_original", "objective.kind=ff", "objective.ff.predict=original", "FF: a pass for each class"},
    {"ff_best", "objective.kind=ff", "objective.ff.predict=batched", "FF, best form: classes batched"},
};

/* One number of classes, one batch. */
struct point {
    int classes, batch, rounds;
    struct contender by[METHODS];
};

static hff_status open_method(struct point *point, int method, const struct bench_request *request,
                              const struct shape *image)
{
    struct contender *c = &point->by[method];
    struct arena arena = {0};
    const char **sets = ARENA_NEW(&arena, const char *, request->set_count + 5);
    if (request->set_count) memcpy(sets, request->sets, sizeof *sets * (size_t)request->set_count);
    int count = request->set_count;
    sets[count++] = methods[method].objective;
    sets[count++] = methods[method].predict;
    sets[count++] = arena_printf(&arena, "run.batch=%d", point->batch);
    sets[count++] = "run.micro_batch=0";
    sets[count++] = "run.slices=1";
    c->name = methods[method].name;
    hff_status status = config_load(&c->setup.config, config_tables, request->config_path, sets, count);
    if (status == HFF_OK) status = setup_options(&c->setup);
    if (status == HFF_OK) status = setup_open_for(&c->setup, image, point->classes, 0);
    if (status == HFF_OK) status = contender_start(c, point->rounds);
    if (status == HFF_OK) status = engine_init(c->setup.engine, c->setup.run.seed);
    arena_free(&arena);
    return status;
}

/* The shape of the config's images. */
static hff_status image_shape(const struct bench_request *request, struct shape *image)
{
    struct setup setup = {0};
    hff_status status =
        config_load(&setup.config, config_tables, request->config_path, request->sets, request->set_count);
    if (status == HFF_OK) status = setup_options(&setup);
    if (status == HFF_OK) status = data_open(&setup.data, config_at(config_root(setup.config), "data"), setup.run.seed);
    if (status == HFF_OK) *image = (struct shape){3, {setup.data->channels, setup.data->height, setup.data->width}};
    setup_close(&setup);
    return status;
}

static json_t *latency_json(const struct contender *c)
{
    double images_per_s;
    struct spread l = contender_latency(c, &images_per_s);
    json_t *row = json_object();
    json_object_set_new(row, "images_per_s", json_number(images_per_s));
    json_object_set_new(row, "p50_ms", json_number(1e3 * l.median));
    json_object_set_new(row, "p99_ms", json_number(1e3 * l.p99));
    json_object_set_new(row, "min_ms", json_number(1e3 * l.min));
    json_object_set_new(row, "max_ms", json_number(1e3 * l.max));
    json_object_set_new(row, "runs", json_integer(l.runs));
    return row;
}

static double ratio_to_hff(const struct point *point, int method)
{
    return turns_ratio(&point->by[method].turns, &point->by[0].turns, point->rounds);
}

static json_t *point_json(const struct point *point, const struct bench_request *request)
{
    json_t *out = json_object(), *rows = json_array();
    struct backend *backend = point->by[0].setup.backend;
    json_object_set_new(out, "config", json_string(request->config_path));
    json_object_set_new(out, "backend", json_string(backend->api->name));
    json_object_set_new(out, "device", json_string(backend->api->describe(backend)));
    json_object_set_new(out, "classes", json_integer(point->classes));
    json_object_set_new(out, "batch", json_integer(point->batch));
    for (int m = 0; m < METHODS; m++) {
        json_t *row = latency_json(&point->by[m]);
        json_object_set_new(row, "method", json_string(point->by[m].name));
        json_object_set_new(row, "flops_per_image",
                            json_number(engine_flops(point->by[m].setup.engine, 0) *
                                        (double)point->by[m].setup.engine->stage[0].passes));
        json_array_append_new(rows, row);
    }
    json_object_set_new(out, "rows", rows);
    json_object_set_new(out, "ratio_original", json_number(ratio_to_hff(point, 1)));
    json_object_set_new(out, "ratio_best", json_number(ratio_to_hff(point, 2)));
    return out;
}

static hff_status run_point(struct point *point, const struct bench_request *request, const struct shape *image,
                            json_t **out)
{
    hff_status status = HFF_OK;
    for (int m = 0; m < METHODS && status == HFF_OK; m++) status = open_method(point, m, request, image);
    if (status == HFF_OK) status = contenders_time(point->by, METHODS, point->rounds, request->console.signal);
    if (status == HFF_OK) *out = point_json(point, request);
    for (int m = 0; m < METHODS; m++) contender_close(&point->by[m]);
    return status;
}

static double number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

enum { COLUMNS = 9 };

static void add_rows(struct arena *arena, const char **cells, const json_t *point)
{
    for (int m = 0; m < METHODS; m++, cells += COLUMNS) {
        const json_t *row = json_array_get(json_object_get(point, "rows"), (size_t)m);
        double classes = number(point, "classes");
        double ratio = m == 0 ? 1 : number(point, m == 1 ? "ratio_original" : "ratio_best");
        cells[0] = arena_printf(arena, "%.0f", classes);
        cells[1] = arena_printf(arena, "%.0f", number(point, "batch"));
        cells[2] = methods[m].help;
        cells[3] = arena_printf(arena, "%.0f", number(row, "images_per_s"));
        cells[4] = arena_printf(arena, "%.3f", number(row, "p50_ms"));
        cells[5] = arena_printf(arena, "%.3f", number(row, "p99_ms"));
        cells[6] = arena_printf(arena, "%.0f", number(row, "runs"));
        cells[7] = m ? arena_printf(arena, "%.2f", ratio) : "";
        cells[8] = m ? arena_printf(arena, "%.2f", ratio / classes) : "";
    }
}

static void print_points(const json_t *points, const struct bench_request *request, FILE *out)
{
    struct arena arena = {0};
    int count = (int)json_array_size(points), rows = 1 + count * METHODS;
    const char **cells = ARENA_NEW(&arena, const char *, rows *COLUMNS);
    const char *header[COLUMNS] = {"classes", "batch", "method", "images/s", "p50 ms",
                                   "p99 ms",  "runs",  "HFF x",  "x / C"};
    const json_t *first = json_array_get(points, 0), *best = first;
    memcpy(cells, header, sizeof header);
    for (int i = 0; i < count; i++) {
        const json_t *point = json_array_get(points, (size_t)i);
        add_rows(&arena, cells + (1 + i * METHODS) * COLUMNS, point);
        if (number(point, "ratio_original") > number(best, "ratio_original")) best = point;
    }
    fprintf(out, "%s, backend %s (%s)\n\n", request->config_path, json_string_value(json_object_get(first, "backend")),
            json_string_value(json_object_get(first, "device")));
    table_print(out, cells, rows, COLUMNS, terminal_width(out), terminal_color(out, request->console.color));
    fprintf(out,
            "\nHFF x: how many times as long as HFF, the median of rounds in turns; / C: for each class.\n"
            "With %.0f classes HFF predicts %.1f times as fast as FF, and %.1f times as fast as FF's best form (batch "
            "%.0f).\n",
            number(best, "classes"), number(best, "ratio_original"), number(best, "ratio_best"), number(best, "batch"));
    arena_free(&arena);
}

static hff_status run_config(const struct bench_request *request, json_t *points)
{
    struct shape image;
    TRY(image_shape(request, &image));
    for (int c = 0; c < request->class_count; c++)
        for (int b = 0; b < request->batch_count; b++) {
            struct point point = {.classes = request->classes[c], .batch = request->batches[b]};
            point.rounds = request->runs ? request->runs : ROUNDS;
            json_t *row = NULL;
            hff_status status = run_point(&point, request, &image, &row);
            if (status != HFF_OK) return trail_add(status, "%d classes, batch %d", point.classes, point.batch);
            json_array_append_new(points, row);
        }
    return HFF_OK;
}

hff_status bench_infer(const struct bench_request *request, FILE *out)
{
    json_t *points = json_array();
    hff_status status = run_config(request, points);
    if (status == HFF_OK && request->json) {
        char *text = json_text(json_array_size(points) == 1 ? json_array_get(points, 0) : points, 2);
        fprintf(out, "%s\n", text ? text : "{}");
        free(text);
    } else if (status == HFF_OK) {
        print_points(points, request, out);
    }
    json_decref(points);
    return status;
}

/* ---- trained models beside each other ---- */

struct rival {
    struct model model;
    struct evaluation test;
    const char *objective;
};

static hff_status open_model(struct rival *rival, struct contender *c, const char *path, int rounds,
                             const struct bench_request *request)
{
    TRY(model_open(&rival->model, &c->setup, path, NULL, request->sets, request->set_count));
    TRY(setup_open(&c->setup, 0));
    TRY(model_fit_data(&rival->model, c->setup.data));
    c->name = path;
    rival->objective = c->setup.engine->stage[0].objective->name;
    TRY(contender_start(c, rounds));
    model_rules(&rival->model, &c->rules);
    TRY(tensors_read(c->setup.engine, 0, &rival->model.file, rival->model.path));
    int workers = (int)config_int(config_root(c->setup.config), "data.workers");
    return evaluate(c->setup.engine, c->setup.data, SPLIT_TEST, workers, &c->rules, c->rule, 0, request->console.signal,
                    &rival->test);
}

static hff_status draw_models(const struct bench_request *request, const struct rival *rivals,
                              const struct contender *c, int count)
{
    struct arena arena = {0};
    const char **names = ARENA_NEW(&arena, const char *, count);
    double *speed = ARENA_NEW(&arena, double, count);
    for (int i = 0; i < count; i++) {
        names[i] = arena_printf(&arena, "%s, %.2f %%", rivals[i].objective, 100 * rivals[i].test.accuracy[c[i].rule]);
        contender_latency(&c[i], &speed[i]);
    }
    hff_status status =
        figure_bars(request->figure, "Prediction speed, and accuracy on the test set", names, speed, count, "images/s");
    arena_free(&arena);
    return status;
}

static void print_models(const struct bench_request *request, const struct rival *rivals, const struct contender *c,
                         int count, int rounds, FILE *out)
{
    enum { MODEL_COLUMNS = 7 };
    struct arena arena = {0};
    json_t *rows = json_array();
    const char **cells = ARENA_NEW(&arena, const char *, (count + 1) * MODEL_COLUMNS), **row = cells;
    const char *header[] = {"model", "objective", "accuracy %", "images/s", "p50 ms", "p99 ms", "time"};
    memcpy(cells, header, sizeof header);
    for (int i = 0; i < count; i++) {
        double images_per_s, ratio = turns_ratio(&c[i].turns, &c[0].turns, rounds);
        struct spread l = contender_latency(&c[i], &images_per_s);
        double accuracy = rivals[i].test.accuracy[c[i].rule];
        json_t *object = latency_json(&c[i]);
        json_object_set_new(object, "model", json_string(c[i].name));
        json_object_set_new(object, "objective", json_string(rivals[i].objective));
        json_object_set_new(object, "accuracy", json_number(accuracy));
        json_object_set_new(object, "batch", json_integer(c[i].batch.size));
        json_object_set_new(object, "ratio", json_number(ratio));
        json_array_append_new(rows, object);
        row += MODEL_COLUMNS;
        row[0] = c[i].name;
        row[1] = rivals[i].objective;
        row[2] = arena_printf(&arena, "%.2f", 100 * accuracy);
        row[3] = arena_printf(&arena, "%.0f", images_per_s);
        row[4] = arena_printf(&arena, "%.3f", 1e3 * l.median);
        row[5] = arena_printf(&arena, "%.3f", 1e3 * l.p99);
        row[6] = arena_printf(&arena, "%.1f x", ratio);
    }
    if (request->json) {
        json_t *root = json_pack("{s:o}", "models", rows);
        char *text = json_text(root, 2);
        fprintf(out, "%s\n", text ? text : "{}");
        free(text);
        json_decref(root);
    } else {
        table_print(out, cells, count + 1, MODEL_COLUMNS, terminal_width(out),
                    terminal_color(out, request->console.color));
        json_decref(rows);
    }
    arena_free(&arena);
}

hff_status bench_models(const struct bench_request *request, FILE *out)
{
    int count = request->model_count, rounds = request->runs ? request->runs : ROUNDS;
    struct arena arena = {0};
    struct rival *rivals = ARENA_NEW(&arena, struct rival, count);
    struct contender *c = ARENA_NEW(&arena, struct contender, count);
    hff_status status = HFF_OK;
    for (int i = 0; i < count && status == HFF_OK; i++)
        status = open_model(&rivals[i], &c[i], request->models[i], rounds, request);
    if (status == HFF_OK) status = contenders_time(c, count, rounds, request->console.signal);
    if (status == HFF_OK && request->figure) status = draw_models(request, rivals, c, count);
    if (status == HFF_OK) print_models(request, rivals, c, count, rounds, out);
    for (int i = 0; i < count; i++) {
        evaluation_free(&rivals[i].test);
        contender_close(&c[i]);
        model_close(&rivals[i].model);
    }
    arena_free(&arena);
    return status;
}
