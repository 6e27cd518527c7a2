/* Streams with work in flight on a backend that does everything at once: a worker thread for each stream takes what the
 * host enqueues, and events let one worker wait for another. What computes stays the inner backend, with its bits.
 *
 *     queue_open(cpu, &q);   q->api->asynchronous is 1; everything but streams and events is the inner backend's
 *     backend_close(q);      leaves the inner backend open
 *
 * A stream of part i of n gets that part of the inner backend's threads (stream_create_part), any other stream all of
 * them. copy_in returns when the copy has been done, so it waits for what its stream was given before. An error of an op
 * stays with its stream, which from then on does nothing but its events; stream_wait returns it. There is no capture. */
#ifndef HFF_BACKEND_QUEUE_H
#define HFF_BACKEND_QUEUE_H

#include "backend.h"

/* inner: not asynchronous; outlives *out. */
hff_status queue_open(struct backend *inner, struct backend **out);

#endif
