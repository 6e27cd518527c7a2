/* Training steps and evaluation, stage after stage. */
#include "private.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>

/* What all stages read at the same place of their batch. */
static hff_status put(struct engine *engine, int value, const void *data, size_t bytes)
{
    return engine->backend->api->copy_in(engine->stream, program_address(engine->stage[0].program, value), data, bytes);
}

/* A part of the batch into stage 1's input and into the labels that all stages read (they lie at the same place in
 * every program). */
static hff_status put_batch(struct engine *engine, const struct batch *batch, int part)
{
    const struct stage_run *first = &engine->stage[0];
    size_t micro = (size_t)engine->micro, from = (size_t)part * micro;
    size_t count = micro * (size_t)engine->sample, labels = micro * sizeof(int32_t);
    const float *images = batch->images ? batch->images + from * (size_t)engine->sample : NULL;
    if (!images) {
        TRY(resident_put(engine, batch, part));
    } else if (engine->real == DTYPE_F64) {
        double *wide = engine->host;
        for (size_t i = 0; i < count; i++) wide[i] = images[i];
        TRY(put(engine, first->input, wide, count * sizeof *wide));
    } else {
        TRY(put(engine, first->input, images, count * sizeof(float)));
    }
    TRY(put(engine, first->y1, batch->y1 + from, labels));
    TRY(put(engine, first->y2, batch->y2 + from, labels));
    return put(engine, first->weight, batch->weight + from, micro * sizeof(float));
}

static hff_status put_tick(struct engine *engine, int64_t step, int64_t pass, int part)
{
    int64_t tick[TICKS] = {
        [TICK_STEP] = step, [TICK_PASS] = pass, [TICK_SAMPLE] = (int64_t)part * (int64_t)engine->micro};
    return put(engine, engine->stage[0].tick, tick, sizeof tick);
}

static hff_status run_section(struct engine *engine, int stage, enum section section)
{
    struct stage_run *run = &engine->stage[stage];
    double start = clock_seconds();
    hff_status status = program_run(run->program, section, engine->stream);
    if (status == HFF_OK && run->track && engine->backend->api->asynchronous)
        status = engine->backend->api->stream_wait(engine->stream); /* the timeline shows the work, not its enqueuing */
    double end = clock_seconds();
    run->seconds[section] += end - start;
    trace_span(run->track, section_name(section), section == SECTION_EVAL || section == SECTION_FROZEN ? NULL : "step",
               run->step + 1, start, end);
    return status == HFF_OK ? HFF_OK : trail_add(status, "stage %d, step %lld", stage + 1, (long long)run->step + 1);
}

/* Parameters that were set from outside, as ops want them. */
static hff_status pack(struct engine *engine)
{
    if (!engine->unpacked) return HFF_OK;
    for (int i = 0; i < engine->stages; i++) TRY(program_run(engine->stage[i].program, SECTION_PACK, engine->stream));
    TRY(engine->backend->api->stream_wait(engine->stream));
    engine->unpacked = 0;
    return HFF_OK;
}

/* A part of the batch through a stage, up to its gradients. */
static hff_status learn_stage(struct engine *engine, int stage)
{
    for (int s = SECTION_FORWARD; s <= SECTION_BACKWARD; s++) TRY(run_section(engine, stage, (enum section)s));
    return HFF_OK;
}

/* Where steps are in flight, an op's span would be that of its enqueuing. */
void engine_trace(struct engine *engine, struct trace *trace)
{
    engine->trace = trace;
    for (int i = 0; i < engine->stages; i++) {
        struct stage_run *run = &engine->stage[i];
        char name[96];
        snprintf(name, sizeof name, "stage %d (%s)", i + 1, run->stage->name);
        run->track = trace_track(trace, "stages", name);
        if (!engine->pipeline) run->program->track = run->track;
    }
    if (engine->pipeline) pipeline_trace(engine);
}

/* What a stage receives of a part of the batch: from those before it as they are, or as it was kept. */
static hff_status run_frozen(struct engine *engine, int stage, const struct batch *batch, int part)
{
    int known;
    if (stage == 0) return HFF_OK;
    TRY(cache_get(engine, stage, batch, part, &known));
    if (known) return HFF_OK;
    for (int i = 0; i < stage; i++) TRY(run_section(engine, i, SECTION_FROZEN));
    return cache_keep(engine, stage, batch, part);
}

/* Sums over parts begin with nothing. */
static hff_status clear_gradients(struct engine *engine)
{
    if (engine->parts == 1) return HFF_OK;
    return engine->backend->api->clear(engine->stream, engine->memory[ARENA_GRAD], engine->bytes[ARENA_GRAD]);
}

/* A part of the batch comes in, and all stages that run, the first ones up to end, preview it. */
static hff_status begin_part(struct engine *engine, const struct batch *batch, int part, int64_t step, int end)
{
    TRY(put_batch(engine, batch, part));
    TRY(put_tick(engine, step, 0, part));
    for (int i = 0; i < end; i++)
        if (engine->stage[i].program->count[SECTION_PREVIEW]) TRY(run_section(engine, i, SECTION_PREVIEW));
    return HFF_OK;
}

/* A part of the batch up to what a stage receives. */
static hff_status reach(struct engine *engine, const struct batch *batch, int part, int stage)
{
    int end = engine->sequential ? stage + 1 : engine->stages;
    TRY(begin_part(engine, batch, part, engine_steps(engine) + 1, end));
    if (engine->sequential) return run_frozen(engine, stage, batch, part);
    for (int i = 0; i < stage; i++) TRY(run_section(engine, i, SECTION_FORWARD));
    return HFF_OK;
}

/* The last part of the batch is still where the stage received it. Others come in again, through the stages before it,
 * which have made this step already: near enough to name an op. */
static hff_status name_bad_op(struct engine *engine, const struct batch *batch, int stage)
{
    struct stage_run *run = &engine->stage[stage];
    int64_t step = run->step + 1;
    TRY(clear_gradients(engine));
    for (int part = 0; part < engine->parts; part++) {
        if (engine->parts > 1) TRY(reach(engine, batch, part, stage));
        TRY(bad_op_find(engine, stage, run->program, step, step));
    }
    return bad_op_none(engine, stage, step, step);
}

static hff_status update_stage(struct engine *engine, const struct batch *batch, int stage)
{
    struct stage_run *run = &engine->stage[stage];
    const struct backend_api *api = engine->backend->api;
    double hyper[HYPERS], norm[NORMS];
    schedule_hyper(&run->schedule, run->step + 1, hyper);
    TRY(api->copy_in(engine->stream, program_address(run->program, run->hyper), hyper, sizeof hyper));
    TRY(run_section(engine, stage, SECTION_UPDATE));
    TRY(api->copy_out(engine->stream, norm, program_address(run->program, run->norm), sizeof norm));
    TRY(api->stream_wait(engine->stream));
    if (norm[NORM_LATCH] != 0) return name_bad_op(engine, batch, stage);
    run->step++;
    return HFF_OK;
}

hff_status engine_drain(struct engine *engine)
{
    return engine->pipeline ? pipeline_drain(engine) : HFF_OK;
}

int engine_warm_up(const struct engine *engine)
{
    return engine->pipeline ? 1 + 2 * engine->pipeline->slots : 2; /* op by op; each slot's first replays */
}

hff_status engine_feed(struct engine *engine, const struct batch *batch, int times)
{
    TRY(engine_drain(engine));
    if (engine->pipeline) return feed_alone(engine, batch, times);
    for (int i = 0; i < times; i++)
        for (int part = 0; part < engine->parts; part++) TRY(put_batch(engine, batch, part));
    return engine->backend->api->stream_wait(engine->stream);
}

/* With the last part each stage is updated as soon as its gradients are complete: the next one has what it received. */
hff_status engine_step(struct engine *engine, const struct batch *batch)
{
    TRY(pack(engine));
    if (engine->pipeline) return pipeline_step(engine, batch);
    int first = engine->sequential ? sequence_turn(engine) : 0;
    int end = engine->sequential ? first + 1 : engine->stages;
    int64_t step = engine_steps(engine) + 1;
    TRY(clear_gradients(engine));
    for (int part = 0; part < engine->parts; part++) {
        TRY(begin_part(engine, batch, part, step, end));
        TRY(run_frozen(engine, first, batch, part));
        for (int i = first; i < end; i++) {
            TRY(learn_stage(engine, i));
            if (part == engine->parts - 1) TRY(update_stage(engine, batch, i));
        }
    }
    engine->evaluated = end;
    return HFF_OK;
}

/* count numbers of the engine's real type, as floats. */
static hff_status get_floats(struct engine *engine, const struct stage_run *run, int value, size_t count, float *out)
{
    void *target = engine->real == DTYPE_F64 ? engine->host : out;
    TRY(engine->backend->api->copy_out(engine->stream, target, program_address(run->program, value),
                                       count * dtype_bytes(engine->real)));
    if (engine->real != DTYPE_F64) return HFF_OK;
    TRY(engine->backend->api->stream_wait(engine->stream));
    for (size_t k = 0; k < count; k++) out[k] = (float)((double *)engine->host)[k];
    return HFF_OK;
}

/* The embedding lies in memory that other values use too, but it lives until the last op of its program has run. */
static hff_status get_features(struct engine *engine, int stage, float *out)
{
    const struct stage_run *run = &engine->stage[stage];
    if (run->features_eval < 0)
        return fail(HFF_E_CONFIG, "stage %d: objective %s has no embedding to give out", stage + 1,
                    run->objective->name);
    const struct program *program = run->program;
    const struct slot *slot = &program->slot[run->features_eval];
    int last = -1;
    for (int s = 0; s < SECTIONS; s++) last += program->count[s];
    if (slot->last != last || slot->tensor.layout != LAYOUT_PLAIN || slot->tensor.dtype != engine->real)
        return fail(HFF_E_INTERNAL, "stage %d: the embedding does not outlive the section eval", stage + 1);
    return get_floats(engine, run, run->features_eval, (size_t)(engine->micro * run->embedding), out);
}

static hff_status evaluate_part(struct engine *engine, const struct batch *batch, int part, float *scores,
                                float *const *features)
{
    size_t classes = (size_t)engine->classes, rows = (size_t)engine->micro, from = (size_t)part * rows;
    TRY(put_batch(engine, batch, part));
    int64_t passes = engine->stage[0].passes;
    for (int64_t pass = 0; pass < passes; pass++) {
        TRY(put_tick(engine, 0, pass, part));
        for (int i = 0; i < engine->evaluated; i++) {
            TRY(run_section(engine, i, SECTION_EVAL));
            if (features && pass == passes - 1)
                TRY(get_features(engine, i, features[i] + from * (size_t)engine->stage[i].embedding));
        }
    }
    for (int i = 0; scores && i < engine->evaluated; i++)
        TRY(get_floats(engine, &engine->stage[i], engine->stage[i].scores_eval, rows * classes,
                       scores + ((size_t)i * (size_t)engine->batch + from) * classes));
    return engine->backend->api->stream_wait(engine->stream);
}

hff_status engine_evaluate_features(struct engine *engine, const struct batch *batch, float *scores,
                                    float *const *features)
{
    TRY(engine_drain(engine));
    TRY(pack(engine));
    for (int part = 0; part < engine->parts; part++) TRY(evaluate_part(engine, batch, part, scores, features));
    return HFF_OK;
}

hff_status engine_evaluate(struct engine *engine, const struct batch *batch, float *scores)
{
    return engine_evaluate_features(engine, batch, scores, NULL);
}
