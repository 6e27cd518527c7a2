/* From a net to bound stage programs. */
#include "private.h"

#include <stdlib.h>
#include <string.h>

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* The stage's graph: what it receives, its body, its head, its update. */
static hff_status build_stage(struct engine *engine, const struct engine_options *options, int index)
{
    struct stage *stage = &engine->net->stage[index];
    struct stage_run *run = &engine->stage[index];
    const struct config_node *root = config_root(options->config);
    struct graph graph;
    graph_init(&graph, options->real, options->act, engine->micro);
    graph.moves_images = options->backend->api->moves_images;
    run->stage = stage;
    run->input = graph_value(&graph, ROLE_INPUT, shape_tensor(&graph, &stage->in), "input");
    if (index == 0) { /* the host's batch */
        graph.value[run->input].tensor.block = VALUE_KEEP_PLAIN;
        graph.value[run->input].tensor.dtype = options->real;
    }
    run->y1 = graph_value(&graph, ROLE_BATCH, tensor_make1(DTYPE_I32, engine->micro), "y1");
    run->y2 = graph_value(&graph, ROLE_BATCH, tensor_make1(DTYPE_I32, engine->micro), "y2");
    run->weight = graph_value(&graph, ROLE_BATCH, tensor_make1(DTYPE_F32, engine->micro), "weight");
    run->tick = graph_value(&graph, ROLE_BATCH, tensor_make1(DTYPE_I64, TICKS), "tick");
    stage_params(&graph, stage);
    struct head head = {.graph = &graph,
                        .arena = &engine->net->arena,
                        .stage = stage->number,
                        .classes = options->classes,
                        .shape = stage->out,
                        .global_batch = options->batch,
                        .y1 = run->y1,
                        .y2 = run->y2,
                        .weight = run->weight,
                        .tick = run->tick,
                        .body = stage,
                        .stages = engine->stages,
                        .root = root,
                        .batch = engine->micro,
                        .image = options->image,
                        .white = options->white,
                        .epoch_steps = options->epoch_steps,
                        .in_turn = engine->sequential,
                        .input = run->input,
                        .features_eval = -1,
                        .wins = -1,
                        .prototypes = -1};
    head.config = config_overlay(options->config, config_at(root, "objective"), stage->objective);
    run->objective = objective_find(head.config);
    hff_status status = run->objective->build(&head);
    if (status == HFF_OK) {
        const struct config_node *optimizer =
            config_overlay(options->config, config_at(root, "optimizer"), stage->optimizer);
        stage_backward(&graph, stage, head.dh);
        run->schedule = schedule_make(optimizer, (double)options->total_steps);
        status = optim_build(&graph, optimizer, &run->hyper, &run->norm);
    }
    if (status != HFF_OK) {
        graph_free(&graph);
        return status;
    }
    run->scores_eval = head.scores_eval;
    run->features_eval = head.features_eval;
    run->metrics = head.metrics;
    run->metrics_eval = head.metrics_eval;
    run->wins = head.wins;
    run->prototypes = head.prototypes;
    run->embedding = head.embedding;
    run->rows = head.rows ? head.rows : engine->micro;
    run->rows_eval = head.rows_eval ? head.rows_eval : engine->micro;
    run->passes = head.passes ? head.passes : 1;
    run->drawn = head.drawn;
    run->sum_from = head.sum_from;
    run->own = head.own ? head.own : "cosine_own";
    run->other = head.other ? head.other : "cosine_other";
    run->similarity = head.similar.count > 0;
    run->per_class = head.prototypes < 0 ? 0 : (int)graph.value[head.prototypes].tensor.dim[1];
    engine_rewrite(engine, root, run, &graph);
    for (int s = 0; s < SECTIONS; s++) run->flops[s] = graph_flops(&graph, (enum section)s);
    status = program_build(&run->program, &graph, options->backend, options->slices);
    return status == HFF_OK ? HFF_OK : trail_add(status, "stage %d (%s)", stage->number, stage->name);
}

/* Stages hand on whole batches: all must see the same rows in each of their sections. */
static hff_status check_rows(const struct engine *engine, int index)
{
    const struct stage_run *first = &engine->stage[0], *run = &engine->stage[index];
    if (run->rows == first->rows && run->rows_eval == first->rows_eval && run->passes == first->passes &&
        !run->program->count[SECTION_PREVIEW] == !first->program->count[SECTION_PREVIEW])
        return HFF_OK;
    return fail(HFF_E_CONFIG,
                "stage %d's objective %s takes its batches in another way than stage 1's %s (%lld rows of %d samples "
                "to train, not %lld; %lld passes to predict, not %lld); use the same one in all stages",
                index + 1, run->objective->name, first->objective->name, (long long)run->rows, engine->micro,
                (long long)first->rows, (long long)run->passes, (long long)first->passes);
}

/* A batch of activations stays far from overflow (a sample has at most 2^31 elements). */
static hff_status check_sizes(const struct engine *engine, const struct engine_options *options)
{
    int64_t batch = engine->micro;
    for (int i = 0; i < options->net->count; i++) {
        const struct stage *stage = &options->net->stage[i];
        int64_t largest = shape_count(&stage->in);
        for (int k = 0; k < stage->body.count; k++)
            if (shape_count(&stage->body.item[k].out) > largest) largest = shape_count(&stage->body.item[k].out);
        if (largest * batch > (int64_t)1 << 40)
            return fail(HFF_E_CONFIG,
                        "stage %d: a batch of %lld has %lld numbers; use a smaller run.batch or a smaller net", i + 1,
                        (long long)batch, (long long)(largest * batch));
    }
    return HFF_OK;
}

/* Whether each stage has a place of its own in the arena, or all of them the same one. */
static int is_own(const struct engine *engine, int arena)
{
    if (arena == ARENA_GRAD) return engine->parts > 1; /* sums over the parts of a batch */
    return arena == ARENA_PARAM || arena == ARENA_MOMENT || arena == ARENA_STAT || arena == ARENA_STEP;
}

/* Sums and maxima of the stages' arenas; the two buffers between stages take the outputs in turn. */
static void size_arenas(struct engine *engine)
{
    for (int i = 0; i < engine->stages; i++) {
        const size_t *bytes = engine->stage[i].program->bytes;
        for (int a = 0; a < ARENAS; a++) {
            if (a == ARENA_INPUT || a == ARENA_OUTPUT) continue;
            engine->bytes[a] = is_own(engine, a) ? engine->bytes[a] + bytes[a] : larger(engine->bytes[a], bytes[a]);
        }
        size_t *in = &engine->bytes[i % 2 ? ARENA_OUTPUT : ARENA_INPUT],
               *out = &engine->bytes[i % 2 ? ARENA_INPUT : ARENA_OUTPUT];
        *in = larger(*in, bytes[ARENA_INPUT]);
        *out = larger(*out, bytes[ARENA_OUTPUT]);
    }
    engine->bytes[ARENA_BATCH] += resident_numbers(engine);
}

/* Serial, or in lanes; then with a backend whose streams can have work in flight. */
static hff_status settle(struct engine *engine, const struct engine_options *options)
{
    int pipelined;
    TRY(lanes_choose(engine, options, &pipelined));
    memset(engine->bytes, 0, sizeof engine->bytes);
    if (!pipelined)
        size_arenas(engine);
    else
        lanes_size(engine);
    for (int i = 0; i < engine->stages; i++)
        engine->host_bytes = larger(engine->host_bytes, program_largest_slot(engine->stage[i].program));
    if (pipelined) TRY(pipeline_open(engine, config_root(options->config)));
    return engine->backend->api->stream_create(engine->backend, &engine->stream);
}

hff_status engine_open(struct engine **out, const struct engine_options *options)
{
    *out = NULL;
    struct engine *engine = calloc(1, sizeof *engine);
    if (!engine) return fail(HFF_E_MEMORY, "no memory for an engine");
    *engine = (struct engine){.net = options->net,
                              .backend = options->backend,
                              .real = options->real,
                              .classes = options->classes,
                              .batch = options->batch,
                              .slices = options->slices,
                              .micro = options->micro ? options->micro : options->batch,
                              .stages = options->net->count,
                              .stage_steps = options->total_steps,
                              .evaluated = options->trained ? options->trained : options->net->count};
    engine->parts = engine->batch / engine->micro;
    engine->sequential = options->total_steps > 0 &&
                         strcmp(config_text(config_root(options->config), "engine.schedule"), "sequential") == 0;
    if (engine->sequential) engine->evaluated = 1;
    engine->sample = shape_count(options->image.rank ? &options->image : &options->net->stage[0].in);
    hff_status status = check_sizes(engine, options);
    engine->stage = calloc((size_t)engine->stages, sizeof *engine->stage);
    if (status == HFF_OK && !engine->stage) status = fail(HFF_E_MEMORY, "no memory for %d stages", engine->stages);
    for (int i = 0; status == HFF_OK && i < engine->stages; i++) {
        status = build_stage(engine, options, i);
        if (status == HFF_OK) status = check_rows(engine, i);
    }
    if (status == HFF_OK) status = cache_plan(engine, options);
    if (status == HFF_OK) status = resident_plan(engine, options);
    if (status == HFF_OK) status = settle(engine, options);
    if (status != HFF_OK) {
        engine_close(engine);
        return status;
    }
    *out = engine;
    return HFF_OK;
}

void engine_close(struct engine *engine)
{
    if (!engine) return;
    if (engine->stream) engine->backend->api->stream_destroy(engine->stream);
    pipeline_close(engine);
    for (int i = 0; engine->stage && i < engine->stages; i++) program_free(engine->stage[i].program);
    for (int a = 0; a < ARENAS; a++)
        if (engine->memory[a]) engine->backend->api->free(engine->backend, engine->memory[a]);
    resident_free(engine);
    cache_free(engine);
    if (engine->pipeline) backend_close(engine->pipeline->queue);
    free(engine->pipeline);
    free(engine->host);
    free(engine->lane);
    free(engine->stage);
    free(engine);
}

size_t engine_planned_bytes(const struct engine *engine)
{
    size_t total = engine->cache.bytes + engine->resident.bytes;
    for (int a = 0; a < ARENAS; a++) total += engine->bytes[a];
    return total;
}

static void bind_serial(struct engine *engine)
{
    unsigned char *base[ARENAS];
    memcpy(base, engine->memory, sizeof base);
    base[ARENA_BATCH] += resident_numbers(engine);
    for (int i = 0; i < engine->stages; i++) {
        struct program *program = engine->stage[i].program;
        base[ARENA_INPUT] = engine->memory[i % 2 ? ARENA_OUTPUT : ARENA_INPUT];
        base[ARENA_OUTPUT] = engine->memory[i % 2 ? ARENA_INPUT : ARENA_OUTPUT];
        program_bind(program, base);
        for (int a = 0; a < ARENAS; a++)
            if (is_own(engine, a) && base[a]) base[a] += program->bytes[a];
    }
}

hff_status engine_bind(struct engine *engine)
{
    for (int a = 0; a < ARENAS; a++) {
        void *memory = NULL;
        if (engine->bytes[a]) {
            hff_status status = engine->backend->api->alloc(engine->backend, engine->bytes[a], &memory);
            if (status != HFF_OK) return trail_add(status, "arena of %s", arena_name((enum arena_kind)a));
        }
        engine->memory[a] = memory;
    }
    engine->host = malloc(engine->host_bytes);
    if (!engine->host) return fail(HFF_E_MEMORY, "no memory for %zu bytes of staging", engine->host_bytes);
    if (engine->pipeline)
        TRY(pipeline_bind(engine));
    else
        bind_serial(engine);
    TRY(resident_bind(engine));
    return cache_bind(engine);
}

hff_status engine_init(struct engine *engine, uint64_t seed)
{
    TRY(engine_drain(engine));
    engine->unpacked = 1;
    for (int i = 0; i < engine->stages; i++) TRY(program_init(engine->stage[i].program, engine->stream, seed, i + 1));
    return HFF_OK;
}
