/* Events of backends whose streams do everything at once: there is never anything to wait for. For their tables. */
#ifndef HFF_BACKEND_SYNCHRONOUS_H
#define HFF_BACKEND_SYNCHRONOUS_H

#include "backend.h"

hff_status synchronous_event_create(struct backend *backend, struct event **out);
void synchronous_event_destroy(struct event *event);
hff_status synchronous_event_record(struct event *event, struct stream *stream);
hff_status synchronous_stream_wait_event(struct stream *stream, struct event *event);

#endif
