/* Opening what a config asks for, and the printed plan. */
#include "setup.h"

#include "base/log.h"
#include "base/memory.h"
#include "evaluate.h"

#include <math.h>
#include <string.h>

int64_t setup_epoch_steps(const struct setup *setup)
{
    return loader_batches(setup->data, SPLIT_TRAIN, setup->run.batch, 1);
}

int64_t setup_stage_steps(const struct setup *setup)
{
    return (int64_t)llround(setup->run.epochs * (double)setup_epoch_steps(setup));
}

int64_t setup_total_steps(const struct setup *setup)
{
    return setup_stage_steps(setup) * (setup->engine->sequential ? setup->engine->stages : 1);
}

/* Training in another type would be another run; a trained model's parameters are f32 and do without. */
static hff_status settle_dtype(struct setup *setup, int training)
{
    const struct backend_api *api = setup->backend->api;
    struct run_options *run = &setup->run;
    int computes = api->computes(setup->backend, run->act) && (run->precision != PRECISION_TF32 || api->set_precision);
    const char *dtype = config_text(config_root(setup->config), "run.dtype");
    if (!computes && training)
        return config_fail(config_at(config_root(setup->config), "run.dtype"),
                           "run.dtype is %s, in which the %s backend does not compute here (%s; bf16 needs a GPU, "
                           "AVX512-BF16 or AMX, tf32 a GPU); use run.dtype f32",
                           dtype, api->name, api->describe(setup->backend));
    if (!computes) {
        log_warn("the %s backend does not compute in %s here; activations are f32 instead", api->name, dtype);
        run->act = DTYPE_F32;
        run->precision = PRECISION_F32;
    }
    return api->set_precision ? api->set_precision(setup->backend, run->precision) : HFF_OK;
}

/* Plans may round in different ways, so it is a part of training, not of a trained model. */
static hff_status autotune(struct setup *setup, int training)
{
    const struct backend_api *api = setup->backend->api;
    if (!training || setup->looks_only || !api->tune || !config_bool(config_root(setup->config), "engine.autotune"))
        return HFF_OK;
    if (!setup->plans) log_info("timing plans of convolutions, which takes some seconds (engine.autotune)");
    return api->tune(setup->backend, setup->plans);
}

hff_status setup_open_for(struct setup *setup, const struct shape *input, int classes, int64_t stage_steps)
{
    const struct run_options *run = &setup->run;
    struct shape first = *input;
    TRY(objective_input(setup->config, classes, &first));
    TRY(net_build(&setup->net, config_at(config_root(setup->config), "net"), &first));
    if (setup->trained > setup->net->count)
        return fail(HFF_E_FORMAT, "the model says that %d of its stages have learnt, and has %d", setup->trained,
                    setup->net->count);
    TRY(backend_open(run->backend, run->threads, &setup->backend));
    TRY(settle_dtype(setup, stage_steps > 0));
    TRY(autotune(setup, stage_steps > 0));
    struct engine_options options = {.config = setup->config,
                                     .net = setup->net,
                                     .backend = setup->backend,
                                     .real = DTYPE_F32,
                                     .act = run->act,
                                     .classes = classes,
                                     .batch = run->batch,
                                     .slices = run->slices,
                                     .micro = run->micro,
                                     .total_steps = stage_steps,
                                     .trained = setup->trained,
                                     .image = *input,
                                     .white = 1};
    if (setup->data) options.white = (1 - setup->data->mean[0]) / setup->data->std[0];
    struct recipe recipe;
    if (setup->data && stage_steps > 0) {
        TRY(data_recipe(&recipe, setup->data, config_at(config_root(setup->config), "data"), run->seed));
        options.recipe = &recipe;
        options.epoch_steps = setup_epoch_steps(setup);
        options.samples = setup->data->split[SPLIT_TRAIN].count;
    }
    return engine_open(&setup->engine, &options);
}

hff_status setup_open(struct setup *setup, int training)
{
    const struct config_node *root = config_root(setup->config);
    TRY(data_open(&setup->data, config_at(root, "data"), setup->run.seed));
    const struct data *data = setup->data;
    if (training && setup_epoch_steps(setup) == 0)
        return config_fail(config_at(root, "run.batch"), "run.batch is %d, but there are only %lld training samples",
                           setup->run.batch, (long long)data->split[SPLIT_TRAIN].count);
    struct shape input = {3, {data->channels, data->height, data->width}};
    if (setup->classes && setup->classes < data->classes)
        return fail(HFF_E_USAGE, "the data has %d classes, so heads with %d cannot learn from it", data->classes,
                    setup->classes);
    int classes = setup->classes ? setup->classes : data->classes;
    return setup_open_for(setup, &input, classes, training ? setup_stage_steps(setup) : 0);
}

void setup_close(struct setup *setup)
{
    engine_close(setup->engine);
    backend_close(setup->backend);
    net_free(setup->net);
    data_close(setup->data);
    config_free(setup->config);
    free(setup->plans);
    memset(setup, 0, sizeof *setup);
}

struct loader_options setup_training_loader(const struct setup *setup)
{
    const struct config_node *node = config_at(config_root(setup->config), "data");
    return (struct loader_options){.data = setup->data,
                                   .split = SPLIT_TRAIN,
                                   .batch = setup->run.batch,
                                   .workers = (int)config_int(node, "workers"),
                                   .training = 1,
                                   .recipes = setup->engine && setup->engine->resident.op,
                                   .seed = setup->run.seed,
                                   .data_node = node};
}

static size_t pass_bytes(const struct setup *setup, enum split split)
{
    struct loader_options options = setup_training_loader(setup);
    if (split != SPLIT_TRAIN) {
        options.split = split;
        options.training = options.recipes = 0;
        options.data_node = NULL;
    }
    return loader_bytes(&options);
}

/* Of the loader that an evaluation has while the training loader stays open. */
static size_t evaluation_pass_bytes(const struct setup *setup)
{
    size_t test = pass_bytes(setup, SPLIT_TEST), val = 0;
    if (setup->data->split[SPLIT_VAL].count > 0) val = pass_bytes(setup, SPLIT_VAL);
    return val > test ? val : test;
}

size_t setup_loader_bytes(const struct setup *setup)
{
    return setup->data ? pass_bytes(setup, SPLIT_TRAIN) + evaluation_pass_bytes(setup) : 0;
}

/* The fit comes when the evaluation's loader is closed again, so it counts only where it needs more. */
size_t setup_evaluation_bytes(const struct setup *setup)
{
    if (!setup->data || setup->data->split[SPLIT_VAL].count == 0) return 0;
    size_t fit, loader = evaluation_pass_bytes(setup);
    size_t kept = evaluation_bytes(setup->engine, setup->data->split[SPLIT_VAL].count, &fit);
    return kept + (fit > loader ? fit - loader : 0);
}

size_t setup_planned_bytes(const struct setup *setup)
{
    return engine_planned_bytes(setup->engine) + setup_loader_bytes(setup) + setup_evaluation_bytes(setup);
}

/* A device's memory holds the engine's arenas, the host's the rest. */
static hff_status fits_device(const struct setup *setup, size_t *on_device)
{
    const struct backend_api *api = setup->backend->api;
    size_t left;
    *on_device = 0;
    if (!api->memory_left) return HFF_OK;
    *on_device = engine_planned_bytes(setup->engine) - setup->engine->cache.bytes;
    TRY(api->memory_left(setup->backend, &left));
    if (*on_device <= left) return HFF_OK;
    return fail(HFF_E_MEMORY,
                "the plan of this run needs %zu MiB on the device (%s), but only %zu MiB are left there; use a smaller "
                "run.batch or net (hff train CONFIG --dry-run shows the plan)",
                *on_device >> 20, api->describe(setup->backend), left >> 20);
}

hff_status setup_fits(const struct setup *setup)
{
    size_t on_device;
    TRY(fits_device(setup, &on_device));
    return memory_fits(setup_planned_bytes(setup) - on_device, "the plan of this run",
                       setup->engine->cache.bytes
                           ? "use engine.cache none, fewer images, or a smaller run.batch or net (hff train CONFIG "
                             "--dry-run shows the plan)"
                           : "use a smaller run.batch or net (hff train CONFIG --dry-run shows the plan)");
}

static const char *quantity(struct arena *arena, double value)
{
    static const char *const units[] = {"", " k", " M", " G", " T", " P"};
    int unit = 0;
    for (; value >= 999.95 && unit < 5; unit++) value /= 1000;
    return arena_printf(arena, unit ? "%.1f%s" : "%.0f%s", value, units[unit]);
}

static int64_t stage_parameters(const struct program *program)
{
    int64_t total = 0;
    for (int k = 0; k < program->graph.values; k++)
        if (program->graph.value[k].role == ROLE_PARAM && !program->graph.value[k].whole)
            total += tensor_count(&program->graph.value[k].tensor);
    return total;
}

static double step_flops(const struct stage_run *run)
{
    return run->flops[SECTION_FORWARD] + run->flops[SECTION_HEAD] + run->flops[SECTION_BACKWARD] +
           run->flops[SECTION_UPDATE] + run->flops[SECTION_PREVIEW];
}

/* What each lane computes and what memory it has of its own. */
static void print_lanes(const struct engine *engine, struct arena *arena, FILE *out, const struct console *console)
{
    enum { COLUMNS = 9 };
    static const enum arena_kind shown[] = {ARENA_ACT, ARENA_GRAD, ARENA_WORK, ARENA_INPUT, ARENA_OUTPUT};
    const char **cells = ARENA_NEW(arena, const char *, (engine->lanes + 1) * COLUMNS), **row = cells;
    const char *header[COLUMNS] = {"lane", "stages", "MFLOP", "%", "acts", "grads", "workspace", "ring", "between"};
    double total = 0;
    memcpy(row, header, sizeof header);
    for (int k = 0; k < engine->lanes; k++) total += engine->lane[k].flops;
    for (int k = 0; k < engine->lanes; k++) {
        const struct lane *lane = &engine->lane[k];
        row += COLUMNS;
        row[0] = arena_printf(arena, "%d", k + 1);
        row[1] = lane->stages == 1 ? arena_printf(arena, "%d", lane->first + 1)
                                   : arena_printf(arena, "%d-%d", lane->first + 1, lane->first + lane->stages);
        row[2] = arena_printf(arena, "%.2f", lane->flops / engine->micro * 1e-6);
        row[3] = arena_printf(arena, "%.1f", total > 0 ? 100 * lane->flops / total : 0);
        for (int a = 0; a < 5; a++)
            row[4 + a] = arena_printf(arena, "%sB", quantity(arena, (double)lane->bytes[shown[a]]));
    }
    fputc('\n', out);
    table_print(out, cells, engine->lanes + 1, COLUMNS, terminal_width(out), terminal_color(out, console->color));
    fputs(
        "\nA lane's stages run one after the other, lanes side by side on batches that follow each other. ring: where\n"
        "batches arrive; between: what its stages pass on to each other.\n",
        out);
}

/* What is in memory together, and of how much of a batch. */
static void print_residence(const struct engine *engine, FILE *out)
{
    fprintf(out, "One stage's activations%s are in memory at a time%s.\n", engine->parts > 1 ? "" : " and gradients",
            engine->pipeline ? " in each lane" : "");
    if (engine->parts > 1)
        fprintf(out,
                "They are those of %d of a step's %d samples (run.micro_batch); all stages' gradients are summed up.\n",
                engine->micro, engine->batch);
    for (int i = 0; i < engine->stages; i++)
        if (engine->stage[i].segments > 1)
            fprintf(out, "Stage %d is recomputed in %d segments (engine.recompute).\n", i + 1,
                    engine->stage[i].segments);
}

void plan_print(const struct setup *setup, FILE *out, const struct console *console)
{
    const struct engine *engine = setup->engine;
    enum { COLUMNS = 9 };
    struct arena arena = {0};
    int rows = engine->stages + 2;
    const char **cells = ARENA_NEW(&arena, const char *, rows *COLUMNS), **row = cells;
    const char *header[COLUMNS] = {"stage", "kind", "output", "D", "params", "MFLOP", "acts", "grads", "moments"};
    memcpy(row, header, sizeof header);
    double micro = engine->micro;
    for (int i = 0; i < engine->stages; i++) {
        const struct stage_run *run = &engine->stage[i];
        const size_t *bytes = run->program->bytes;
        char shape[64];
        row += COLUMNS;
        row[0] = arena_printf(&arena, "%d", i + 1);
        row[1] = run->stage->name;
        row[2] = arena_text(&arena, shape_text(&run->stage->out, shape));
        row[3] = arena_printf(&arena, "%lld", (long long)run->embedding);
        row[4] = quantity(&arena, (double)stage_parameters(run->program));
        row[5] = arena_printf(&arena, "%.2f", step_flops(run) / micro * 1e-6);
        row[6] = arena_printf(&arena, "%sB", quantity(&arena, (double)bytes[ARENA_ACT]));
        row[7] = arena_printf(&arena, "%sB", quantity(&arena, (double)bytes[ARENA_GRAD]));
        row[8] = arena_printf(&arena, "%sB", quantity(&arena, (double)bytes[ARENA_MOMENT]));
    }
    row += COLUMNS;
    row[0] = "all";
    row[1] = row[2] = row[3] = "";
    row[4] = quantity(&arena, (double)engine_parameters(engine));
    row[5] = arena_printf(&arena, "%.2f", engine_flops(engine, 1) * 1e-6);
    for (int k = 0; k < 3; k++) {
        static const enum arena_kind shown[] = {ARENA_ACT, ARENA_GRAD, ARENA_MOMENT};
        row[6 + k] = arena_printf(&arena, "%sB", quantity(&arena, (double)engine->bytes[shown[k]]));
    }
    table_print(out, cells, rows, COLUMNS, terminal_width(out), terminal_color(out, console->color));
    fputs("\nD: size of the embedding. MFLOP: of a training step, for each image.\n", out);
    print_residence(engine, out);
    if (engine->sequential)
        fputs("A step trains one stage and runs those before it, frozen; the sum of MFLOP is the mean of all steps'.\n",
              out);
    if (engine->pipeline) print_lanes(engine, &arena, out, console);
    fputs("All memory, planned before the run:\n", out);
    for (int a = 0; a < ARENAS; a++)
        if (engine->bytes[a])
            fprintf(out, "  %-12s %10sB\n", arena_name((enum arena_kind)a), quantity(&arena, (double)engine->bytes[a]));
    if (engine->resident.bytes)
        fprintf(out, "  %-12s %10sB\n", "images", quantity(&arena, (double)engine->resident.bytes));
    if (engine->cache.bytes) fprintf(out, "  %-12s %10sB\n", "cache", quantity(&arena, (double)engine->cache.bytes));
    fprintf(out, "  %-12s %10sB\n", "loader", quantity(&arena, (double)setup_loader_bytes(setup)));
    if (setup_evaluation_bytes(setup))
        fprintf(out, "  %-12s %10sB\n", "evaluation", quantity(&arena, (double)setup_evaluation_bytes(setup)));
    fprintf(out, "  %-12s %10sB\n", "together", quantity(&arena, (double)setup_planned_bytes(setup)));
    fprintf(out, "each image: %sFLOP to train, %sFLOP to predict\n", quantity(&arena, engine_flops(engine, 1)),
            quantity(&arena, engine_flops(engine, 0)));
    arena_free(&arena);
}

static json_t *lanes_json(const struct engine *engine)
{
    json_t *lanes = json_array();
    for (int k = 0; engine->pipeline && k < engine->lanes; k++) {
        const struct lane *lane = &engine->lane[k];
        json_t *item = json_object(), *bytes = json_object();
        json_object_set_new(item, "lane", json_integer(k + 1));
        json_object_set_new(item, "first_stage", json_integer(lane->first + 1));
        json_object_set_new(item, "stages", json_integer(lane->stages));
        json_object_set_new(item, "step_flops_per_image", json_real(lane->flops / engine->micro));
        for (int a = 0; a < ARENAS; a++)
            if (lane->bytes[a])
                json_object_set_new(bytes, arena_name((enum arena_kind)a), json_integer((json_int_t)lane->bytes[a]));
        json_object_set_new(item, "bytes", bytes);
        json_array_append_new(lanes, item);
    }
    return lanes;
}

void plan_json(const struct setup *setup, json_t *out)
{
    const struct engine *engine = setup->engine;
    json_t *stages = json_array(), *memory = json_object();
    for (int i = 0; i < engine->stages; i++) {
        const struct stage_run *run = &engine->stage[i];
        json_t *stage = json_object(), *bytes = json_object();
        char shape[64];
        json_object_set_new(stage, "stage", json_integer(i + 1));
        json_object_set_new(stage, "name", json_string(run->stage->name));
        json_object_set_new(stage, "output", json_string(shape_text(&run->stage->out, shape)));
        json_object_set_new(stage, "segments", json_integer(run->segments));
        json_object_set_new(stage, "embedding", json_integer(run->embedding));
        json_object_set_new(stage, "parameters", json_integer(stage_parameters(run->program)));
        json_object_set_new(stage, "step_flops_per_image", json_real(step_flops(run) / engine->micro));
        for (int a = 0; a < ARENAS; a++)
            json_object_set_new(bytes, arena_name((enum arena_kind)a),
                                json_integer((json_int_t)run->program->bytes[a]));
        json_object_set_new(stage, "bytes", bytes);
        json_array_append_new(stages, stage);
    }
    for (int a = 0; a < ARENAS; a++)
        json_object_set_new(memory, arena_name((enum arena_kind)a), json_integer((json_int_t)engine->bytes[a]));
    json_object_set_new(out, "batch", json_integer(engine->batch));
    json_object_set_new(out, "micro_batch", json_integer(engine->micro));
    json_object_set_new(out, "parameters", json_integer(engine_parameters(engine)));
    json_object_set_new(out, "flops_per_image", json_real(engine_flops(engine, 0)));
    json_object_set_new(out, "step_flops_per_image", json_real(engine_flops(engine, 1)));
    json_object_set_new(out, "planned_bytes", json_integer((json_int_t)setup_planned_bytes(setup)));
    json_object_set_new(memory, "images", json_integer((json_int_t)engine->resident.bytes));
    json_object_set_new(memory, "cache", json_integer((json_int_t)engine->cache.bytes));
    json_object_set_new(memory, "loader", json_integer((json_int_t)setup_loader_bytes(setup)));
    json_object_set_new(memory, "evaluation", json_integer((json_int_t)setup_evaluation_bytes(setup)));
    json_object_set_new(out, "memory", memory);
    json_object_set_new(out, "lanes", lanes_json(engine));
    json_object_set_new(out, "stages", stages);
}
