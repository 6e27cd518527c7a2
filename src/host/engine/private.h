/* Between the files of this room only. */
#ifndef HFF_ENGINE_PRIVATE_H
#define HFF_ENGINE_PRIVATE_H

#include "engine.h"

/* After a latched step of a stage: repeats it op by op and returns the error that names the op. */
hff_status engine_name_bad_op(struct engine *engine, int stage);

#endif
