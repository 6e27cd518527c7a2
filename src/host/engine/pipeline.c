/* Lanes at work: what a step enqueues, and waiting for it.
 *
 * Step s has slot s % slots of what all lanes read of a step (labels, weights, tick, hyper values), and slot s % 2 of every
 * ring of activations. The streams and what they wait for (*: only what the slot's earlier step needs):
 *
 *     feed    * lane 1 has done step s-2, or s-1 where the first stage holds its images elsewhere than in the ring: they
 *               may be overwritten
 *             * the last lane has done step s-slots: so may labels and hyper values
 *     lane k    lane k-1 has done step s (lane 1: the batch has arrived)
 *             * lane k+1 has done step s-2: it has read what lane k now overwrites
 *
 * What every stage needs of a step is in the step's slot, so the host never writes what a step in flight reads, and each
 * stage works with its own step's learning rate and tick. Where a lane's work can be captured, it is captured once for each
 * slot, after one step that ran op by op; lanes stay joined by events, so that filling and draining need no captures of
 * their own and a short lane can run ahead of a long one. */
#include "private.h"

#include "backend/queue.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- opening and closing ---- */

static hff_status make_events(struct engine *engine, struct event ***out, int count)
{
    *out = calloc((size_t)count, sizeof **out);
    if (!*out) return fail(HFF_E_MEMORY, "no memory for %d events", count);
    for (int i = 0; i < count; i++) TRY(engine->backend->api->event_create(engine->backend, &(*out)[i]));
    return HFF_OK;
}

static void free_events(const struct engine *engine, struct event **events, int count)
{
    for (int i = 0; events && i < count; i++) engine->backend->api->event_destroy(events[i]);
    free(events);
}

/* The device's streams share it by themselves; a processor's lanes get a part of the threads each. */
static hff_status make_runner(struct engine *engine, int lane)
{
    const struct backend_api *api = engine->backend->api;
    struct runner *runner = &engine->pipeline->runner[lane];
    TRY(make_events(engine, &runner->begun, engine->pipeline->slots));
    TRY(make_events(engine, &runner->done, engine->pipeline->slots));
    runner->capture = calloc((size_t)engine->pipeline->slots, sizeof *runner->capture);
    if (!runner->capture) return fail(HFF_E_MEMORY, "no memory for captures");
    return api->stream_create_part ? api->stream_create_part(engine->backend, lane, engine->lanes, &runner->stream)
                                   : api->stream_create(engine->backend, &runner->stream);
}

static hff_status make_twins(struct engine *engine)
{
    struct pipeline *p = engine->pipeline;
    for (int slot = 0; slot < p->slots; slot++)
        for (int i = 0; i < engine->stages; i++) {
            struct program **twin = &p->twin[slot * engine->stages + i];
            if (slot == 0)
                *twin = engine->stage[i].program;
            else
                TRY(program_twin(twin, engine->stage[i].program));
        }
    return HFF_OK;
}

hff_status pipeline_open(struct engine *engine, const struct config_node *root)
{
    struct pipeline *p = engine->pipeline = calloc(1, sizeof *p);
    if (!p) return fail(HFF_E_MEMORY, "no memory for %d lanes", engine->lanes);
    p->slots = lanes_steps(engine->lanes);
    p->captures = engine->backend->api->capture_begin && strcmp(config_text(root, "engine.capture"), "none") != 0;
    if (!engine->backend->api->asynchronous) {
        TRY(queue_open(engine->backend, &p->queue));
        engine->backend = p->queue;
        for (int i = 0; i < engine->stages; i++) engine->stage[i].program->backend = p->queue;
    }
    size_t twins = (size_t)p->slots * (size_t)engine->stages;
    p->runner = calloc((size_t)engine->lanes, sizeof *p->runner);
    p->twin = calloc(twins, sizeof *p->twin);
    p->step = calloc((size_t)p->slots, sizeof *p->step);
    p->norm = calloc((size_t)engine->stages, sizeof *p->norm);
    if (!p->runner || !p->twin || !p->step || !p->norm)
        return fail(HFF_E_MEMORY, "no memory for %d lanes", engine->lanes);
    TRY(make_twins(engine));
    TRY(feed_open(engine));
    TRY(make_events(engine, &p->fed, p->slots));
    for (int k = 0; k < engine->lanes; k++) TRY(make_runner(engine, k));
    if (!engine->backend->api->event_seconds) return HFF_OK;
    return make_events(engine, &p->mark, (int)twins * SECTIONS * 2);
}

static void free_captures(struct engine *engine)
{
    struct pipeline *p = engine->pipeline;
    for (int k = 0; p->runner && k < engine->lanes; k++)
        for (int slot = 0; p->runner[k].capture && slot < p->slots; slot++) {
            struct capture **capture = &p->runner[k].capture[slot];
            if (*capture) engine->backend->api->capture_destroy(*capture);
            *capture = NULL;
        }
}

static void close_runner(struct engine *engine, struct runner *runner)
{
    free_events(engine, runner->begun, engine->pipeline->slots);
    free_events(engine, runner->done, engine->pipeline->slots);
    free(runner->capture);
}

void pipeline_close(struct engine *engine)
{
    struct pipeline *p = engine->pipeline;
    if (!p) return;
    const struct backend_api *api = engine->backend->api;
    if (p->feed) api->stream_destroy(p->feed);
    for (int k = 0; p->runner && k < engine->lanes; k++)
        if (p->runner[k].stream) api->stream_destroy(p->runner[k].stream);
    free_captures(engine);
    for (int k = 0; p->runner && k < engine->lanes; k++) close_runner(engine, &p->runner[k]);
    for (int i = engine->stages; p->twin && i < p->slots * engine->stages; i++) program_free(p->twin[i]);
    free_events(engine, p->fed, p->slots);
    free_events(engine, p->mark, p->slots * engine->stages * SECTIONS * 2);
    free(p->runner);
    free(p->twin);
    free(p->step);
    free(p->norm);
    free(p->mail);
}

hff_status pipeline_bind(struct engine *engine)
{
    unsigned char *base[ARENAS];
    for (int slot = 0; slot < engine->pipeline->slots; slot++)
        for (int i = 0; i < engine->stages; i++) {
            lanes_base(engine, i, slot, base);
            program_bind(pipeline_twin(engine, slot, i), base);
        }
    return HFF_OK;
}

/* ---- a lane's step ---- */

static hff_status run_section(struct engine *engine, int lane, int slot, int stage, enum section section, int timed)
{
    struct stream *stream = engine->pipeline->runner[lane].stream;
    struct program *program = pipeline_twin(engine, slot, stage);
    if (program->count[section] == 0) return HFF_OK;
    if (timed) TRY(marks_put(engine, slot, stage, section, 0, stream));
    hff_status status = program_run(program, section, stream);
    if (status != HFF_OK) return trail_add(status, "stage %d", stage + 1);
    return timed ? marks_put(engine, slot, stage, section, 1, stream) : HFF_OK;
}

static hff_status run_lane(struct engine *engine, int index, int slot, int timed)
{
    const struct lane *lane = &engine->lane[index];
    for (int i = lane->first; i < lane->first + lane->stages; i++)
        TRY(run_section(engine, index, slot, i, SECTION_PREVIEW, timed));
    for (int i = lane->first; i < lane->first + lane->stages; i++)
        for (int s = SECTION_FORWARD; s <= SECTION_UPDATE; s++)
            TRY(run_section(engine, index, slot, i, (enum section)s, timed));
    return HFF_OK;
}

static hff_status enqueue(struct engine *engine, int lane, int slot)
{
    struct pipeline *p = engine->pipeline;
    struct runner *runner = &p->runner[lane];
    const struct backend_api *api = engine->backend->api;
    int earlier = (slot + p->slots - RING_SLOTS) % p->slots;
    TRY(api->stream_wait_event(runner->stream, lane ? p->runner[lane - 1].done[slot] : p->fed[slot]));
    if (lane + 1 < engine->lanes) TRY(api->stream_wait_event(runner->stream, p->runner[lane + 1].done[earlier]));
    TRY(api->event_record(runner->begun[slot], runner->stream));
    if (p->captured)
        TRY(api->replay(runner->capture[slot], runner->stream));
    else
        TRY(run_lane(engine, lane, slot, p->mark != NULL));
    return api->event_record(runner->done[slot], runner->stream);
}

static hff_status capture(struct engine *engine, int lane, int slot)
{
    struct runner *runner = &engine->pipeline->runner[lane];
    const struct backend_api *api = engine->backend->api;
    TRY(api->capture_begin(runner->stream));
    hff_status status = run_lane(engine, lane, slot, 0);
    if (status == HFF_OK) return api->capture_end(runner->stream, &runner->capture[slot]);
    struct trail trail;
    trail_take(&trail); /* what went wrong first stands */
    api->capture_end(runner->stream, &runner->capture[slot]);
    trail_give(&trail);
    return status;
}

/* After one step that ran op by op: from now on every lane's work is one replay. Where the device cannot capture it after
 * all, steps stay as they are: slower, and the same. */
static hff_status capture_all(struct engine *engine)
{
    struct pipeline *p = engine->pipeline;
    hff_status status = HFF_OK;
    TRY(pipeline_wait(engine));
    for (int k = 0; k < engine->lanes && status == HFF_OK; k++)
        for (int slot = 0; slot < p->slots && status == HFF_OK; slot++) status = capture(engine, k, slot);
    p->captured = status == HFF_OK;
    if (p->captured) return HFF_OK;
    log_warn("steps cannot be captured here and run op by op: %s", hff_error_message());
    free_captures(engine);
    p->captures = 0;
    return HFF_OK;
}

/* Times are wanted in the timeline, and in logs where the host waits for its slot anyway. The slot's earlier step is done
 * when the slot has been filled. */
static hff_status collect(struct engine *engine, int slot)
{
    struct pipeline *p = engine->pipeline;
    if (p->step[slot] == 0 || !p->mark || (!p->queue && !engine->trace)) return HFF_OK;
    TRY(engine->backend->api->stream_wait(p->feed));
    return marks_collect(engine, slot);
}

hff_status pipeline_step(struct engine *engine, const struct batch *batch)
{
    struct pipeline *p = engine->pipeline;
    int64_t step = engine->stage[0].step + 1;
    int slot = (int)(step % p->slots);
    if (p->warm && p->captures && !p->captured) TRY(capture_all(engine));
    TRY(feed_step(engine, batch, step, slot));
    TRY(collect(engine, slot));
    p->step[slot] = step;
    for (int k = 0; k < engine->lanes; k++) TRY(enqueue(engine, k, slot));
    for (int i = 0; i < engine->stages; i++) engine->stage[i].step++;
    p->warm = 1;
    return HFF_OK;
}

/* ---- waiting ---- */

hff_status pipeline_wait(struct engine *engine)
{
    struct pipeline *p = engine->pipeline;
    struct trail trail;
    hff_status first = engine->backend->api->stream_wait(p->feed);
    if (first != HFF_OK) trail_take(&trail);
    for (int k = 0; k < engine->lanes; k++) {
        hff_status status = engine->backend->api->stream_wait(p->runner[k].stream);
        if (first != HFF_OK || status == HFF_OK) continue;
        first = status;
        trail_take(&trail);
    }
    if (first != HFF_OK) trail_give(&trail);
    return first;
}

/* The stage whose gradient was not finite at the earliest step, and of these the first; -1: none. */
static hff_status latched(struct engine *engine, int *stage)
{
    struct pipeline *p = engine->pipeline;
    const struct backend_api *api = engine->backend->api;
    for (int i = 0; i < engine->stages; i++) {
        const struct stage_run *run = &engine->stage[i];
        TRY(api->copy_out(engine->stream, p->norm[i], program_address(run->program, run->norm), sizeof p->norm[i]));
    }
    TRY(api->stream_wait(engine->stream));
    *stage = -1;
    for (int i = 0; i < engine->stages; i++)
        if (p->norm[i][NORM_LATCH] != 0 && (*stage < 0 || p->norm[i][NORM_LATCH] < p->norm[*stage][NORM_LATCH]))
            *stage = i;
    return HFF_OK;
}

/* The step itself where its activation is still in its slot, else the newest one. What the stages in front pass on inside
 * the lane is computed again. */
static hff_status repeat(struct engine *engine, int stage)
{
    struct pipeline *p = engine->pipeline;
    int64_t newest = engine->stage[stage].step, step = (int64_t)p->norm[stage][NORM_LATCH];
    int64_t repeated = newest - step < RING_SLOTS ? step : newest;
    int slot = (int)(repeated % p->slots), k = 0;
    while (stage >= engine->lane[k].first + engine->lane[k].stages) k++;
    for (int i = engine->lane[k].first; i < stage; i++)
        TRY(program_run(pipeline_twin(engine, slot, i), SECTION_FORWARD, engine->stream));
    TRY(bad_op_find(engine, stage, pipeline_twin(engine, slot, stage), step, repeated));
    return bad_op_none(engine, stage, step, repeated);
}

hff_status pipeline_drain(struct engine *engine)
{
    struct pipeline *p = engine->pipeline;
    int busy = 0, stage;
    for (int slot = 0; slot < p->slots; slot++) busy = busy || p->step[slot] != 0;
    if (!busy) return HFF_OK;
    TRY(pipeline_wait(engine));
    for (int slot = 0; slot < p->slots; slot++) {
        if (p->step[slot] && p->mark) TRY(marks_collect(engine, slot));
        p->step[slot] = 0;
    }
    TRY(latched(engine, &stage));
    return stage < 0 ? HFF_OK : repeat(engine, stage);
}

void pipeline_trace(struct engine *engine)
{
    for (int k = 0; k < engine->lanes; k++) {
        const struct lane *lane = &engine->lane[k];
        char name[64];
        if (lane->stages == 1)
            snprintf(name, sizeof name, "lane %d (stage %d)", k + 1, lane->first + 1);
        else
            snprintf(name, sizeof name, "lane %d (stages %d-%d)", k + 1, lane->first + 1, lane->first + lane->stages);
        engine->pipeline->runner[k].track = trace_track(engine->trace, "lanes", name);
    }
}
