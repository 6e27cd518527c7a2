/* hff info: this build, a config's plan, or a model. */
#include "model.h"

#include "base/file.h"

#include <stdlib.h>
#include <string.h>

static hff_status print_build(const struct info_request *request, FILE *out)
{
    json_t *root = json_object(), *list = json_array();
    json_object_set_new(root, "version", json_string(hff_version()));
    if (!request->json)
        fprintf(out, "hff %s\n\nbackends, in the order in which run.backend auto tries them:\n", hff_version());
    for (int i = 0; backends[i]; i++) {
        struct backend *backend = NULL;
        hff_status status = backends[i]->available();
        if (status == HFF_OK) status = backends[i]->open(&backend, 0);
        const char *said = status == HFF_OK ? backends[i]->describe(backend) : hff_error_message();
        if (!request->json)
            fprintf(out, "  %-5s %-10s %s (%s)\n", backends[i]->name, status == HFF_OK ? "available" : "not here",
                    backends[i]->help, said);
        json_t *row = json_object();
        json_object_set_new(row, "name", json_string(backends[i]->name));
        json_object_set_new(row, "available", json_boolean(status == HFF_OK));
        json_object_set_new(row, status == HFF_OK ? "device" : "reason", json_string(said));
        json_array_append_new(list, row);
        backend_close(backend);
    }
    json_object_set_new(root, "backends", list);
    char *text = request->json ? json_text(root, 2) : NULL;
    if (text) fprintf(out, "%s\n", text);
    free(text);
    json_decref(root);
    return HFF_OK;
}

static json_t *ops_json(const struct program *program)
{
    json_t *ops = json_array();
    for (int s = 0; s < SECTIONS; s++)
        for (int i = 0; i < program->count[s]; i++) {
            const struct instr *instr = &program->section[s][i];
            const struct op_info *info = &op_table[instr->op->desc.kind];
            json_t *op = json_object(), *args = json_object();
            for (int a = 0; a < info->args; a++)
                if (instr->arg[a] >= 0)
                    json_object_set_new(args, info->arg[a].name, json_string(program->slot[instr->arg[a]].name));
            json_object_set_new(op, "section", json_string(section_name((enum section)s)));
            json_object_set_new(op, "number", json_integer(i + 1));
            json_object_set_new(op, "op", json_string(info->name));
            json_object_set_new(op, "flops", json_number(op_flops(&instr->op->desc)));
            json_object_set_new(op, "args", args);
            json_array_append_new(ops, op);
        }
    return ops;
}

static json_t *slots_json(const struct program *program)
{
    json_t *slots = json_array();
    for (int i = 0; i < program->slots; i++) {
        const struct slot *slot = &program->slot[i];
        json_t *row = json_object();
        char text[96];
        json_object_set_new(row, "name", json_string(slot->name));
        json_object_set_new(row, "tensor", json_string(tensor_text(&slot->tensor, text, sizeof text)));
        json_object_set_new(row, "arena", json_string(arena_name(slot->arena)));
        json_object_set_new(row, "offset", json_integer((json_int_t)slot->offset));
        json_object_set_new(row, "bytes", json_integer((json_int_t)slot->bytes));
        if (slot->arena == ARENA_ACT) { /* counted over all sections from 1; others live always */
            json_object_set_new(row, "first", json_integer(slot->first + 1));
            json_object_set_new(row, "last", json_integer(slot->last + 1));
        }
        json_array_append_new(slots, row);
    }
    return slots;
}

/* To each stage of the plan: its ops and slots. */
static void add_programs(const struct engine *engine, json_t *stages)
{
    for (int i = 0; i < engine->stages; i++) {
        json_t *stage = json_array_get(stages, (size_t)i);
        json_object_set_new(stage, "objective", json_string(engine->stage[i].objective->name));
        json_object_set_new(stage, "ops", ops_json(engine->stage[i].program));
        json_object_set_new(stage, "slots", slots_json(engine->stage[i].program));
    }
}

static void print_plan(const struct setup *setup, const struct info_request *request, FILE *out)
{
    if (request->json) {
        json_t *root = json_object();
        plan_json(setup, root);
        if (request->program) add_programs(setup->engine, json_object_get(root, "stages"));
        json_object_set_new(root, "config", config_to_json(setup->config));
        char *text = json_text(root, 2);
        fprintf(out, "%s\n", text ? text : "{}");
        free(text);
        json_decref(root);
        return;
    }
    plan_print(setup, out, &request->console);
    for (int i = 0; request->program && i < setup->engine->stages; i++) {
        const struct stage_run *run = &setup->engine->stage[i];
        fprintf(out, "\nstage %d (%s), objective %s\n", i + 1, run->stage->name, run->objective->name);
        program_print(run->program, out);
    }
}

static hff_status info_config(struct setup *setup, const struct info_request *request, FILE *out)
{
    TRY(config_load(&setup->config, config_tables, request->what, request->sets, request->set_count));
    TRY(setup_options(setup));
    setup->looks_only = 1;
    TRY(setup_open(setup, 1));
    print_plan(setup, request, out);
    return HFF_OK;
}

static hff_status info_model(struct model *model, struct setup *setup, const struct info_request *request, FILE *out)
{
    TRY(model_open(model, setup, request->what, NULL, request->sets, request->set_count));
    struct shape input = {3, {model->channels, model->height, model->width}};
    TRY(setup_open_for(setup, &input, model->classes, 0));
    if (!request->json) {
        fprintf(out, "%s: %dx%dx%d images, %d classes", model->path, model->channels, model->height, model->width,
                model->classes);
        fprintf(out, ", %lld parameters in %d tensors", (long long)engine_parameters(setup->engine), model->file.count);
        if (setup->trained) fprintf(out, ", %d of %d stages have learnt", setup->trained, setup->engine->stages);
        fputs("\n\n", out);
    }
    print_plan(setup, request, out);
    return HFF_OK;
}

static int is_config(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0);
}

hff_status info_run(const struct info_request *request, FILE *out)
{
    if (!request->what) return print_build(request, out);
    struct setup setup = {0};
    struct model model = {0};
    hff_status status =
        is_config(request->what) ? info_config(&setup, request, out) : info_model(&model, &setup, request, out);
    setup_close(&setup);
    model_close(&model);
    return status;
}
