/* What the host gives to a step in flight: the batch's images, or the numbers of those that are on the device, and in one
 * copy what all lanes read of the step (lanes_mail). */
#include "private.h"

#include <stdlib.h>
#include <string.h>

/* Labels, weights and tick lie in front of whatever else stages share of a batch. */
static size_t label_bytes(const struct engine *engine)
{
    const struct slot *tick = &engine->stage[0].program->slot[engine->stage[0].tick];
    return (tick->offset + tick->bytes + 63) / 64 * 64;
}

hff_status feed_open(struct engine *engine)
{
    struct pipeline *p = engine->pipeline;
    p->labels_at = lanes_hyper_bytes(engine) + resident_numbers(engine);
    p->mail_bytes = p->labels_at + label_bytes(engine);
    p->mail = calloc(1, p->mail_bytes);
    if (!p->mail) return fail(HFF_E_MEMORY, "no memory for a step's labels");
    return engine->backend->api->stream_create(engine->backend, &p->feed);
}

static void put(const struct engine *engine, int value, const void *data, size_t bytes)
{
    const struct pipeline *p = engine->pipeline;
    memcpy(p->mail + p->labels_at + engine->stage[0].program->slot[value].offset, data, bytes);
}

/* A step as it lies in a slot: the stages' hyper values, the numbers of its samples where the device makes the batch, and
 * labels, weights and tick. */
static hff_status fill_mail(struct engine *engine, const struct batch *batch, int64_t step)
{
    const struct stage_run *first = &engine->stage[0];
    size_t labels = (size_t)engine->batch * sizeof(int32_t);
    unsigned char *at = engine->pipeline->mail;
    int64_t tick[TICKS] = {[TICK_STEP] = step};
    put(engine, first->y1, batch->y1, labels);
    put(engine, first->y2, batch->y2, labels);
    put(engine, first->weight, batch->weight, (size_t)engine->batch * sizeof(float));
    put(engine, first->tick, tick, sizeof tick);
    for (int i = 0; i < engine->stages; i++) {
        const struct stage_run *run = &engine->stage[i];
        double hyper[HYPERS];
        schedule_hyper(&run->schedule, step, hyper);
        memcpy(at + run->program->slot[run->hyper].offset, hyper, sizeof hyper);
        at += run->program->bytes[ARENA_STEP];
    }
    return batch->images ? HFF_OK : resident_write(engine, batch, 0, at);
}

static hff_status feed_images(struct engine *engine, const struct batch *batch, void *device)
{
    const struct backend_api *api = engine->backend->api;
    size_t count = (size_t)engine->batch * (size_t)engine->sample;
    if (engine->real != DTYPE_F64)
        return api->copy_in(engine->pipeline->feed, device, batch->images, count * sizeof(float));
    double *wide = engine->host;
    for (size_t i = 0; i < count; i++) wide[i] = batch->images[i];
    return api->copy_in(engine->pipeline->feed, device, wide, count * sizeof *wide);
}

/* The slot of the latest step whose images lie where those of this slot's step go. */
static int slot_before(const struct engine *engine, int slot)
{
    const struct program *first = engine->stage[0].program;
    int places = first->slot[engine->stage[0].input].arena == ARENA_INPUT ? RING_SLOTS : 1;
    return (slot + engine->pipeline->slots - places) % engine->pipeline->slots;
}

hff_status feed_step(struct engine *engine, const struct batch *batch, int64_t step, int slot)
{
    struct pipeline *p = engine->pipeline;
    const struct backend_api *api = engine->backend->api;
    const struct program *first = pipeline_twin(engine, slot, 0);
    TRY(api->stream_wait_event(p->feed, p->runner[0].done[slot_before(engine, slot)]));
    if (batch->images) TRY(feed_images(engine, batch, program_address(first, engine->stage[0].input)));
    TRY(api->stream_wait_event(p->feed, p->runner[engine->lanes - 1].done[slot]));
    TRY(fill_mail(engine, batch, step));
    TRY(api->copy_in(p->feed, lanes_mail(engine, slot), p->mail, p->mail_bytes));
    if (!batch->images) TRY(resident_make(engine, slot, p->feed));
    return api->event_record(p->fed[slot], p->feed);
}

hff_status feed_alone(struct engine *engine, const struct batch *batch, int times)
{
    struct pipeline *p = engine->pipeline;
    for (int i = 0; i < times; i++) TRY(feed_step(engine, batch, engine->stage[0].step + 1, i % p->slots));
    return engine->backend->api->stream_wait(p->feed);
}
