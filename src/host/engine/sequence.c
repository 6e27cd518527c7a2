/* Schedule sequential: stages learn in turn, each for the same number of steps. Whose turn it is follows from the stages'
 * own steps, so that a checkpoint needs nothing more than the number of all. */
#include "private.h"

int64_t engine_steps(const struct engine *engine)
{
    int64_t steps = 0;
    if (!engine->sequential) return engine->stage[0].step;
    for (int i = 0; i < engine->stages; i++) steps += engine->stage[i].step;
    return steps;
}

int sequence_turn(const struct engine *engine)
{
    int stage = 0;
    while (stage < engine->stages - 1 && engine->stage[stage].step >= engine->stage_steps) stage++;
    return stage;
}

void engine_stand_at(struct engine *engine, int64_t steps)
{
    int64_t each = engine->stage_steps;
    for (int i = 0; i < engine->stages; i++) {
        struct stage_run *run = &engine->stage[i];
        int last = i == engine->stages - 1;
        run->step = !engine->sequential ? steps : steps < each || last ? steps : each;
        if (!engine->sequential) continue;
        steps -= run->step;
        if (run->step > 0 || i == 0) engine->evaluated = i + 1;
    }
}
