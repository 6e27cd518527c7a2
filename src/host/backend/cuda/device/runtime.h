/* The CUDA runtime's part of calls.h. */
#ifndef HFF_BACKEND_CUDA_RUNTIME_H
#define HFF_BACKEND_CUDA_RUNTIME_H

#include "../calls.h"

hff_status runtime_find(struct cuda_device *out);
hff_status runtime_use(int index);
hff_status runtime_memory_left(size_t *bytes);
hff_status runtime_alloc(size_t bytes, void **out);
void runtime_free(void *memory);
hff_status runtime_pinned_alloc(size_t bytes, void **out);
void runtime_pinned_free(void *memory);
hff_status runtime_stream_create(kernel_stream *out);
void runtime_stream_destroy(kernel_stream stream);
hff_status runtime_stream_wait(kernel_stream stream);
hff_status runtime_event_create(void **out);
void runtime_event_destroy(void *event);
hff_status runtime_event_record(void *event, kernel_stream stream);
hff_status runtime_event_wait(void *event);
hff_status runtime_stream_wait_event(kernel_stream stream, void *event);
hff_status runtime_event_seconds(void *from, void *to, double *seconds);
hff_status runtime_copy(void *to, const void *from, size_t bytes, kernel_stream stream);
hff_status runtime_zero(void *at, size_t bytes, kernel_stream stream);
hff_status runtime_capture_begin(kernel_stream stream);
hff_status runtime_capture_end(kernel_stream stream, void **graph);
hff_status runtime_replay(void *graph, kernel_stream stream);
void runtime_graph_destroy(void *graph);
hff_status runtime_kernel_failed(int returned, const char *kernel);

#endif
