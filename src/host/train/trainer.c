/* The training loop: batches to the engine, intervals to the log, epochs to evaluation and checkpoints, and an
 * orderly end. */
#include "folder.h"
#include "logbook.h"
#include "model.h"
#include "timeline.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct trainer {
    const struct train_request *request;
    struct setup setup;
    struct folder folder;
    struct logbook *book;
    struct rules rules;
    enum rule rule;
    struct progress *progress;
    struct loader *loader;
    struct progress_marks marks;
    int64_t epoch_steps, stage_steps, total_steps, checkpoint_steps;
    double session_start, seconds_before; /* of this session's training; of earlier sessions */
    /* since the last log interval */
    double interval_start, waited;
    int64_t interval_step;
    struct interval interval; /* the last one, for the display */
    struct progress_state shown;
    double *shown_accuracy, *shown_loss;
    struct evaluation val, test;
    int have_val, have_test, stop_early;
    int64_t resident_before;
    struct safetensors start_from; /* --init-from */
    struct trace *trace;           /* --trace; NULL: none */
    struct track *track;           /* of steps, evaluations, checkpoints */
    struct arena arena;
};

static double trained_seconds(const struct trainer *t)
{
    return t->seconds_before + clock_seconds() - t->session_start;
}

static int signalled(const struct trainer *t)
{
    return t->request->console.signal ? *t->request->console.signal : 0;
}

static int out_of_time(const struct trainer *t)
{
    double limit = t->setup.run.time_limit;
    return limit > 0 && clock_seconds() - t->session_start > limit;
}

/* ---- start ---- */

static hff_status read_start(struct trainer *t)
{
    char *path;
    TRY(model_find(t->request->init_from, &path));
    hff_status status = safetensors_open(&t->start_from, path);
    free(path);
    return status;
}

static hff_status load_start(struct trainer *t)
{
    struct setup *setup = &t->setup;
    TRY(engine_init(setup->engine, setup->run.seed));
    if (!t->request->init_from) return HFF_OK;
    int taken, total;
    TRY(tensors_read_matching(setup->engine, &t->start_from, t->request->init_from, &taken, &total));
    safetensors_free(&t->start_from);
    if (taken == 0)
        return fail(HFF_E_DATA, "%s: none of its tensors has the name and shape of one of this net's",
                    t->request->init_from);
    log_info("%d of %d tensors start from %s", taken, total, t->request->init_from);
    return HFF_OK;
}

static hff_status resume(struct trainer *t)
{
    char *newest;
    int64_t step;
    TRY(folder_check_config(&t->folder, &t->setup));
    TRY(checkpoint_newest(&t->arena, t->folder.path, &newest, &step));
    if (!newest) {
        log_info("%s has no checkpoint yet: from the start", t->folder.path);
        return HFF_OK;
    }
    TRY(checkpoint_read(&t->setup, &t->rules, newest, &t->marks));
    t->seconds_before = t->marks.seconds;
    if (t->marks.step > t->total_steps)
        return fail(HFF_E_CONFIG, "%s stands at step %lld already, and run.epochs %g is %lld steps; choose more epochs",
                    newest, (long long)t->marks.step, t->setup.run.epochs, (long long)t->total_steps);
    double until = t->setup.run.until_accuracy;
    if (until > 0 && t->marks.reached >= until) t->stop_early = 1; /* it was done, but for the last files */
    log_info("going on from %s", newest);
    return checkpoint_prune(&t->setup, t->folder.path, &t->marks);
}

static hff_status save(struct trainer *t)
{
    double begin = trace_begin(t->track);
    t->marks.seconds = trained_seconds(t);
    rules_use(&t->rules, t->setup.engine->evaluated);
    TRY(logbook_bytes(t->book, &t->marks.log_bytes));
    TRY(checkpoint_write(&t->setup, &t->rules, t->folder.path, &t->marks));
    trace_end(t->track, "checkpoint", "step", t->marks.step, begin);
    return HFF_OK;
}

/* Messages go above the display. */
static void clear_display(void *progress)
{
    progress_clear(progress);
}

static hff_status start(struct trainer *t)
{
    struct setup *setup = &t->setup;
    const struct run_options *run = &setup->run;
    t->epoch_steps = setup_epoch_steps(setup);
    t->stage_steps = setup_stage_steps(setup);
    t->total_steps = setup_total_steps(setup);
    t->checkpoint_steps = llround(run->checkpoint_every * (double)t->epoch_steps);
    if (run->checkpoint_every > 0 && t->checkpoint_steps < 1) t->checkpoint_steps = 1;
    t->marks = (struct progress_marks){.best_accuracy = -1, .best_step = -1};
    t->session_start = clock_seconds();
    memory_reset_peak();
    t->resident_before = memory_resident();
    t->track = trace_track(t->trace, "run", "training");
    engine_trace(setup->engine, t->trace);
    TRY(engine_bind(setup->engine));
    TRY(load_start(t));
    if (t->request->resume) TRY(resume(t));
    TRY(logbook_open(&t->book, t->folder.path, t->marks.log_bytes));
    /* A resume must not need the other model: its checkpoint comes before the config.yaml that allows a resume. */
    if (t->request->init_from) TRY(save(t));
    TRY(folder_describe(&t->folder, setup, t->request));
    int stages = setup->engine->stages;
    t->interval.metrics = ARENA_NEW(&t->arena, struct stage_metrics, stages);
    t->interval.angle = ARENA_NEW(&t->arena, double, stages);
    t->interval.lr = ARENA_NEW(&t->arena, double, stages);
    t->interval.phase = arena_alloc(&t->arena, sizeof *t->interval.phase * (size_t)stages);
    t->interval.run = setup->engine->stage;
    t->shown_accuracy = ARENA_NEW(&t->arena, double, stages);
    t->shown_loss = ARENA_NEW(&t->arena, double, stages);
    for (int i = 0; setup->engine->sequential && i < stages; i++) t->shown_accuracy[i] = NAN; /* not seen yet */
    t->shown = (struct progress_state){.accuracy = t->shown_accuracy, .loss = t->shown_loss};
    t->progress = progress_open(stderr, t->request->console.color, t->request->console.quiet);
    log_set_hook(clear_display, t->progress);
    struct loader_options options = setup_training_loader(setup);
    options.trace = t->trace;
    return loader_open(&t->loader, &options, t->marks.step / t->epoch_steps, t->marks.step % t->epoch_steps);
}

/* ---- intervals ---- */

static void begin_interval(struct trainer *t)
{
    t->interval_start = clock_seconds();
    t->interval_step = t->marks.step;
    t->waited = 0;
    for (int i = 0; i < t->setup.engine->stages; i++)
        memset(t->setup.engine->stage[i].seconds, 0, sizeof t->setup.engine->stage[i].seconds);
}

/* The first stage that the last step trained. */
static int learning(const struct trainer *t)
{
    return t->setup.engine->sequential ? t->setup.engine->evaluated - 1 : 0;
}

static void update_shown(struct trainer *t)
{
    double elapsed = clock_seconds() - t->interval_start;
    int64_t steps = t->marks.step - t->interval_step;
    struct progress_state *s = &t->shown;
    s->step = t->marks.step;
    s->steps = t->total_steps;
    s->epoch = (double)t->marks.step / (double)t->epoch_steps;
    s->epochs = (double)t->total_steps / (double)t->epoch_steps;
    if (steps > 0 && elapsed > 0) {
        s->images_per_s = (double)(steps * t->setup.run.batch) / elapsed;
        s->data_wait = t->waited / elapsed;
        s->seconds_left = elapsed / (double)steps * (double)(t->total_steps - t->marks.step);
    }
    s->stages = t->setup.engine->evaluated;
    const struct stage_run *run = &t->setup.engine->stage[learning(t)];
    s->lr = schedule_rate(&run->schedule, run->step > 0 ? run->step : 1);
}

/* What a stage's prototype angle may take of every interval, some 10 ms; more at the end of an epoch only. */
static const double angle_work = 1 << 26;

static hff_status end_interval(struct trainer *t)
{
    int64_t steps = t->marks.step - t->interval_step;
    if (steps == 0) return HFF_OK;
    double begin = trace_begin(t->track);
    update_shown(t);
    struct interval *interval = &t->interval;
    interval->step = t->marks.step;
    interval->epoch = t->shown.epoch;
    interval->seconds = trained_seconds(t);
    interval->images_per_s = t->shown.images_per_s;
    interval->data_wait = t->shown.data_wait;
    interval->first = learning(t);
    interval->stages = t->setup.engine->evaluated;
    for (int i = interval->first; i < interval->stages; i++) {
        struct stage_run *run = &t->setup.engine->stage[i];
        TRY(engine_metrics(t->setup.engine, i, 0, 1, &interval->metrics[i]));
        interval->angle[i] = -1;
        if (engine_prototype_angle_work(t->setup.engine, i) <= angle_work || t->marks.step % t->epoch_steps == 0)
            TRY(engine_prototype_angle(t->setup.engine, i, &interval->angle[i]));
        interval->lr[i] = schedule_rate(&run->schedule, run->step);
        for (int s = 0; s < SECTIONS; s++) interval->phase[i][s] = run->seconds[s] / (double)steps;
        t->shown_accuracy[i] = interval->metrics[i].accuracy;
        t->shown_loss[i] = interval->metrics[i].loss;
    }
    for (int i = 0; i < interval->first; i++)
        interval->phase[interval->first][SECTION_FROZEN] +=
            t->setup.engine->stage[i].seconds[SECTION_FROZEN] / (double)steps;
    TRY(logbook_train(t->book, interval));
    progress_interval(t->progress, &t->shown);
    trace_end(t->track, "log", "step", t->marks.step, begin);
    begin_interval(t);
    return HFF_OK;
}

/* ---- evaluation and checkpoints ---- */

static hff_status evaluate_split(struct trainer *t, enum split split, struct evaluation *out, int *have)
{
    struct setup *setup = &t->setup;
    if (*have) evaluation_free(out);
    *have = 0;
    int workers = (int)config_int(config_root(setup->config), "data.workers");
    double begin = trace_begin(t->track);
    rules_use(&t->rules, setup->engine->evaluated);
    TRY(evaluate(setup->engine, setup->data, split, workers, &t->rules, t->rule,
                 split == SPLIT_VAL ? KEEP_SCORES : KEEP_NOTHING, NULL, out));
    *have = 1;
    if (split == SPLIT_VAL) TRY(rules_fit(&t->rules, out));
    trace_end(t->track, "evaluation", "samples", out->samples, begin);
    return HFF_OK;
}

/* The end of an epoch: the hold-out where there is one, else the test set (which then steers nothing but run.until). */
static hff_status end_epoch(struct trainer *t)
{
    int has_val = t->setup.data->split[SPLIT_VAL].count > 0;
    struct evaluation *e = has_val ? &t->val : &t->test;
    TRY(evaluate_split(t, has_val ? SPLIT_VAL : SPLIT_TEST, e, has_val ? &t->have_val : &t->have_test));
    double epoch = (double)t->marks.step / (double)t->epoch_steps;
    TRY(logbook_evaluation(t->book, "epoch", has_val ? "val" : "test", t->marks.step, epoch, trained_seconds(t), e,
                           &t->rules, t->rule));
    log_info("epoch %-5.4g %s accuracy %.2f %%, loss %.4f, after %.0f s", epoch, has_val ? "hold-out" : "test",
             100 * e->accuracy[t->rule], e->loss[t->rule], trained_seconds(t));
    if (has_val && e->accuracy[t->rule] > t->marks.best_accuracy) {
        t->marks.best_accuracy = e->accuracy[t->rule];
        t->marks.best_step = t->marks.step;
    }
    double until = t->setup.run.until_accuracy;
    t->marks.reached = e->accuracy[t->rule];
    if (until > 0 && t->marks.reached >= until) t->stop_early = 1;
    begin_interval(t);
    return HFF_OK;
}

/* ---- the loop ---- */

static hff_status one_step(struct trainer *t)
{
    const struct batch *batch;
    const struct engine *engine = t->setup.engine;
    if (engine->sequential && t->marks.step % t->stage_steps == 0)
        log_info("stage %lld of %d learns", (long long)(t->marks.step / t->stage_steps) + 1, engine->stages);
    double begin = trace_begin(t->track);
    TRY(loader_next(t->loader, &batch));
    trace_end(t->track, "wait for data", NULL, 0, begin);
    t->waited += batch->waited;
    TRY(engine_step(t->setup.engine, batch));
    t->marks.step++;
    trace_end(t->track, "step", "step", t->marks.step, begin);
    update_shown(t);
    progress_live(t->progress, &t->shown);
    int end = t->marks.step == t->total_steps,
        end_of_epoch =
            t->marks.step % t->epoch_steps == 0 || (engine->sequential && t->marks.step % t->stage_steps == 0);
    if (t->marks.step % t->setup.run.log_every == 0 || end_of_epoch || end) TRY(end_interval(t));
    if (end_of_epoch || end) TRY(end_epoch(t));
    int due = t->checkpoint_steps > 0 && t->marks.step % t->checkpoint_steps == 0;
    int best = t->setup.run.final_best && t->marks.best_step == t->marks.step;
    if (due || best || end || t->stop_early) TRY(save(t));
    return HFF_OK;
}

/* HFF_OK: trained to the end. */
static hff_status loop(struct trainer *t)
{
    t->session_start = clock_seconds();
    begin_interval(t);
    while (t->marks.step < t->total_steps && !t->stop_early) {
        TRY(one_step(t));
        int number = signalled(t);
        if (!number && !out_of_time(t)) continue;
        if (t->marks.step == t->total_steps || t->stop_early) break;
        TRY(save(t));
        if (!number)
            return fail(HFF_E_INTERRUPTED,
                        "stopped after %g s as run.time_limit says, saved at step %lld; go on with --resume",
                        t->setup.run.time_limit, (long long)t->marks.step);
        return fail(number == SIGTERM ? HFF_E_TERMINATED : HFF_E_INTERRUPTED,
                    "stopped and saved at step %lld of %lld; go on with --resume", (long long)t->marks.step,
                    (long long)t->total_steps);
    }
    return HFF_OK;
}

/* ---- the end ---- */

/* run.final best: the parameters of the best checkpoint. */
static hff_status take_best(struct trainer *t, int64_t *model_step)
{
    *model_step = t->marks.step;
    if (!t->setup.run.final_best || t->marks.best_step == t->marks.step || t->marks.best_step < 0) return HFF_OK;
    struct progress_marks ignored = t->marks;
    char *folder = arena_printf(&t->arena, "%s/checkpoints/step-%lld", t->folder.path, (long long)t->marks.best_step);
    TRY(checkpoint_read(&t->setup, &t->rules, folder, &ignored));
    *model_step = t->marks.best_step;
    return HFF_OK;
}

static hff_status finish(struct trainer *t, FILE *out)
{
    int64_t model_step;
    double seconds = trained_seconds(t);
    loader_close(t->loader); /* its batches make room for the figures */
    t->loader = NULL;
    TRY(take_best(t, &model_step));
    if (t->setup.data->split[SPLIT_VAL].count > 0 && (!t->have_val || model_step != t->marks.step))
        TRY(evaluate_split(t, SPLIT_VAL, &t->val, &t->have_val));
    if (!t->have_test || model_step != t->marks.step) TRY(evaluate_split(t, SPLIT_TEST, &t->test, &t->have_test));
    TRY(logbook_evaluation(t->book, "eval", "test", t->marks.step, (double)t->marks.step / (double)t->epoch_steps,
                           seconds, &t->test, &t->rules, t->rule));
    TRY(model_write(&t->setup, &t->rules, file_join(&t->arena, t->folder.path, "model.safetensors")));
    struct outcome outcome = {.val = t->have_val ? &t->val : NULL,
                              .test = &t->test,
                              .rules = &t->rules,
                              .rule = t->rule,
                              .step = t->marks.step,
                              .model_step = model_step,
                              .epochs = (double)t->marks.step / (double)t->epoch_steps,
                              .seconds = seconds,
                              .resident_before = t->resident_before};
    TRY(folder_result(&t->folder, &t->setup, &outcome));
    double begin = trace_begin(t->track);
    char *figures = file_join(&t->arena, t->folder.path, "figures");
    TRY(file_make_folders(figures));
    TRY(logbook_figures(t->book, figures));
    TRY(folder_figures(&t->folder, &t->setup, &t->test));
    trace_end(t->track, "figures", NULL, 0, begin);
    progress_clear(t->progress);
    if (!t->request->console.quiet) folder_summary(&t->folder, &t->setup, &outcome, out, &t->request->console);
    return HFF_OK;
}

static void close_trainer(struct trainer *t)
{
    loader_close(t->loader);
    log_set_hook(NULL, NULL);
    progress_close(t->progress);
    logbook_close(t->book);
    evaluation_free(&t->val);
    evaluation_free(&t->test);
    safetensors_free(&t->start_from);
    rules_close(&t->rules);
    folder_release(&t->folder);
    setup_close(&t->setup);
    trace_close(t->trace);
    arena_free(&t->arena);
}

static hff_status open_setup(struct setup *setup, const struct train_request *request)
{
    if (request->resume) TRY(folder_read_plans(setup, request));
    setup->looks_only = request->dry_run;
    TRY(setup_open(setup, 1));
    if (request->resume && !setup->plans && setup->backend->api->tune &&
        config_bool(config_root(setup->config), "engine.autotune"))
        log_warn("the run has no plans.json; plans are chosen anew, so results may differ from that run's in their "
                 "rounding");
    return HFF_OK;
}

static hff_status run(struct trainer *t, FILE *out)
{
    const struct train_request *request = t->request;
    struct setup *setup = &t->setup;
    TRY(config_load(&setup->config, config_tables, request->config_path, request->sets, request->set_count));
    TRY(setup_options(setup));
    TRY(open_setup(setup, request));
    TRY(rules_from_config(&t->rules, &t->rule, setup->config, setup->engine));
    if (request->dry_run) {
        fprintf(out, "%s, %lld training samples, %lld steps of %d in %g epochs%s, backend %s (%s)\n\n",
                setup->data->name, (long long)setup->data->split[SPLIT_TRAIN].count,
                (long long)setup_total_steps(setup), setup->run.batch, setup->run.epochs,
                setup->engine->sequential ? " of each stage" : "", setup->backend->api->name,
                setup->backend->api->describe(setup->backend));
        plan_print(setup, out, &request->console);
        if (setup_fits(setup) != HFF_OK) log_warn("%s", hff_error_message());
        return HFF_OK;
    }
    if (setup_total_steps(setup) < 1)
        return config_fail(config_at(config_root(setup->config), "run.epochs"), "run.epochs is %g: less than one step",
                           setup->run.epochs);
    TRY(setup_fits(setup)); /* these two before anything is touched */
    if (request->init_from) TRY(read_start(t));
    if (request->trace) TRY(timeline_open(&t->trace, request->trace));
    TRY(folder_take(&t->folder, setup, request));
    TRY(start(t));
    log_info("%s: %lld training samples, %lld steps of %d, backend %s (%s)", setup->data->name,
             (long long)setup->data->split[SPLIT_TRAIN].count, (long long)t->total_steps, setup->run.batch,
             setup->backend->api->name, setup->backend->api->describe(setup->backend));
    TRY(loop(t));
    return finish(t, out);
}

hff_status train_run(const struct train_request *request, FILE *out)
{
    struct trainer trainer = {.request = request, .folder = {.lock = -1}};
    hff_status status = run(&trainer, out);
    progress_clear(trainer.progress);
    if (trainer.track) { /* it was training; the loader's threads record too, so they end first */
        loader_close(trainer.loader);
        trainer.loader = NULL;
        status = timeline_end(trainer.trace, request->trace, status);
    }
    close_trainer(&trainer);
    return status;
}
