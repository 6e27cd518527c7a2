/* hff bench train, ops and data. */
#include "bench.h"
#include "bench_rows.h"
#include "evaluate.h"
#include "setup.h"

#include "base/clock.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { REPLAYED = 50 };

/* One open config with its engine bound and its first training batch copied out of the loader. */
struct bench {
    const struct bench_request *request;
    struct setup setup;
    struct loader *loader;
    const struct batch *batch; /* the loader's; valid while no other is asked for */
    json_t *report, *rows;
    struct arena arena;
};

static hff_status bench_open(struct bench *bench, const struct bench_request *request)
{
    struct setup *setup = &bench->setup;
    bench->request = request;
    setup->classes = request->heads;
    TRY(config_load(&setup->config, config_tables, request->config_path, request->sets, request->set_count));
    TRY(setup_options(setup));
    TRY(setup_open(setup, 1));
    TRY(bench_joint(setup));
    TRY(setup_fits(setup));
    TRY(engine_bind(setup->engine));
    TRY(engine_init(setup->engine, setup->run.seed));
    struct loader_options options = setup_training_loader(setup);
    options.workers = 1;
    TRY(loader_open(&bench->loader, &options, 0, 0));
    TRY(loader_next(bench->loader, &bench->batch));
    bench->report = json_object();
    bench->rows = json_array();
    json_object_set_new(bench->report, "config", json_string(request->config_path));
    json_object_set_new(bench->report, "backend", json_string(setup->backend->api->name));
    json_object_set_new(bench->report, "device", json_string(setup->backend->api->describe(setup->backend)));
    json_object_set_new(bench->report, "batch", json_integer(setup->run.batch));
    json_object_set_new(bench->report, "micro_batch", json_integer(setup->engine->micro));
    json_object_set_new(bench->report, "slices", json_integer(setup->run.slices));
    json_object_set(bench->report, "rows", bench->rows);
    return HFF_OK;
}

static void bench_close(struct bench *bench)
{
    loader_close(bench->loader);
    setup_close(&bench->setup);
    json_decref(bench->rows);
    json_decref(bench->report);
    arena_free(&bench->arena);
}

static void print_report(const struct bench *bench, FILE *out)
{
    char *text = json_text(bench->report, 2);
    fprintf(out, "%s\n", text ? text : "{}");
    free(text);
}

static void print_head(const struct bench *bench, const char *what, FILE *out)
{
    const struct setup *setup = &bench->setup;
    fprintf(out, "%s: batch %d, %d slices, backend %s (%s)\n\n", what, setup->run.batch, setup->run.slices,
            setup->backend->api->name, setup->backend->api->describe(setup->backend));
}

/* Between any two measurements. */
static hff_status stopped(const struct bench *bench)
{
    return stop_asked(bench->request->console.signal, "a measurement");
}

/* ---- train ---- */

static hff_status steps_in_a_row(struct bench *bench, int count, double *seconds)
{
    double start = clock_seconds();
    for (int i = 0; i < count; i++) {
        TRY(engine_step(bench->setup.engine, bench->batch));
        TRY(stopped(bench));
    }
    TRY(engine_drain(bench->setup.engine));
    *seconds = clock_seconds() - start;
    return HFF_OK;
}

/* Where steps are in flight, each gets the mean of all, the time in which lanes fill and empty included; before them a
 * device has worked for half a second, so that its clocks are up. */
static hff_status time_steps(struct bench *bench, int runs, double *seconds)
{
    struct engine *engine = bench->setup.engine;
    double all = 0, row;
    do {
        TRY(steps_in_a_row(bench, engine_warm_up(engine), &row));
        all += row;
    } while (engine->pipeline && all < 0.5);
    clear_phases(engine);
    if (engine->pipeline) TRY(steps_in_a_row(bench, runs, &all));
    for (int i = 0; i < runs; i++) {
        if (engine->pipeline)
            seconds[i] = all / runs;
        else
            TRY(steps_in_a_row(bench, 1, &seconds[i]));
    }
    return HFF_OK;
}

static hff_status run_train(struct bench *bench, const struct bench_request *request, FILE *out)
{
    const struct engine *engine = bench->setup.engine;
    int runs = request->runs ? request->runs : 20;
    double *seconds = ARENA_NEW(&bench->arena, double, runs), sum[SECTIONS] = {0};
    TRY(time_steps(bench, runs, seconds));
    struct spread s = spread_of(seconds, runs);
    json_t *row = json_object();
    put_spread(row, "step_ms", s);
    json_object_set_new(row, "images_per_s", json_number(engine->batch / s.median));
    put_phases(row, engine, runs, sum);
    double flops = engine_flops(engine, 1) * engine->batch;
    json_object_set_new(row, "gflops", json_number(flops / s.median * 1e-9));
    put_plan(row, &bench->setup);
    json_object_set_new(row, "peak_resident_bytes", json_integer(memory_peak()));
    json_array_append_new(bench->rows, row);
    if (request->json) return HFF_OK;
    print_head(bench, "training step", out);
    fprintf(out, "  %.2f ms a step (%.2f to %.2f in %d runs), %.0f images/s, %.1f GFLOP/s\n", 1e3 * s.median,
            1e3 * s.min, 1e3 * s.max, runs, engine->batch / s.median, flops / s.median * 1e-9);
    enum section phases[PHASES + 1];
    step_phases(engine, phases);
    for (const enum section *k = phases; *k != SECTIONS && sum[SECTION_UPDATE] > 0; k++)
        fprintf(out, "  %-9s %8.2f ms\n", section_name(*k), sum[*k]);
    fprintf(out, "  heads     %8.1f %% of %.1f MFLOP for each image\n", 100 * head_flops_share(engine),
            engine_flops(engine, 1) * 1e-6);
    fprintf(out, "  memory    %8.1f MB planned (%.1f activations), %.1f MB peak resident\n",
            (double)setup_planned_bytes(&bench->setup) * 1e-6, (double)activation_bytes(engine) * 1e-6,
            (double)memory_peak() * 1e-6);
    return HFF_OK;
}

/* ---- ops ---- */

/* One instruction's row. */
struct op_time {
    int stage;
    enum section section;
    const struct instr *instr;
    struct spread time;
};

static hff_status run_instr(const struct bench *bench, const struct program *program, const struct instr *instr,
                            int times)
{
    const struct engine *engine = bench->setup.engine;
    for (int i = 0; i < times; i++)
        TRY(engine->backend->api->op_run(instr->op, engine->stream, instr->address, program->base[ARENA_WORK]));
    return HFF_OK;
}

/* Some runs as one replay: to wait for a device takes as long as many an op. */
static hff_status capture_instr(const struct bench *bench, const struct program *program, const struct instr *instr,
                                struct capture **out)
{
    const struct engine *engine = bench->setup.engine;
    TRY(engine->backend->api->capture_begin(engine->stream));
    hff_status status = run_instr(bench, program, instr, REPLAYED), ended;
    struct trail trail;
    trail_take(&trail); /* what went wrong first stands */
    ended = engine->backend->api->capture_end(engine->stream, out);
    if (status == HFF_OK) return ended;
    trail_give(&trail);
    return status;
}

static hff_status time_instr(struct bench *bench, const struct program *program, const struct instr *instr, int runs,
                             double *seconds, struct spread *out)
{
    const struct engine *engine = bench->setup.engine;
    const struct backend_api *api = engine->backend->api;
    struct capture *capture = NULL;
    TRY(run_instr(bench, program, instr, 1)); /* what is done when first used must not be captured */
    TRY(api->stream_wait(engine->stream));
    if (api->capture_begin) TRY(capture_instr(bench, program, instr, &capture));
    hff_status status = HFF_OK;
    for (int i = -1; i < runs; i++) {
        double start = clock_seconds();
        TRY_GOTO(status, capture ? api->replay(capture, engine->stream) : run_instr(bench, program, instr, 1), end);
        TRY_GOTO(status, api->stream_wait(engine->stream), end);
        if (i >= 0) seconds[i] = (clock_seconds() - start) / (capture ? REPLAYED : 1);
        TRY_GOTO(status, stopped(bench), end);
    }
    *out = spread_of(seconds, runs);
end:
    if (capture) api->capture_destroy(capture);
    return status;
}

static hff_status time_ops(struct bench *bench, int runs, struct op_time *times, int *count)
{
    double *seconds = ARENA_NEW(&bench->arena, double, runs);
    struct engine *engine = bench->setup.engine;
    *count = 0;
    double all;
    TRY(steps_in_a_row(bench, engine_warm_up(engine), &all)); /* real numbers everywhere */
    for (int i = 0; i < engine->stages; i++)
        for (int s = SECTION_FORWARD; s <= SECTION_PACK; s++)
            for (int k = 0; k < engine->stage[i].program->count[s]; k++) {
                const struct instr *instr = &engine->stage[i].program->section[s][k];
                struct op_time *t = &times[(*count)++];
                *t = (struct op_time){.stage = i + 1, .section = (enum section)s, .instr = instr};
                TRY(time_instr(bench, engine->stage[i].program, instr, runs, seconds, &t->time));
            }
    return HFF_OK;
}

static hff_status run_ops(struct bench *bench, const struct bench_request *request, FILE *out)
{
    enum { COLUMNS = 8 };
    struct engine *engine = bench->setup.engine;
    int runs = request->runs ? request->runs : 7, count = 0, room = 0;
    for (int i = 0; i < engine->stages; i++)
        for (int s = SECTION_FORWARD; s <= SECTION_PACK; s++) room += engine->stage[i].program->count[s];
    struct op_time *times = ARENA_NEW(&bench->arena, struct op_time, room);
    TRY(time_ops(bench, runs, times, &count));
    double total = 0;
    for (int i = 0; i < count; i++) total += times[i].time.median;
    const char **cells = ARENA_NEW(&bench->arena, const char *, (count + 1) * COLUMNS);
    memcpy(cells, (const char *[]){"stage", "section", "op", "result", "ms", "%", "GFLOP/s", "GB/s"},
           COLUMNS * sizeof *cells);
    for (int i = 0; i < count; i++) {
        const struct op_time *t = &times[i];
        const struct op_desc *desc = &t->instr->op->desc;
        const struct op_info *info = &op_table[desc->kind];
        char shape[96] = "";
        int result = 0;
        while (result < info->args - 1 && !(info->arg[result].access & ARG_OUT)) result++;
        tensor_text(&desc->arg[result], shape, sizeof shape);
        double gflops = op_flops(desc) / t->time.median * 1e-9, gbytes = op_bytes(desc) / t->time.median * 1e-9;
        json_t *row = json_object();
        json_object_set_new(row, "stage", json_integer(t->stage));
        json_object_set_new(row, "section", json_string(section_name(t->section)));
        json_object_set_new(row, "op", json_string(info->name));
        json_object_set_new(row, "result", json_string(shape));
        put_spread(row, "ms", t->time);
        json_object_set_new(row, "share", json_number(t->time.median / total));
        json_object_set_new(row, "gflops", json_number(gflops));
        json_object_set_new(row, "gbytes_per_s", json_number(gbytes));
        json_array_append_new(bench->rows, row);
        const char **c = cells + (i + 1) * COLUMNS;
        c[0] = arena_printf(&bench->arena, "%d", t->stage);
        c[1] = section_name(t->section);
        c[2] = info->name;
        c[3] = arena_text(&bench->arena, shape);
        c[4] = arena_printf(&bench->arena, "%.3f", 1e3 * t->time.median);
        c[5] = arena_printf(&bench->arena, "%.1f", 100 * t->time.median / total);
        c[6] = arena_printf(&bench->arena, "%.1f", gflops);
        c[7] = arena_printf(&bench->arena, "%.1f", gbytes);
    }
    json_object_set_new(bench->report, "sum_ms", json_number(1e3 * total));
    if (request->json) return HFF_OK;
    print_head(bench, "ops of a training step", out);
    table_print(out, cells, count + 1, COLUMNS, terminal_width(out), terminal_color(out, request->console.color));
    fprintf(out,
            "\n%.2f ms in all ops; each the median of %d runs in a row, so its data is as warm as the caches allow\n",
            1e3 * total, runs);
    return HFF_OK;
}

/* ---- data ---- */

static hff_status time_loader(struct bench *bench, int workers, int batches, double *images_per_s)
{
    const struct setup *setup = &bench->setup;
    struct loader_options options = setup_training_loader(setup);
    options.workers = workers;
    struct loader *loader;
    const struct batch *batch;
    TRY(loader_open(&loader, &options, 0, 0));
    hff_status status = HFF_OK;
    for (int i = 0; i < 20 && status == HFF_OK; i++) status = loader_next(loader, &batch);
    double start = clock_seconds();
    for (int i = 0; i < batches && status == HFF_OK; i++) {
        status = loader_next(loader, &batch);
        if (status == HFF_OK) status = stopped(bench);
    }
    *images_per_s = (double)batches * setup->run.batch / (clock_seconds() - start);
    loader_close(loader);
    return status;
}

/* Bringing a batch to stage 1, with the host's copies: beside step seconds. */
static hff_status time_feed(struct bench *bench, int times, double step, FILE *out)
{
    const struct engine *engine = bench->setup.engine;
    TRY(engine_feed(bench->setup.engine, bench->batch, 3));
    double start = clock_seconds();
    TRY(engine_feed(bench->setup.engine, bench->batch, times));
    double each = (clock_seconds() - start) / times;
    json_t *row = json_object();
    json_object_set_new(row, "made_on", json_string(engine->resident.op ? "device" : "host"));
    json_object_set_new(row, "ms", json_number(1e3 * each));
    json_object_set_new(row, "share_of_step", json_number(each / step));
    json_object_set_new(row, "runs", json_integer(times));
    json_object_set_new(bench->report, "feed", row);
    if (!out) return HFF_OK;
    fprintf(out, "  a batch, %s: %.3f ms, %.2f %% of a step's time%s\n",
            engine->resident.op ? "made on the device" : "made by the host and copied", 1e3 * each, 100 * each / step,
            engine->pipeline ? ", beside which it runs" : "");
    return HFF_OK;
}

static hff_status run_data(struct bench *bench, const struct bench_request *request, FILE *out)
{
    enum { STEPS_MOST = 60 };
    int batches = request->runs ? request->runs : 200, steps = bench->setup.engine->pipeline ? STEPS_MOST : 9;
    double seconds[STEPS_MOST];
    TRY(time_steps(bench, steps, seconds));
    double step = spread_of(seconds, steps).median, train = bench->setup.run.batch / step;
    if (!request->json) {
        print_head(bench, "data path", out);
        fprintf(out, "  training takes %.0f images/s\n", train);
    }
    TRY(time_feed(bench, batches, step, request->json ? NULL : out));
    for (int workers = 1; workers <= 4; workers *= 2) {
        double rate;
        TRY(time_loader(bench, workers, batches, &rate));
        /* the share of all compute threads' time that the loader's work would take from them */
        double share = train / (rate / workers) / bench->setup.backend->threads;
        json_t *row = json_object();
        json_object_set_new(row, "workers", json_integer(workers));
        json_object_set_new(row, "images_per_s", json_number(rate));
        json_object_set_new(row, "share_of_step", json_number(share));
        json_object_set_new(row, "runs", json_integer(batches));
        json_array_append_new(bench->rows, row);
        if (!request->json)
            fprintf(out,
                    "  %d loader thread%s %9.0f images/s; its work is %.2f %% of a training step's processor time\n",
                    workers, workers == 1 ? ": " : "s:", rate, 100 * share);
    }
    return HFF_OK;
}

static hff_status run(hff_status (*kind)(struct bench *, const struct bench_request *, FILE *),
                      const struct bench_request *request, FILE *out)
{
    struct bench bench = {0};
    hff_status status = bench_open(&bench, request);
    if (status == HFF_OK) status = kind(&bench, request, out);
    if (status == HFF_OK && request->json) print_report(&bench, out);
    bench_close(&bench);
    return status;
}

hff_status bench_train(const struct bench_request *request, FILE *out)
{
    return run(run_train, request, out);
}

hff_status bench_ops(const struct bench_request *request, FILE *out)
{
    return run(run_ops, request, out);
}

hff_status bench_data(const struct bench_request *request, FILE *out)
{
    return run(run_data, request, out);
}
