/* Between the files of this room only. */
#ifndef HFF_ENGINE_PRIVATE_H
#define HFF_ENGINE_PRIVATE_H

#include "engine.h"

/* The last thing done to a stage's graph: recomputation and sums over micro-batches, as asked for. */
void engine_rewrite(const struct engine *engine, const struct config_node *root, struct stage_run *run,
                    struct graph *graph);

/* After a latched step of a stage: repeats it op by op and returns the error that names the op. */
hff_status engine_name_bad_op(struct engine *engine, const struct batch *batch, int stage);

/* Where stages learn in turn: whose turn the next step is (sequence.c). */
int sequence_turn(const struct engine *engine);

/* The cache (cache.c). Plans it where the config asks for it; the stages' programs are built. HFF_E_CONFIG with the place
 * where what frozen stages pass on is another thing in each epoch. */
hff_status cache_plan(struct engine *engine, const struct engine_options *options);
hff_status cache_bind(struct engine *engine);
void cache_free(struct engine *engine);
/* To a stage's input: a part of the batch as the stages before it passed it on, where all of its samples are kept (*known). */
hff_status cache_get(struct engine *engine, int stage, const struct batch *batch, int part, int *known);
/* Keeps what now is a stage's input. */
hff_status cache_keep(struct engine *engine, int stage, const struct batch *batch, int part);

#endif
