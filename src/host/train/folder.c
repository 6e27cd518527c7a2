/* Taking a run folder and describing the run in it. */
#include "folder.h"
#include "model.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* "mnist_mlp" of ".../mnist_mlp.yaml". */
static char *name_of_config(struct arena *arena, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *name = arena_text(arena, slash ? slash + 1 : path), *dot = strrchr(name, '.');
    if (dot && dot != name) *dot = 0;
    return name;
}

/* Moves a used folder to NAME.1, NAME.2, ... */
static hff_status move_aside(const char *path)
{
    struct arena arena = {0};
    hff_status status = HFF_OK;
    for (int i = 1;; i++) {
        char *aside = arena_printf(&arena, "%s.%d", path, i);
        if (file_exists(aside)) continue;
        status = file_rename(path, aside);
        if (status == HFF_OK) log_info("%s was there already and is now %s", path, aside);
        break;
    }
    arena_free(&arena);
    return status;
}

/* Whether a run left something in the folder. One that ended before its config.yaml and its first step left nothing
 * to go on from, and nothing to keep. */
static hff_status is_used(struct arena *arena, const char *path, int *used)
{
    char *newest;
    int64_t step;
    *used = file_exists(file_join(arena, path, "config.yaml"));
    if (*used) return HFF_OK;
    TRY(checkpoint_newest(arena, path, &newest, &step));
    *used = step > 0;
    return HFF_OK;
}

/* What a run that was killed in the middle of a write left in the folder; when it never began, also what it was to
 * start from. */
static hff_status remove_leftovers(struct arena *arena, const char *path, int used)
{
    if (!used) TRY(file_remove_tree(file_join(arena, path, "checkpoints")));
    TRY(file_remove_leftovers(path));
    return file_remove_leftovers(file_join(arena, path, "figures"));
}

static hff_status take(struct folder *folder, struct arena *arena, const struct train_request *request)
{
    const char *path = folder->path;
    if (file_exists(path) && !file_is_folder(path))
        return fail(HFF_E_USAGE, "%s is a file; choose another --out or --name", path);
    int used;
    TRY(is_used(arena, path, &used));
    if (request->resume && !used) return fail(HFF_E_USAGE, "%s: there is no run to resume", path);
    TRY(file_make_folders(path));
    TRY(file_lock(file_join(arena, path, "lock"), &folder->lock));
    TRY(is_used(arena, path, &used)); /* again with the lock held: nobody else fills it now */
    if (used && !request->resume && !request->force)
        return fail(
            HFF_E_USAGE,
            "%s holds a run already; go on with it by --resume, move it aside by --force, or choose another --name",
            path);
    if (!used || request->resume) return remove_leftovers(arena, path, used);
    TRY(move_aside(path)); /* the lock goes with it, and keeps a second --force out until here */
    file_unlock(folder->lock);
    folder->lock = -1;
    TRY(file_make_folders(path));
    return file_lock(file_join(arena, path, "lock"), &folder->lock);
}

/* OUT/NAME. */
static hff_status find_path(struct arena *arena, const struct setup *setup, const struct train_request *request,
                            char **path)
{
    const char *out = request->out ? request->out : setup->run.out;
    const char *name = request->name      ? request->name
                       : *setup->run.name ? setup->run.name
                                          : name_of_config(arena, request->config_path);
    char *expanded;
    if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return fail(HFF_E_USAGE, "'%s' is no name for a run folder; choose another --name", name);
    TRY(file_expand(arena, out, &expanded));
    *path = file_join(arena, expanded, name);
    return HFF_OK;
}

hff_status folder_take(struct folder *folder, const struct setup *setup, const struct train_request *request)
{
    struct arena arena = {0};
    char *path;
    *folder = (struct folder){.lock = -1};
    hff_status status = find_path(&arena, setup, request, &path);
    if (status == HFF_OK) {
        folder->path = strdup(path);
        status = folder->path ? take(folder, &arena, request) : fail(HFF_E_MEMORY, "no memory for a path");
    }
    arena_free(&arena);
    return status;
}

hff_status folder_read_plans(struct setup *setup, const struct train_request *request)
{
    struct arena arena = {0};
    char *folder;
    hff_status status = find_path(&arena, setup, request, &folder);
    const char *file = status == HFF_OK ? file_join(&arena, folder, "plans.json") : NULL;
    unsigned char *text = NULL;
    size_t size;
    if (file && file_exists(file)) status = file_read(file, (size_t)16 << 20, &text, &size);
    if (status == HFF_OK) setup->plans = (char *)text;
    arena_free(&arena);
    return status;
}

void folder_release(struct folder *folder)
{
    if (folder->lock >= 0) file_unlock(folder->lock);
    free(folder->path);
    *folder = (struct folder){.lock = -1};
}

/* Keys that a resume may change. */
static const char *const changeable[][2] = {{"run", "name"},
                                            {"run", "out"},
                                            {"run", "threads"},
                                            {"run", "log_every"},
                                            {"run", "checkpoint_every"},
                                            {"run", "keep"},
                                            {"run", "time_limit"},
                                            {"run", "epochs"},
                                            {"run", "until"},
                                            {"data", "workers"},
                                            {"engine", "cache"},
                                            {"engine", "recompute"},
                                            {"engine", "pipeline"},
                                            {"engine", "images"},
                                            {"engine", "capture"}};

/* The dotted path of the first difference into out; 0 when equal. */
static int first_difference(const json_t *a, const json_t *b, char *out, size_t size)
{
    if (json_is_object(a) && json_is_object(b)) {
        const char *key;
        const json_t *value;
        json_object_foreach((json_t *)a, key, value)
        {
            char below[256] = "";
            if (!first_difference(value, json_object_get(b, key), below, sizeof below)) continue;
            snprintf(out, size, "%s%s%s", key, *below && *below != '[' ? "." : "", below);
            return 1;
        }
        json_object_foreach((json_t *)b, key, value) if (!json_object_get(a, key))
        {
            snprintf(out, size, "%s", key);
            return 1;
        }
        return 0;
    }
    if (json_is_array(a) && json_is_array(b) && json_array_size(a) == json_array_size(b)) {
        for (size_t i = 0; i < json_array_size(a); i++) {
            char below[256] = "";
            if (!first_difference(json_array_get(a, i), json_array_get(b, i), below, sizeof below)) continue;
            snprintf(out, size, "[%zu]%s%s", i, *below ? "." : "", below);
            return 1;
        }
        return 0;
    }
    return !json_equal((json_t *)a, (json_t *)b);
}

hff_status folder_check_config(const struct folder *folder, const struct setup *setup)
{
    struct arena arena = {0};
    struct config *old;
    char *path = file_join(&arena, folder->path, "config.yaml"), where[512] = "";
    hff_status status = config_load(&old, config_tables, path, NULL, 0);
    if (status == HFF_OK) {
        double epochs = config_real(config_root(old), "run.epochs");
        json_t *a = config_to_json(old), *b = config_to_json(setup->config);
        for (size_t i = 0; i < sizeof changeable / sizeof changeable[0]; i++) {
            json_object_del(json_object_get(a, changeable[i][0]), changeable[i][1]);
            json_object_del(json_object_get(b, changeable[i][0]), changeable[i][1]);
        }
        if (first_difference(a, b, where, sizeof where))
            status = fail(HFF_E_CONFIG,
                          "%s differs from the run that is to be resumed (%s); only epochs, until, time_limit, "
                          "threads, workers, lanes, cache, logging and checkpoint intervals may change",
                          where, path);
        else if (setup->engine->sequential && epochs != setup->run.epochs)
            status = config_fail(config_at(config_root(setup->config), "run.epochs"),
                                 "run.epochs is %g, and %g in the run that is to be resumed (%s); with engine.schedule "
                                 "sequential it says when a stage's turn ends, so it cannot change",
                                 setup->run.epochs, epochs, path);
        json_decref(a);
        json_decref(b);
        config_free(old);
    }
    arena_free(&arena);
    return status;
}

/* A run that goes on without choosing (on a CPU) leaves the file for one that does again. */
static hff_status write_plans(const struct setup *setup, int resume, const char *path)
{
    const struct backend_api *api = setup->backend->api;
    char *text = api->chosen ? api->chosen(setup->backend) : NULL;
    hff_status status = text ? file_write(path, text, strlen(text)) : HFF_OK;
    if (!text && !resume) unlink(path); /* of a run that ended before it had begun */
    free(text);
    return status;
}

static hff_status write_config(const struct setup *setup, const char *path)
{
    struct file_writer writer;
    TRY(file_create(&writer, path));
    hff_status status = config_write_yaml(setup->config, writer.stream);
    if (status == HFF_OK)
        status = file_commit(&writer);
    else
        file_abandon(&writer);
    return status;
}

#ifndef HFF_REVISION
#define HFF_REVISION "unknown"
#endif

hff_status folder_describe(const struct folder *folder, const struct setup *setup, const struct train_request *request)
{
    struct arena arena = {0};
    struct utsname host = {0};
    char now[32];
    json_t *environment = json_object();
    uname(&host);
    clock_utc(now);
    json_object_set_new(environment, "hff", json_string(hff_version()));
    json_object_set_new(environment, "revision", json_string(HFF_REVISION));
    json_object_set_new(environment, "compiler", json_string("C " __VERSION__));
    json_object_set_new(environment, "system",
                        json_string(arena_printf(&arena, "%s %s %s", host.sysname, host.release, host.machine)));
    json_object_set_new(environment, "backend", json_string(setup->backend->api->name));
    json_object_set_new(environment, "device", json_string(setup->backend->api->describe(setup->backend)));
    json_object_set_new(environment, "command", json_string(request->command_line ? request->command_line : ""));
    json_object_set_new(environment, "started", json_string(now));
    hff_status status = json_write(file_join(&arena, folder->path, "environment.json"), environment);
    json_decref(environment);
    if (status == HFF_OK) status = write_plans(setup, request->resume, file_join(&arena, folder->path, "plans.json"));
    if (status == HFF_OK) status = write_config(setup, file_join(&arena, folder->path, "config.yaml"));
    arena_free(&arena);
    return status;
}

static json_t *split_json(const struct evaluation *e, const struct rules *rules, enum rule rule)
{
    json_t *split = json_object(), *stages = json_array(), *by_rule = json_object();
    json_object_set_new(split, "samples", json_integer(e->samples));
    json_object_set_new(split, "rule", json_string(rule_name(rule)));
    json_object_set_new(split, "accuracy", json_number(e->accuracy[rule]));
    json_object_set_new(split, "loss", json_number(e->loss[rule]));
    if (e->classes >= 10) json_object_set_new(split, "top5", json_number(e->top5[rule]));
    for (int r = 0; r < RULES; r++)
        if (rules->known[r]) json_object_set_new(by_rule, rule_name((enum rule)r), json_number(e->accuracy[r]));
    json_object_set_new(split, "rules", by_rule);
    for (int l = 0; l < e->stages; l++) {
        json_t *stage = json_object();
        json_object_set_new(stage, "accuracy", json_number(e->stage_accuracy[l]));
        json_object_set_new(stage, "loss", json_number(e->stage_loss[l]));
        json_array_append_new(stages, stage);
    }
    json_object_set_new(split, "stages", stages);
    return split;
}

hff_status folder_result(const struct folder *folder, const struct setup *setup, const struct outcome *outcome)
{
    struct arena arena = {0};
    json_t *result = json_object();
    if (outcome->test) json_object_set_new(result, "test", split_json(outcome->test, outcome->rules, outcome->rule));
    if (outcome->val) json_object_set_new(result, "val", split_json(outcome->val, outcome->rules, outcome->rule));
    json_object_set_new(result, "epochs", json_number(outcome->epochs));
    json_object_set_new(result, "steps", json_integer(outcome->step));
    json_object_set_new(result, "model_step", json_integer(outcome->model_step));
    json_object_set_new(result, "seconds", json_number(outcome->seconds));
    json_object_set_new(result, "peak_memory_bytes", json_integer(memory_peak()));
    json_object_set_new(result, "resident_before_plan_bytes", json_integer(outcome->resident_before));
    json_object_set_new(result, "planned_bytes", json_integer((json_int_t)setup_planned_bytes(setup)));
    json_object_set_new(result, "parameters", json_integer(engine_parameters(setup->engine)));
    json_object_set_new(result, "flops_per_image", json_number(engine_flops(setup->engine, 0)));
    json_object_set_new(result, "step_flops_per_image", json_number(engine_flops(setup->engine, 1)));
    json_object_set_new(result, "backend", json_string(setup->backend->api->name));
    json_object_set_new(result, "device", json_string(setup->backend->api->describe(setup->backend)));
    json_object_set_new(result, "threads", json_integer(setup->backend->threads));
    json_object_set_new(result, "batch", json_integer(setup->run.batch));
    json_object_set_new(result, "micro_batch", json_integer(setup->engine->micro));
    json_object_set_new(result, "slices", json_integer(setup->run.slices));
    hff_status status = json_write(file_join(&arena, folder->path, "result.json"), result);
    json_decref(result);
    arena_free(&arena);
    return status;
}
