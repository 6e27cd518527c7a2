/* A timeline: who did what from when to when, as Chrome trace JSON (chrome://tracing, https://ui.perfetto.dev).
 *
 * Tracks are rows of the picture, in groups: a loader's thread, a stage, later a device's stream. Spans of one track
 * may nest. All memory is taken by trace_open; what does not fit any more is counted and left out, so the beginning
 * of a run is kept. Nothing is written before trace_write.
 *
 * Without a trace every track is NULL, and a call with a NULL track costs one comparison. */
#ifndef HFF_BASE_TRACE_H
#define HFF_BASE_TRACE_H

#include "status.h"

#include <stdint.h>

struct trace;
struct track;

/* Takes memory for that many spans, and makes sure that path can be written (HFF_E_IO). */
hff_status trace_open(struct trace **out, const char *path, size_t spans);
void trace_close(struct trace *trace);

/* Writes the file, complete or not at all. No thread may record meanwhile. */
hff_status trace_write(struct trace *trace);

/* How many spans were recorded, and how many of these had no room. */
void trace_count(const struct trace *trace, size_t *kept, size_t *dropped);

/* The track of that name in that group, made when there is none; names are copied. NULL for a NULL trace. One thread
 * at a time. */
struct track *trace_track(struct trace *trace, const char *group, const char *name);

/* A span of times as clock_seconds gives them. Any thread; name and what live as long as the trace and are plain
 * text. what: says what number counts ("step"), NULL: there is no number. */
void trace_span(struct track *track, const char *name, const char *what, int64_t number, double begin, double end);

/* The time now, for a span that ends later; 0 for a NULL track. */
double trace_begin(const struct track *track);
/* trace_span from begin to now. */
void trace_end(struct track *track, const char *name, const char *what, int64_t number, double begin);

#endif
