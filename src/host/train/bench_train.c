/* hff bench train --methods: one net trained by several methods, their steps measured in turns; epochs and time to an
 * accuracy. */
#include "bench.h"
#include "bench_methods.h"
#include "bench_rows.h"
#include "evaluate.h"
#include "until.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/nearest.h"

#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 9, REPLAYED = 20, ALL_MOST = 8 };

static const struct method {
    const char *name, *objective, *partition, *recompute;
    int parts;
    const char *help;
} methods[] = {
#define METHOD_ROW(name, objective, partition, recompute, parts, help)                                                 \
    {name, objective, partition, recompute, parts, help},
    METHODS(METHOD_ROW)
#undef METHOD_ROW
};
enum { METHOD_COUNT = sizeof methods / sizeof methods[0] };

/* A method on the config's net. */
struct entrant {
    const struct method *method;
    struct setup setup; /* its data is the comparison's */
    struct batch batch;
    int each; /* steps of a call */
    struct turns turns;
    int64_t took;         /* resident bytes that its memory and first steps took */
    int64_t counted_from; /* steps when the sections' times started */
    char *refused;        /* why there is no such method here; NULL: there is */
    struct until until;
};

struct comparison {
    const struct bench_request *request;
    struct setup base; /* the config as it is, opened without an engine: data and options */
    struct loader *loader;
    struct entrant entrant[ALL_MOST];
    int count, rounds;
    struct arena arena;
};

/* ---- which ---- */

static hff_status find_method(struct arena *arena, const char *name, const struct method **out)
{
    const char *names[METHOD_COUNT];
    for (int i = 0; i < METHOD_COUNT; i++) {
        names[i] = methods[i].name;
        *out = &methods[i];
        if (strcmp(name, methods[i].name) == 0) return HFF_OK;
    }
    const char *near = nearest(name, names, METHOD_COUNT), *list = names[0];
    for (int i = 1; i < METHOD_COUNT; i++) list = arena_printf(arena, "%s, %s", list, names[i]);
    return fail(HFF_E_USAGE, "--methods has no '%s'%s%s%s; there are %s", name, near ? " (did you mean " : "",
                near ? near : "", near ? "?)" : "", list);
}

static hff_status choose_methods(struct comparison *all)
{
    char *text = arena_text(&all->arena, all->request->methods), *end;
    for (; text; text = end) {
        end = strchr(text, ',');
        if (end) *end++ = 0;
        if (all->count == ALL_MOST) return fail(HFF_E_USAGE, "--methods takes at most %d names", ALL_MOST);
        TRY(find_method(&all->arena, text, &all->entrant[all->count].method));
        all->count++;
    }
    return HFF_OK;
}

/* ---- opening ---- */

static hff_status open_base(struct comparison *all)
{
    struct setup *base = &all->base;
    const struct bench_request *request = all->request;
    TRY(config_load(&base->config, config_tables, request->config_path, request->sets, request->set_count));
    TRY(setup_options(base));
    TRY(data_open(&base->data, config_at(config_root(base->config), "data"), base->run.seed));
    if (setup_epoch_steps(base) == 0)
        return config_fail(config_at(config_root(base->config), "run.batch"),
                           "run.batch is %d, but there are only %lld training samples", base->run.batch,
                           (long long)base->data->split[SPLIT_TRAIN].count);
    struct loader_options options = setup_training_loader(base);
    options.workers = 1;
    return loader_open(&all->loader, &options, 0, 0);
}

/* A stage's own objective.kind would make another method of it. */
static hff_status check_objectives(const struct entrant *e)
{
    for (int i = 0; i < e->setup.engine->stages; i++) {
        const char *kind = e->setup.engine->stage[i].objective->name;
        if (strcmp(kind, e->method->objective) != 0)
            return fail(HFF_E_CONFIG, "stage %d has its own objective.kind, %s", i + 1, kind);
    }
    return HFF_OK;
}

/* Up to what its memory will be; HFF_E_CONFIG or HFF_E_MEMORY: there is no such method here. */
static hff_status plan_method(struct comparison *all, struct entrant *e)
{
    const struct bench_request *request = all->request;
    const char **sets = ARENA_NEW(&all->arena, const char *, request->set_count + 4);
    int count = request->set_count;
    if (count) memcpy(sets, request->sets, sizeof *sets * (size_t)count);
    sets[count++] = arena_printf(&all->arena, "objective.kind=%s", e->method->objective);
    if (e->method->partition) sets[count++] = e->method->partition;
    if (e->method->recompute) sets[count++] = e->method->recompute;
    if (e->method->parts)
        sets[count++] = arena_printf(&all->arena, "run.micro_batch=%d", all->base.run.batch / e->method->parts);
    struct setup *setup = &e->setup;
    TRY(config_load(&setup->config, config_tables, request->config_path, sets, count));
    TRY(setup_options(setup));
    setup->data = all->base.data;
    struct shape image = {3, {setup->data->channels, setup->data->height, setup->data->width}};
    int64_t steps = setup_stage_steps(setup);
    TRY(setup_open_for(setup, &image, setup->data->classes, steps > 0 ? steps : 1));
    TRY(bench_joint(setup));
    TRY(check_objectives(e));
    return setup_fits(setup);
}

static hff_status step(void *what)
{
    struct entrant *e = what;
    for (int i = 0; i < e->each; i++) TRY(engine_step(e->setup.engine, &e->batch));
    return engine_drain(e->setup.engine);
}

/* Binds its memory and takes it into use. */
static hff_status start_method(const struct comparison *all, struct entrant *e, const struct batch *batch)
{
    memory_reset_peak();
    int64_t before = memory_resident();
    TRY(engine_bind(e->setup.engine));
    TRY(engine_init(e->setup.engine, e->setup.run.seed));
    e->batch = *batch;
    if (e->setup.engine->resident.op) e->batch.images = NULL;      /* made where they are needed */
    e->each = e->setup.backend->api->capture_begin ? REPLAYED : 1; /* to wait for a device takes as long as a step */
    for (int i = 0; i < engine_warm_up(e->setup.engine); i += e->each) {
        TRY(step(e));
        TRY(stop_asked(all->request->console.signal, "a measurement"));
    }
    e->took = memory_peak() - before;
    clear_phases(e->setup.engine);
    e->counted_from = e->setup.engine->stage[0].step;
    return turns_open(&e->turns, step, e, all->rounds);
}

static void close_method(struct entrant *e)
{
    turns_close(&e->turns);
    e->setup.data = NULL;
    setup_close(&e->setup);
}

/* ---- measuring ---- */

/* Opens every method, notes refusals, and measures what is left. */
static hff_status measure(struct comparison *all)
{
    const struct batch *batch;
    struct turns *turns[ALL_MOST];
    int count = 0;
    hff_status first = HFF_OK;
    struct trail trail;
    TRY(loader_next(all->loader, &batch));
    for (int i = 0; i < all->count; i++) {
        struct entrant *e = &all->entrant[i];
        hff_status status = plan_method(all, e);
        if (status == HFF_E_CONFIG || status == HFF_E_MEMORY) {
            e->refused = arena_text(&all->arena, hff_error_message());
            if (first == HFF_OK) trail_take(&trail);
            if (first == HFF_OK) first = status;
            close_method(e);
            continue;
        }
        if (status == HFF_OK) status = start_method(all, e, batch);
        if (status != HFF_OK) return trail_add(status, "method %s", e->method->name);
        turns[count++] = &e->turns;
    }
    if (count == 0) {
        trail_give(&trail);
        return first;
    }
    return turns_time(turns, count, all->rounds, all->request->console.signal);
}

/* One after another, each from its start. */
static hff_status train_all(struct comparison *all)
{
    for (int i = 0; i < all->count; i++) {
        struct entrant *e = &all->entrant[i];
        if (e->refused) continue;
        hff_status status = plan_method(all, e);
        if (status == HFF_OK) status = engine_bind(e->setup.engine);
        if (status == HFF_OK) status = engine_init(e->setup.engine, e->setup.run.seed);
        e->until.accuracy = all->request->until;
        if (status == HFF_OK) status = train_until(&e->setup, e->method->name, all->request->console.signal, &e->until);
        close_method(e);
        if (status != HFF_OK) return trail_add(status, "method %s", e->method->name);
    }
    return HFF_OK;
}

/* ---- the report ---- */

static json_t *entrant_json(const struct comparison *all, struct entrant *e, const struct entrant *first)
{
    json_t *row = json_object(), *phases = json_object();
    double sum[SECTIONS] = {0};
    json_object_set_new(row, "method", json_string(e->method->name));
    if (e->refused) {
        json_object_set_new(row, "refused", json_string(e->refused));
        json_decref(phases);
        return row;
    }
    const struct engine *engine = e->setup.engine;
    double ratio = turns_ratio(&e->turns, &first->turns, all->rounds);
    for (int i = 0; i < e->turns.calls; i++) e->turns.seconds[i] /= e->each;
    struct spread s = spread_of(e->turns.seconds, e->turns.calls);
    json_object_set_new(row, "stages", json_integer(engine->stages));
    put_spread(row, "step_ms", s);
    json_object_set_new(row, "images_per_s", json_number(engine->batch / s.median));
    json_object_set_new(row, "ratio", json_number(ratio));
    put_phases(row, engine, engine->stage[0].step - e->counted_from, sum);
    enum section phase[PHASES + 1];
    step_phases(engine, phase);
    for (const enum section *p = phase; *p != SECTIONS; p++)
        json_object_set_new(phases, section_name(*p), json_number(sum[*p]));
    json_object_set_new(row, "phases_ms", phases);
    json_object_set_new(row, "gflops", json_number(engine_flops(engine, 1) * engine->batch / s.median * 1e-9));
    put_plan(row, &e->setup);
    json_object_set_new(row, "resident_bytes", json_integer(e->took));
    return row;
}

static json_t *report(struct comparison *all)
{
    json_t *out = json_object(), *rows = json_array();
    const struct entrant *first = NULL;
    for (int i = all->count - 1; i >= 0; i--)
        if (!all->entrant[i].refused) first = &all->entrant[i];
    struct backend *backend = first->setup.backend;
    json_object_set_new(out, "config", json_string(all->request->config_path));
    json_object_set_new(out, "backend", json_string(backend->api->name));
    json_object_set_new(out, "device", json_string(backend->api->describe(backend)));
    json_object_set_new(out, "batch", json_integer(all->base.run.batch));
    json_object_set_new(out, "slices", json_integer(all->base.run.slices));
    json_object_set_new(out, "rounds", json_integer(all->rounds));
    for (int i = 0; i < all->count; i++) json_array_append_new(rows, entrant_json(all, &all->entrant[i], first));
    json_object_set_new(out, "rows", rows);
    return out;
}

static void add_until(const struct comparison *all, const json_t *out)
{
    for (int i = 0; i < all->count; i++) {
        const struct until *u = &all->entrant[i].until;
        if (all->entrant[i].refused) continue;
        json_t *until = json_object();
        json_object_set_new(until, "accuracy", json_number(u->accuracy));
        json_object_set_new(until, "reached", json_boolean(u->reached));
        json_object_set_new(until, "best", json_number(u->best));
        json_object_set_new(until, "epochs", json_number(u->epochs));
        json_object_set_new(until, "seconds", json_number(u->seconds));
        json_object_set_new(json_array_get(json_object_get(out, "rows"), (size_t)i), "until", until);
    }
}

static hff_status compare(struct comparison *all, json_t **document)
{
    TRY(choose_methods(all));
    TRY(open_base(all));
    TRY(measure(all));
    *document = report(all);
    for (int i = 0; i < all->count; i++) close_method(&all->entrant[i]);
    if (all->request->until == 0) return HFF_OK;
    TRY(train_all(all));
    add_until(all, *document);
    return HFF_OK;
}

hff_status bench_methods(const struct bench_request *request, FILE *out)
{
    struct comparison all = {.request = request, .rounds = request->runs ? request->runs : ROUNDS};
    json_t *document = NULL;
    hff_status status = compare(&all, &document);
    if (status == HFF_OK && request->json) {
        char *text = json_text(document, 2);
        fprintf(out, "%s\n", text ? text : "{}");
        free(text);
    } else if (status == HFF_OK) {
        bench_methods_print(document, request, out);
    }
    json_decref(document);
    for (int i = 0; i < all.count; i++) close_method(&all.entrant[i]);
    loader_close(all.loader);
    setup_close(&all.base);
    arena_free(&all.arena);
    return status;
}
