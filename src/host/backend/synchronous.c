/* Events where nothing is ever in flight. */
#include "synchronous.h"

#include <stdlib.h>

struct event {
    struct backend *backend;
};

hff_status synchronous_event_create(struct backend *backend, struct event **out)
{
    *out = malloc(sizeof **out);
    if (!*out) return fail(HFF_E_MEMORY, "no memory for an event");
    (*out)->backend = backend;
    return HFF_OK;
}

void synchronous_event_destroy(struct event *event)
{
    free(event);
}

hff_status synchronous_event_record(struct event *event, struct stream *stream)
{
    (void)event;
    (void)stream;
    return HFF_OK;
}

hff_status synchronous_stream_wait_event(struct stream *stream, struct event *event)
{
    (void)stream;
    (void)event;
    return HFF_OK;
}
