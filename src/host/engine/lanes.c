/* Lanes: cutting a net's stages into groups of about the same work, and what memory they take. */
#include "private.h"

#include "base/log.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static double stage_flops(const struct stage_run *run)
{
    double total = run->flops[SECTION_PREVIEW];
    for (int s = SECTION_FORWARD; s <= SECTION_UPDATE; s++) total += run->flops[s];
    return total;
}

/* ---- the cut ---- */

/* cost[lanes - 1][first]: the work of the largest lane when the stages from first on are shared out over that many;
 * end: where the first of them ends (exclusive). */
struct cut {
    int stages;
    const double *before; /* work of stages in front of each, and of all */
    double *cost;         /* (lanes, stages + 1) */
    int *end;
};

static void cut_rest(struct cut *cut, int lanes, int first)
{
    double *cost = cut->cost + (lanes - 1) * (cut->stages + 1) + first;
    int *end = cut->end + (lanes - 1) * (cut->stages + 1) + first;
    *end = cut->stages;
    *cost = cut->before[cut->stages] - cut->before[first];
    if (lanes == 1) return;
    for (int at = first + 1; at <= cut->stages - (lanes - 1); at++) {
        double own = cut->before[at] - cut->before[first], rest = cut->cost[(lanes - 2) * (cut->stages + 1) + at];
        double most = own > rest ? own : rest;
        if (at > first + 1 && most >= *cost) continue;
        *cost = most;
        *end = at;
    }
}

/* The cut whose largest lane is smallest; of equal ones that with the shorter lanes in front. */
static hff_status cut_stages(struct engine *engine, int lanes)
{
    int stages = engine->stages;
    size_t cells = (size_t)lanes * (size_t)(stages + 1);
    double *before = calloc((size_t)stages + 1, sizeof *before);
    struct cut cut = {
        .stages = stages, .before = before, .cost = calloc(cells, sizeof(double)), .end = calloc(cells, sizeof(int))};
    hff_status status = HFF_OK;
    if (!before || !cut.cost || !cut.end) {
        status = fail(HFF_E_MEMORY, "no memory to share %d stages out", stages);
    } else {
        for (int i = 0; i < stages; i++) before[i + 1] = before[i] + stage_flops(&engine->stage[i]);
        for (int k = 1; k <= lanes; k++)
            for (int first = 0; first <= stages - k; first++) cut_rest(&cut, k, first);
        for (int k = 0, first = 0; k < lanes; k++) {
            int end = cut.end[(lanes - 1 - k) * (stages + 1) + first];
            engine->lane[k] =
                (struct lane){.first = first, .stages = end - first, .flops = before[end] - before[first]};
            first = end;
        }
        engine->lanes = lanes;
    }
    free(before);
    free(cut.cost);
    free(cut.end);
    return status;
}

/* ---- memory ---- */

int lanes_steps(int lanes)
{
    return (lanes + 2) / 2 * 2;
}

/* A slot of the ring in front of a lane. */
static size_t ring_slot(const struct engine *engine, int lane)
{
    int first = engine->lane[lane].first;
    size_t received = engine->stage[first].program->bytes[ARENA_INPUT];
    return first ? larger(received, engine->stage[first - 1].program->bytes[ARENA_OUTPUT]) : received;
}

/* One of the buffers between a lane's stages, and how many there are. */
static size_t inner_buffer(const struct engine *engine, int lane)
{
    size_t bytes = 0;
    for (int i = engine->lane[lane].first; i < engine->lane[lane].first + engine->lane[lane].stages - 1; i++)
        bytes = larger(bytes, larger(engine->stage[i].program->bytes[ARENA_OUTPUT],
                                     engine->stage[i + 1].program->bytes[ARENA_INPUT]));
    return bytes;
}

static int inner_buffers(const struct lane *lane)
{
    return lane->stages < 3 ? lane->stages - 1 : 2;
}

static const enum arena_kind of_stages[] = {ARENA_PARAM, ARENA_MOMENT, ARENA_STAT},
                             of_lanes[] = {ARENA_GRAD, ARENA_ACT, ARENA_WORK};

static void size_lane(const struct engine *engine, int index)
{
    struct lane *lane = &engine->lane[index];
    memset(lane->bytes, 0, sizeof lane->bytes);
    for (int i = lane->first; i < lane->first + lane->stages; i++)
        for (int a = 0; a < 3; a++)
            lane->bytes[of_lanes[a]] = larger(lane->bytes[of_lanes[a]], engine->stage[i].program->bytes[of_lanes[a]]);
    lane->bytes[ARENA_INPUT] = RING_SLOTS * ring_slot(engine, index);
    lane->bytes[ARENA_OUTPUT] = (size_t)inner_buffers(lane) * inner_buffer(engine, index);
}

size_t lanes_hyper_bytes(const struct engine *engine)
{
    size_t bytes = 0;
    for (int i = 0; i < engine->stages; i++) bytes += engine->stage[i].program->bytes[ARENA_STEP];
    return bytes;
}

/* What is sent with a batch, in front of it: ARENA_STEP lies in here. */
static size_t front_bytes(const struct engine *engine)
{
    return lanes_hyper_bytes(engine) + resident_numbers(engine);
}

unsigned char *lanes_mail(const struct engine *engine, int slot)
{
    return engine->memory[ARENA_BATCH] +
           (size_t)slot * (engine->bytes[ARENA_BATCH] / (size_t)lanes_steps(engine->lanes));
}

void lanes_size(struct engine *engine)
{
    size_t *bytes = engine->bytes, slots = (size_t)lanes_steps(engine->lanes), batch = 0;
    memset(bytes, 0, sizeof engine->bytes);
    for (int i = 0; i < engine->stages; i++) {
        const size_t *own = engine->stage[i].program->bytes;
        for (int a = 0; a < 3; a++) bytes[of_stages[a]] += own[of_stages[a]];
        batch = larger(batch, own[ARENA_BATCH]);
    }
    bytes[ARENA_BATCH] = slots * (front_bytes(engine) + batch);
    for (int k = 0; k < engine->lanes; k++) {
        size_lane(engine, k);
        for (int a = 0; a < ARENAS; a++) bytes[a] += engine->lane[k].bytes[a];
    }
}

/* Where a slot of the ring in front of a lane lies; NULL behind the last one. */
static unsigned char *ring_at(const struct engine *engine, int lane, int slot)
{
    if (lane == engine->lanes) return NULL;
    unsigned char *at = engine->memory[ARENA_INPUT];
    for (int k = 0; k < lane; k++) at += engine->lane[k].bytes[ARENA_INPUT];
    return at + (size_t)(slot % RING_SLOTS) * ring_slot(engine, lane);
}

void lanes_base(const struct engine *engine, int stage, int slot, unsigned char *base[ARENAS])
{
    int k = 0;
    while (stage >= engine->lane[k].first + engine->lane[k].stages) k++;
    const struct lane *lane = &engine->lane[k];
    int place = stage - lane->first;
    for (int a = 0; a < ARENAS; a++) base[a] = engine->memory[a];
    base[ARENA_STEP] = lanes_mail(engine, slot);
    base[ARENA_BATCH] = lanes_mail(engine, slot) + front_bytes(engine);
    for (int i = 0; i < stage; i++) {
        const size_t *bytes = engine->stage[i].program->bytes;
        for (int a = 0; a < 3; a++) base[of_stages[a]] += bytes[of_stages[a]];
        base[ARENA_STEP] += bytes[ARENA_STEP];
    }
    for (int i = 0; i < k; i++) {
        for (int a = 0; a < 3; a++) base[of_lanes[a]] += engine->lane[i].bytes[of_lanes[a]];
        base[ARENA_OUTPUT] += engine->lane[i].bytes[ARENA_OUTPUT];
    }
    unsigned char *inner = base[ARENA_OUTPUT];
    size_t buffer = inner_buffer(engine, k);
    base[ARENA_INPUT] = place == 0 ? ring_at(engine, k, slot) : inner + (size_t)((place - 1) % 2) * buffer;
    base[ARENA_OUTPUT] =
        place == lane->stages - 1 ? ring_at(engine, k + 1, slot) : inner + (size_t)(place % 2) * buffer;
}

/* ---- the choice ---- */

static int has_preview(const struct engine *engine)
{
    for (int i = 0; i < engine->stages; i++)
        if (engine->stage[i].program->count[SECTION_PREVIEW]) return 1;
    return 0;
}

/* Why steps cannot be in flight at all; NULL: they can. */
static const char *why_serial(const struct engine *engine)
{
    if (engine->sequential) return "with engine.schedule sequential a step trains one stage only";
    if (engine->parts > 1) return "with run.micro_batch all stages add up gradients before any of them learns";
    return NULL;
}

static hff_status check_lanes(const struct engine *engine, const struct config_node *node, int64_t lanes)
{
    if (lanes > engine->stages)
        return config_fail(node, "engine.pipeline is %lld, but the net has %d stage%s; a lane needs at least one",
                           (long long)lanes, engine->stages, engine->stages == 1 ? "" : "s");
    if (lanes > 1 && why_serial(engine))
        return config_fail(node, "engine.pipeline is %lld, but %s; use none", (long long)lanes, why_serial(engine));
    if (lanes > 1 && has_preview(engine))
        return config_fail(
            node,
            "engine.pipeline is %lld, but with objective %s as configured the first stage learns from "
            "what the last one says of the same batch, so that no stage can be ahead of another; use none",
            (long long)lanes, engine->stage[0].objective->name);
    return HFF_OK;
}

static hff_status room_of(struct backend *backend, uint64_t *bytes)
{
    struct memory_room host;
    size_t device = 0;
    if (backend->api->memory_left) {
        TRY(backend->api->memory_left(backend, &device));
        *bytes = device;
        return HFF_OK;
    }
    memory_room(&host, "");
    *bytes = host.bytes;
    return HFF_OK;
}

/* As many lanes as fit, beside what a device's libraries and captured steps take. */
static hff_status choose_fitting(struct engine *engine)
{
    uint64_t room;
    TRY(room_of(engine->backend, &room));
    room -= room / 20;
    for (int lanes = engine->stages; lanes > 1; lanes--) {
        TRY(cut_stages(engine, lanes));
        lanes_size(engine);
        if (engine_planned_bytes(engine) <= room) break;
        log_debug("%d lanes need %zu bytes, more than are left", lanes, engine_planned_bytes(engine));
        TRY(cut_stages(engine, lanes - 1));
    }
    return HFF_OK;
}

hff_status lanes_choose(struct engine *engine, const struct engine_options *options, int *pipelined)
{
    const struct config_node *node = config_at(config_root(options->config), "engine.pipeline");
    const char *word = config_text(config_root(options->config), "engine.pipeline");
    int training = options->total_steps > 0, flies = training && !why_serial(engine),
        asynchronous = engine->backend->api->asynchronous;
    int64_t lanes = *word || !training ? 1 : config_int(config_root(options->config), "engine.pipeline");
    TRY(check_lanes(engine, node, lanes));
    engine->lane = calloc((size_t)engine->stages, sizeof *engine->lane);
    if (!engine->lane) return fail(HFF_E_MEMORY, "no memory for %d lanes", engine->stages);
    TRY(cut_stages(engine, (int)lanes));
    if (strcmp(word, "auto") == 0 && flies && asynchronous && !has_preview(engine)) TRY(choose_fitting(engine));
    *pipelined = flies && (asynchronous || engine->lanes > 1);
    return HFF_OK;
}
