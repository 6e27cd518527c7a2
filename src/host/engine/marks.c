/* When streams did what: marks around sections and lanes' steps, read when their step is done. */
#include "private.h"

#include <string.h>

static struct event *mark_at(const struct engine *engine, int slot, int stage, enum section section, int end)
{
    return engine->pipeline->mark[((slot * engine->stages + stage) * SECTIONS + (int)section) * 2 + end];
}

hff_status marks_put(struct engine *engine, int slot, int stage, enum section section, int end, struct stream *stream)
{
    return engine->backend->api->event_record(mark_at(engine, slot, stage, section, end), stream);
}

static hff_status read_span(const struct engine *engine, struct event *begin, struct event *end, double times[2])
{
    TRY(engine->backend->api->event_seconds(begin, &times[0]));
    return engine->backend->api->event_seconds(end, &times[1]);
}

static hff_status collect_stage(struct engine *engine, int slot, int stage, int64_t step)
{
    static const enum section run_by_steps[] = {SECTION_PREVIEW, SECTION_FORWARD, SECTION_HEAD, SECTION_BACKWARD,
                                                SECTION_UPDATE};
    struct stage_run *run = &engine->stage[stage];
    for (size_t k = 0; k < sizeof run_by_steps / sizeof *run_by_steps; k++) {
        enum section s = run_by_steps[k];
        double times[2];
        if (run->program->count[s] == 0) continue;
        TRY(read_span(engine, mark_at(engine, slot, stage, s, 0), mark_at(engine, slot, stage, s, 1), times));
        run->seconds[s] += times[1] - times[0];
        trace_span(run->track, section_name(s), "step", step, times[0], times[1]);
    }
    return HFF_OK;
}

/* A step that is replayed has no marks inside. */
hff_status marks_collect(struct engine *engine, int slot)
{
    struct pipeline *p = engine->pipeline;
    int64_t step = p->step[slot];
    for (int k = 0; k < engine->lanes; k++) {
        struct runner *runner = &p->runner[k];
        double times[2];
        TRY(read_span(engine, runner->begun[slot], runner->done[slot], times));
        trace_span(runner->track, "step", "step", step, times[0], times[1]);
    }
    for (int i = 0; !p->captured && i < engine->stages; i++) TRY(collect_stage(engine, slot, i, step));
    p->step[slot] = 0;
    return HFF_OK;
}
