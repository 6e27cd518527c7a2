/* Between the files of this room only. */
#ifndef HFF_ENGINE_PRIVATE_H
#define HFF_ENGINE_PRIVATE_H

#include "engine.h"

/* After a latched step of a stage: repeats it op by op and returns the error that names the op. */
hff_status engine_name_bad_op(struct engine *engine, int stage);

/* Where stages learn in turn: whose turn the next step is (sequence.c). */
int sequence_turn(const struct engine *engine);

/* The cache (cache.c). Plans it where the config asks for it; the stages' programs are built. HFF_E_CONFIG with the place
 * where what frozen stages pass on is another thing in each epoch. */
hff_status cache_plan(struct engine *engine, const struct engine_options *options);
hff_status cache_bind(struct engine *engine);
void cache_free(struct engine *engine);
/* To a stage's input: the batch as the stages before it passed it on, where all of its samples are kept (*known). */
hff_status cache_get(struct engine *engine, int stage, const struct batch *batch, int *known);
/* Keeps what now is a stage's input. */
hff_status cache_keep(struct engine *engine, int stage, const struct batch *batch);

#endif
