/* What several benches share: what they refuse, and their rows: spread, times by section, the plan. */
#include "bench_rows.h"

#include <string.h>

hff_status bench_joint(const struct setup *setup)
{
    if (setup->engine->sequential)
        return config_fail(config_at(config_root(setup->config), "engine.schedule"),
                           "what is timed are steps that train all stages; use engine.schedule joint");
    return HFF_OK;
}

void put_spread(json_t *row, const char *key, struct spread s)
{
    json_t *object = json_object();
    json_object_set_new(object, "median", json_number(1e3 * s.median));
    json_object_set_new(object, "min", json_number(1e3 * s.min));
    json_object_set_new(object, "max", json_number(1e3 * s.max));
    json_object_set_new(row, key, object);
    json_object_set_new(row, "runs", json_integer(s.runs));
}

void step_phases(const struct engine *engine, enum section phases[PHASES + 1])
{
    static const enum section order[PHASES] = {SECTION_PREVIEW, SECTION_FORWARD, SECTION_HEAD, SECTION_BACKWARD,
                                               SECTION_UPDATE};
    int count = 0;
    for (int i = 0; i < PHASES; i++)
        if (order[i] != SECTION_PREVIEW || engine->stage[0].program->count[SECTION_PREVIEW]) phases[count++] = order[i];
    phases[count] = SECTIONS;
}

void clear_phases(struct engine *engine)
{
    for (int i = 0; i < engine->stages; i++) memset(engine->stage[i].seconds, 0, sizeof engine->stage[i].seconds);
}

void put_phases(json_t *row, const struct engine *engine, int64_t steps, double sum[SECTIONS])
{
    enum section phases[PHASES + 1];
    step_phases(engine, phases);
    json_t *stages = json_array();
    for (int i = 0; i < engine->stages; i++) {
        json_t *stage = json_object();
        for (const enum section *s = phases; *s != SECTIONS; s++) {
            double ms = 1e3 * engine->stage[i].seconds[*s] / (double)steps;
            sum[*s] += ms;
            json_object_set_new(stage, section_name(*s), json_number(ms));
        }
        json_array_append_new(stages, stage);
    }
    if (!(sum[SECTION_UPDATE] > 0)) { /* steps that are replayed have no times by section */
        json_decref(stages);
        stages = json_null();
    }
    json_object_set_new(row, "stages_ms", stages);
}

double head_flops_share(const struct engine *engine)
{
    double head = 0;
    for (int i = 0; i < engine->stages; i++) head += engine->stage[i].flops[SECTION_HEAD];
    return head / (engine_flops(engine, 1) * engine->micro);
}

size_t activation_bytes(const struct engine *engine)
{
    return engine->bytes[ARENA_ACT] + engine->bytes[ARENA_INPUT] + engine->bytes[ARENA_OUTPUT];
}

void put_plan(json_t *row, const struct setup *setup)
{
    const struct engine *engine = setup->engine;
    json_object_set_new(row, "step_flops_per_image", json_number(engine_flops(engine, 1)));
    json_object_set_new(row, "head_flops_share", json_number(head_flops_share(engine)));
    json_object_set_new(row, "activation_bytes", json_integer((json_int_t)activation_bytes(engine)));
    json_object_set_new(row, "engine_bytes", json_integer((json_int_t)engine_planned_bytes(engine)));
    json_object_set_new(row, "planned_bytes", json_integer((json_int_t)setup_planned_bytes(setup)));
}
