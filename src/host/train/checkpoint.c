/* Checkpoints: a folder under a temporary name, synced, renamed; complete ones only are ever seen as step-N. */
#include "model.h"

#include "base/file.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static json_t *marks_json(const struct setup *setup, const struct progress_marks *marks, const struct rules *rules)
{
    json_t *state = json_object();
    json_object_set_new(state, "format", json_string("hff-state-1"));
    json_object_set_new(state, "step", json_integer(marks->step));
    json_object_set_new(state, "epoch_steps", json_integer(setup_epoch_steps(setup)));
    json_object_set_new(state, "seed", json_integer((json_int_t)setup->run.seed));
    json_object_set_new(state, "seconds", json_number(marks->seconds));
    json_object_set_new(state, "log_bytes", json_integer(marks->log_bytes));
    json_object_set_new(state, "reached", json_number(marks->reached));
    json_object_set_new(state, "best_accuracy", json_number(marks->best_accuracy));
    json_object_set_new(state, "best_step", json_integer(marks->best_step));
    json_t *weights = json_object();
    for (int r = RULE_WEIGHTED; r <= RULE_BEST; r++) {
        if (!rules->known[r]) continue;
        json_t *list = json_array();
        for (int l = 0; l < rules->stages; l++) json_array_append_new(list, json_real(rules->weight[r][l]));
        json_object_set_new(weights, rule_name((enum rule)r), list);
    }
    json_object_set_new(state, "predict", weights);
    json_object_set_new(state, "data", identity_json(setup->data));
    return state;
}

/* The step of a complete checkpoint's name, -1 for any other name. */
static int64_t step_of(const char *name)
{
    char *end;
    if (strncmp(name, "step-", 5) != 0 || name[5] < '0' || name[5] > '9') return -1;
    long long step = strtoll(name + 5, &end, 10);
    return *end ? -1 : step;
}

/* Removes what a killed run left half-written, and complete ones beyond the newest keep. */
static hff_status prune(struct arena *arena, const char *folder, int keep, int64_t best_step, int64_t newest)
{
    char **names;
    int count;
    TRY(file_list(arena, folder, &names, &count));
    for (int i = 0; i < count; i++) {
        int64_t step = step_of(names[i]);
        int newer = 0;
        for (int k = 0; k < count; k++) newer += step_of(names[k]) > step && step_of(names[k]) <= newest;
        int stays =
            step >= 0 ? step <= newest && (newer < keep || step == best_step) : strncmp(names[i], "tmp-", 4) != 0;
        if (stays) continue;
        /* under another name first: what bears a checkpoint's name is complete */
        char *path = file_join(arena, folder, names[i]),
             *doomed = arena_printf(arena, "%s/tmp-old-%s", folder, names[i]);
        if (step >= 0) TRY(file_rename(path, doomed));
        TRY(file_remove_tree(step >= 0 ? doomed : path));
    }
    return HFF_OK;
}

static hff_status write_folder(const struct setup *setup, const struct rules *rules, const char *folder,
                               struct arena *arena, const struct progress_marks *marks)
{
    TRY(file_make_folders(folder));
    TRY(model_write(setup, rules, file_join(arena, folder, "model.safetensors")));
    TRY(optimizer_write(setup, file_join(arena, folder, "optimizer.safetensors")));
    json_t *state = marks_json(setup, marks, rules);
    hff_status status = json_write(file_join(arena, folder, "state.json"), state);
    json_decref(state);
    return status;
}

hff_status checkpoint_write(const struct setup *setup, const struct rules *rules, const char *run_folder,
                            const struct progress_marks *marks)
{
    struct arena arena = {0};
    char *checkpoints = file_join(&arena, run_folder, "checkpoints");
    char *final = arena_printf(&arena, "%s/step-%lld", checkpoints, (long long)marks->step);
    char *temporary = arena_printf(&arena, "%s/tmp-%lld-%ld", checkpoints, (long long)marks->step, (long)getpid());
    hff_status status;
    TRY_GOTO(status, file_make_folders(checkpoints), end);
    if (file_exists(final)) { /* a step's checkpoint is written once: its bytes would be the same */
        status = prune(&arena, checkpoints, setup->run.keep, marks->best_step, marks->step);
        goto end;
    }
    TRY_GOTO(status, file_remove_tree(temporary), end);
    status = write_folder(setup, rules, temporary, &arena, marks);
    if (status == HFF_OK) status = file_rename(temporary, final);
    if (status != HFF_OK) {
        struct trail trail;
        trail_take(&trail);
        file_remove_tree(temporary);
        trail_give(&trail);
        trail_add(status, "checkpoint of step %lld", (long long)marks->step);
        goto end;
    }
    status = prune(&arena, checkpoints, setup->run.keep, marks->best_step, marks->step);
end:
    arena_free(&arena);
    return status;
}

hff_status checkpoint_prune(const struct setup *setup, const char *run_folder, const struct progress_marks *marks)
{
    struct arena arena = {0};
    hff_status status =
        prune(&arena, file_join(&arena, run_folder, "checkpoints"), setup->run.keep, marks->best_step, marks->step);
    arena_free(&arena);
    return status;
}

hff_status checkpoint_newest(struct arena *arena, const char *run_folder, char **folder, int64_t *step)
{
    char *checkpoints = file_join(arena, run_folder, "checkpoints"), **names;
    int count;
    *folder = NULL;
    *step = -1;
    if (!file_is_folder(checkpoints)) return HFF_OK;
    TRY(file_list(arena, checkpoints, &names, &count));
    for (int i = 0; i < count; i++)
        if (step_of(names[i]) > *step) {
            *step = step_of(names[i]);
            *folder = file_join(arena, checkpoints, names[i]);
        }
    return HFF_OK;
}

static hff_status read_file(struct engine *engine, int moments, const char *path)
{
    struct safetensors file;
    TRY(safetensors_open(&file, path));
    hff_status status = tensors_read(engine, moments, &file, path);
    safetensors_free(&file);
    return status;
}

static hff_status read_marks(struct setup *setup, struct rules *rules, const char *path, struct progress_marks *marks)
{
    json_t *state;
    int64_t epoch_steps, seed;
    TRY(json_read(path, &state));
    hff_status status;
    TRY_GOTO(status, json_member_int(state, path, "step", &marks->step), end);
    TRY_GOTO(status, json_member_int(state, path, "epoch_steps", &epoch_steps), end);
    TRY_GOTO(status, json_member_int(state, path, "seed", &seed), end);
    TRY_GOTO(status, json_member_real(state, path, "seconds", &marks->seconds), end);
    TRY_GOTO(status, json_member_int(state, path, "log_bytes", &marks->log_bytes), end);
    TRY_GOTO(status, json_member_real(state, path, "reached", &marks->reached), end);
    TRY_GOTO(status, json_member_real(state, path, "best_accuracy", &marks->best_accuracy), end);
    TRY_GOTO(status, json_member_int(state, path, "best_step", &marks->best_step), end);
    if (seed == (int64_t)setup->run.seed)
        TRY_GOTO(status, identity_check(json_object_get(state, "data"), path, setup->data), end);
    if (marks->step < 0 || epoch_steps != setup_epoch_steps(setup) || seed != (int64_t)setup->run.seed)
        status = fail(HFF_E_DATA,
                      "%s: the checkpoint was made with %lld steps an epoch and seed %lld, now it is %lld and %lld; "
                      "the config has changed",
                      path, (long long)epoch_steps, (long long)seed, (long long)setup_epoch_steps(setup),
                      (long long)setup->run.seed);
    struct model fitted = {.weights = json_object_get(state, "predict")};
    model_rules(&fitted, rules);
end:
    json_decref(state);
    return status;
}

hff_status checkpoint_read(struct setup *setup, struct rules *rules, const char *folder, struct progress_marks *marks)
{
    struct arena arena = {0};
    hff_status status;
    TRY_GOTO(status, read_file(setup->engine, 0, file_join(&arena, folder, "model.safetensors")), end);
    TRY_GOTO(status, read_file(setup->engine, 1, file_join(&arena, folder, "optimizer.safetensors")), end);
    TRY_GOTO(status, read_marks(setup, rules, file_join(&arena, folder, "state.json"), marks), end);
    engine_stand_at(setup->engine, marks->step);
end:
    arena_free(&arena);
    return status;
}
