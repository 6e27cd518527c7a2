/* The timeline of a run (hff train --trace; base/trace.h). */
#ifndef HFF_TRAIN_TIMELINE_H
#define HFF_TRAIN_TIMELINE_H

#include "base/trace.h"

/* Before anything is touched: HFF_E_IO when path cannot be written. */
hff_status timeline_open(struct trace **out, const char *path);

/* Writes the file, however the run ended (status): what was recorded is worth most when something went wrong. Returns
 * status, or when that is HFF_OK what came of writing. trace may be NULL. */
hff_status timeline_end(struct trace *trace, const char *path, hff_status status);

#endif
