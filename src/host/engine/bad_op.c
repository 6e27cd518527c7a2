/* Which op's numbers went wrong, when a stage's gradient was not finite. */
#include "private.h"

#include <stdio.h>

#define ADVICE "a smaller optimizer.lr or optimizer.clip may help; the last checkpoint is kept"

hff_status bad_op_find(struct engine *engine, int stage, struct program *program, int64_t step, int64_t repeated)
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
                            "%s%s; " ADVICE,
                            stage + 1, run->stage->name, (long long)step, op_table[instr->op->desc.kind].name,
                            section_name((enum section)s), i + 1, bad, seen);
        }
    return HFF_OK;
}

hff_status bad_op_none(const struct engine *engine, int stage, int64_t step, int64_t repeated)
{
    const struct stage_run *run = &engine->stage[stage];
    if (repeated == step)
        return fail(HFF_E_NUMBERS,
                    "stage %d (%s), step %lld: the gradient's norm is not finite (its numbers are, so their squares "
                    "overflow); " ADVICE,
                    stage + 1, run->stage->name, (long long)step);
    return fail(HFF_E_NUMBERS,
                "stage %d (%s), step %lld: the gradient was not finite, but its batch has left the pipeline and step "
                "%lld shows no op to blame (a resume with run.log_every 1 would); " ADVICE,
                stage + 1, run->stage->name, (long long)step, (long long)repeated);
}
