/* Between the files of this room only. */
#ifndef HFF_ENGINE_PRIVATE_H
#define HFF_ENGINE_PRIVATE_H

#include "engine.h"

/* The last thing done to a stage's graph: recomputation and sums over micro-batches, as asked for. */
void engine_rewrite(const struct engine *engine, const struct config_node *root, struct stage_run *run,
                    struct graph *graph);

/* After a latched step of a stage: repeats it op by op and returns the error that names the op. */
hff_status engine_name_bad_op(struct engine *engine, const struct batch *batch, int stage);

#endif
