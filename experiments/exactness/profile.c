/* Steps as a whole, and the same ops with a clock between them. */
#include "profile.h"

#include "quiet.h"

#include "base/clock.h"
#include "base/philox.h"

#include <stdlib.h>
#include <string.h>

enum { WARM_UP = 2, STAGES = 64, TRIES = 4 };

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double median(double *numbers, int count)
{
    qsort(numbers, (size_t)count, sizeof *numbers, ascending);
    return count % 2 ? numbers[count / 2] : 0.5 * (numbers[count / 2 - 1] + numbers[count / 2]);
}

static struct batch random_batch(struct arena *arena, int size, int64_t sample, int classes)
{
    struct rng rng;
    struct batch batch = {.size = size, .real = size};
    batch.images = ARENA_NEW(arena, float, size *sample);
    batch.y1 = ARENA_NEW(arena, int32_t, size);
    batch.y2 = batch.y1;
    batch.weight = ARENA_NEW(arena, float, size);
    rng_open(&rng, 1, RNG_TEST, 0, 0);
    for (int64_t i = 0; i < size * sample; i++) batch.images[i] = (float)rng_normal(&rng);
    for (int i = 0; i < size; i++) {
        batch.y1[i] = (int32_t)rng_below(&rng, (uint32_t)classes);
        batch.weight[i] = 1;
    }
    return batch;
}

/* One step, op by op; seconds by kind and by stage. */
static hff_status walk(struct engine *engine, const struct batch *batch, double *kind, double *stage)
{
    const struct stage_run *first = &engine->stage[0];
    TRY(engine->backend->api->copy_in(engine->stream, program_address(first->program, first->input), batch->images,
                                      (size_t)engine->batch * (size_t)engine->sample * sizeof(float)));
    memset(kind, 0, OP_KINDS * sizeof *kind);
    memset(stage, 0, STAGES * sizeof *stage);
    for (int i = 0; i < engine->stages; i++) {
        const struct program *program = engine->stage[i].program;
        for (int s = SECTION_FORWARD; s <= SECTION_UPDATE; s++)
            for (int k = 0; k < program->count[s]; k++) {
                const struct instr *instr = &program->section[s][k];
                double start = clock_seconds();
                TRY(engine->backend->api->op_run(instr->op, engine->stream, instr->address, program->base[ARENA_WORK]));
                TRY(engine->backend->api->stream_wait(engine->stream));
                double seconds = clock_seconds() - start;
                kind[instr->op->desc.kind] += seconds;
                if (i < STAGES) stage[i] += seconds;
            }
    }
    return HFF_OK;
}

static void count_work(struct profile *out, const struct engine *engine)
{
    for (int i = 0; i < engine->stages; i++)
        for (int s = SECTION_FORWARD; s <= SECTION_UPDATE; s++)
            for (int k = 0; k < engine->stage[i].program->count[s]; k++) {
                const struct op_desc *desc = &engine->stage[i].program->section[s][k].op->desc;
                out->count[desc->kind]++;
                out->flops[desc->kind] += op_flops(desc);
                out->bytes[desc->kind] += op_bytes(desc);
            }
}

/* Medians over steps of columns of a table of steps rows. */
static void medians(double *out, const double *table, int steps, int columns, double *room)
{
    for (int c = 0; c < columns; c++) {
        for (int s = 0; s < steps; s++) room[s] = table[s * columns + c];
        out[c] = median(room, steps);
    }
}

hff_status profile_take(struct profile *out, struct setup *setup, const struct shape *input, int classes, int steps)
{
    struct arena arena = {0};
    struct engine *engine = setup->engine;
    double *whole = ARENA_NEW(&arena, double, steps), *room = ARENA_NEW(&arena, double, steps);
    double *kinds = ARENA_NEW(&arena, double, steps *OP_KINDS), *stages = ARENA_NEW(&arena, double, steps *STAGES);
    struct batch batch = random_batch(&arena, engine->batch, shape_count(input), classes);
    hff_status status = HFF_OK;
    *out = (struct profile){0};
    TRY_GOTO(status, engine_bind(engine), end);
    TRY_GOTO(status, engine_init(engine, setup->run.seed), end);
    for (int s = -WARM_UP; s < steps; s++) {
        int row = s < 0 ? 0 : s; /* the warm-up's rows are written over */
        double share = 1;
        for (int i = 0; i < TRIES && share > CALM; i++) {
            double before = waited_seconds(), start = clock_seconds();
            TRY_GOTO(status, engine_step(engine, &batch), end);
            whole[row] = clock_seconds() - start;
            TRY_GOTO(status, walk(engine, &batch, kinds + row * OP_KINDS, stages + row * STAGES), end);
            share = (waited_seconds() - before) / (clock_seconds() - start);
        }
        if (s >= 0) out->disturbed += share > CALM;
    }
    for (int s = 0; s < steps; s++)
        for (int k = 0; k < OP_KINDS; k++) room[s] += kinds[s * OP_KINDS + k];
    out->walk = median(room, steps);
    out->step = median(whole, steps);
    medians(out->kind, kinds, steps, OP_KINDS, room);
    medians(out->stage, stages, steps, STAGES, room);
    count_work(out, engine);
end:
    arena_free(&arena);
    return status;
}

void profile_print(const struct profile *profile, FILE *out)
{
    int order[OP_KINDS], kinds = 0;
    for (int k = 0; k < OP_KINDS; k++) {
        int at = kinds;
        if (!profile->count[k]) continue;
        for (; at > 0 && profile->kind[order[at - 1]] < profile->kind[k]; at--) order[at] = order[at - 1];
        order[at] = k;
        kinds++;
    }
    fprintf(out, "%-14s %5s %9s %7s %9s %8s\n", "op", "count", "ms", "%", "GFLOP/s", "GB/s");
    for (int i = 0; i < kinds; i++) {
        int k = order[i];
        double seconds = profile->kind[k];
        fprintf(out, "%-14s %5d %9.3f %7.1f %9.1f %8.1f\n", op_table[k].name, profile->count[k], 1e3 * seconds,
                100 * seconds / profile->walk, profile->flops[k] / seconds * 1e-9, profile->bytes[k] / seconds * 1e-9);
    }
    fprintf(out, "%-14s %5s %9.3f\n", "all", "", 1e3 * profile->walk);
    fputs("by stage, ms:", out);
    for (int i = 0; i < STAGES && profile->stage[i] > 0; i++) fprintf(out, " %.2f", 1e3 * profile->stage[i]);
    fputs("\n", out);
}
