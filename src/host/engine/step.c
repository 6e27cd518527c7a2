/* Training steps, stage after stage, and evaluation. */
#include "private.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>

/* What all stages read at the same place of their batch. */
static hff_status put(struct engine *engine, int value, const void *data, size_t bytes)
{
    return engine->backend->api->copy_in(engine->stream, program_address(engine->stage[0].program, value), data, bytes);
}

/* The batch into stage 1's input and into the labels that all stages read (they lie at the same place in every
 * program). */
static hff_status put_batch(struct engine *engine, const struct batch *batch)
{
    const struct stage_run *first = &engine->stage[0];
    size_t count = (size_t)engine->batch * (size_t)engine->sample, labels = (size_t)engine->batch * sizeof(int32_t);
    if (engine->real == DTYPE_F64) {
        double *wide = engine->host;
        for (size_t i = 0; i < count; i++) wide[i] = batch->images[i];
        TRY(put(engine, first->input, wide, count * sizeof *wide));
    } else {
        TRY(put(engine, first->input, batch->images, count * sizeof(float)));
    }
    TRY(put(engine, first->y1, batch->y1, labels));
    TRY(put(engine, first->y2, batch->y2, labels));
    return put(engine, first->weight, batch->weight, (size_t)engine->batch * sizeof(float));
}

static hff_status put_tick(struct engine *engine, int64_t step, int64_t pass)
{
    int64_t tick[TICKS] = {[TICK_STEP] = step, [TICK_PASS] = pass};
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
    trace_span(run->track, section_name(section), section == SECTION_EVAL ? NULL : "step", run->step + 1, start, end);
    return status == HFF_OK ? HFF_OK : trail_add(status, "stage %d, step %lld", stage + 1, (long long)run->step + 1);
}

static hff_status step_stage(struct engine *engine, int stage)
{
    struct stage_run *run = &engine->stage[stage];
    const struct backend_api *api = engine->backend->api;
    double hyper[HYPERS], norm[NORMS];
    schedule_hyper(&run->schedule, run->step + 1, hyper);
    TRY(api->copy_in(engine->stream, program_address(run->program, run->hyper), hyper, sizeof hyper));
    for (int s = SECTION_FORWARD; s <= SECTION_UPDATE; s++) TRY(run_section(engine, stage, (enum section)s));
    TRY(api->copy_out(engine->stream, norm, program_address(run->program, run->norm), sizeof norm));
    TRY(api->stream_wait(engine->stream));
    if (norm[NORM_LATCH] != 0) return engine_name_bad_op(engine, stage, run->program, run->step + 1, run->step + 1);
    run->step++;
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

hff_status engine_drain(struct engine *engine)
{
    return engine->pipeline ? pipeline_drain(engine) : HFF_OK;
}

hff_status engine_step(struct engine *engine, const struct batch *batch)
{
    if (engine->pipeline) return pipeline_step(engine, batch);
    TRY(put_batch(engine, batch));
    TRY(put_tick(engine, engine->stage[0].step + 1, 0));
    for (int i = 0; i < engine->stages; i++)
        if (engine->stage[i].program->count[SECTION_PREVIEW]) TRY(run_section(engine, i, SECTION_PREVIEW));
    for (int i = 0; i < engine->stages; i++) TRY(step_stage(engine, i));
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
    return get_floats(engine, run, run->features_eval, (size_t)(engine->batch * run->embedding), out);
}

hff_status engine_evaluate_features(struct engine *engine, const struct batch *batch, float *scores,
                                    float *const *features)
{
    size_t count = (size_t)engine->batch * (size_t)engine->classes;
    TRY(engine_drain(engine));
    TRY(put_batch(engine, batch));
    int64_t passes = engine->stage[0].passes;
    for (int64_t pass = 0; pass < passes; pass++) {
        TRY(put_tick(engine, 0, pass));
        for (int i = 0; i < engine->stages; i++) {
            TRY(run_section(engine, i, SECTION_EVAL));
            if (features && pass == passes - 1) TRY(get_features(engine, i, features[i]));
        }
    }
    for (int i = 0; scores && i < engine->stages; i++)
        TRY(get_floats(engine, &engine->stage[i], engine->stage[i].scores_eval, count, scores + (size_t)i * count));
    return engine->backend->api->stream_wait(engine->stream);
}

hff_status engine_evaluate(struct engine *engine, const struct batch *batch, float *scores)
{
    return engine_evaluate_features(engine, batch, scores, NULL);
}

/* Both messages end alike. */
#define BAD_NUMBERS_ADVICE "a smaller optimizer.lr or optimizer.clip may help; the last checkpoint is kept"

/* What no op of the repetition shows. */
static hff_status no_bad_op(const struct stage_run *run, int stage, long long step, long long repeated)
{
    if (repeated == step)
        return fail(HFF_E_NUMBERS,
                    "stage %d (%s), step %lld: the gradient's norm is not finite (its numbers are, so their squares "
                    "overflow); " BAD_NUMBERS_ADVICE,
                    stage + 1, run->stage->name, step);
    return fail(HFF_E_NUMBERS,
                "stage %d (%s), step %lld: the gradient was not finite, but its batch has left the pipeline and step "
                "%lld shows no op to blame (a resume with run.log_every 1 would); " BAD_NUMBERS_ADVICE,
                stage + 1, run->stage->name, step, repeated);
}

hff_status engine_name_bad_op(struct engine *engine, int stage, struct program *program, int64_t step, int64_t repeated)
{
    const struct stage_run *run = &engine->stage[stage];
    char seen[64] = "";
    if (repeated != step) snprintf(seen, sizeof seen, " when repeated with step %lld's batch", (long long)repeated);
    for (int s = SECTION_FORWARD; s <= SECTION_BACKWARD; s++)
        for (int i = 0; i < program->count[s]; i++) {
            const struct instr *instr = &program->section[s][i];
            TRY(engine->backend->api->op_run(instr->op, engine->stream, instr->address, program->base[ARENA_WORK]));
            const char *bad = program_bad_output(program, instr, repeated == step, engine->stream, engine->host);
            if (bad)
                return fail(HFF_E_NUMBERS,
                            "stage %d (%s), step %lld: op %s (%s, instruction %d) gave numbers that are not finite in "
                            "%s%s; " BAD_NUMBERS_ADVICE,
                            stage + 1, run->stage->name, (long long)step, op_table[instr->op->desc.kind].name,
                            section_name((enum section)s), i + 1, bad, seen);
        }
    return no_bad_op(run, stage, (long long)step, (long long)repeated);
}
