/* Streams, events, copies and capture of the cuda backend, for its table. */
#ifndef HFF_BACKEND_CUDA_STREAM_H
#define HFF_BACKEND_CUDA_STREAM_H

#include "../backend.h"

struct cuda_backend;

/* What cuda_event_seconds needs; closed after all events and streams. */
hff_status cuda_clock_open(struct cuda_backend *backend);
void cuda_clock_close(struct cuda_backend *backend);
hff_status cuda_stream_create(struct backend *backend, struct stream **out);
void cuda_stream_destroy(struct stream *stream);
hff_status cuda_stream_wait(struct stream *stream);
hff_status cuda_copy_in(struct stream *stream, void *device, const void *host, size_t bytes);
hff_status cuda_copy_out(struct stream *stream, void *host, const void *device, size_t bytes);
hff_status cuda_clear(struct stream *stream, void *device, size_t bytes);
hff_status cuda_event_create(struct backend *backend, struct event **out);
void cuda_event_destroy(struct event *event);
hff_status cuda_event_record(struct event *event, struct stream *stream);
hff_status cuda_stream_wait_event(struct stream *stream, struct event *event);
hff_status cuda_event_seconds(struct event *event, double *seconds);
hff_status cuda_capture_begin(struct stream *stream);
hff_status cuda_capture_end(struct stream *stream, struct capture **out);
hff_status cuda_replay(struct capture *capture, struct stream *stream);
void cuda_capture_destroy(struct capture *capture);

#endif
