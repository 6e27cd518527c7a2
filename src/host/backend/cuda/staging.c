/* Pinned memory that copies from the host go through. Two rings of places, small ones for numbers of a step and large
 * ones for batches; a place is free again when the copy out of it is done, which its event says. The host waits only
 * where it is a whole ring ahead of the device. */
#include "cuda.h"

#include <stdlib.h>
#include <string.h>

enum { SMALL_PLACES = 128, SMALL_BYTES = 16 << 10, LARGE_PLACES = 8, LARGE_BYTES = 2 << 20 };

struct ring {
    unsigned char *memory;
    void **event;        /* one for each place; recorded behind the copy out of it */
    unsigned char *busy; /* whether that was done since the last wait */
    size_t bytes;        /* of a place */
    int places, next;
};

struct cuda_staging {
    struct ring small, large;
};

static void ring_close(struct ring *ring)
{
    for (int i = 0; ring->event && i < ring->places; i++)
        if (ring->event[i]) cuda_calls.event_destroy(ring->event[i]);
    if (ring->memory) cuda_calls.pinned_free(ring->memory);
    free(ring->event);
    free(ring->busy);
}

static hff_status ring_open(struct ring *ring, int places, size_t bytes)
{
    *ring = (struct ring){.places = places, .bytes = bytes};
    ring->event = calloc((size_t)places, sizeof *ring->event);
    ring->busy = calloc((size_t)places, 1);
    if (!ring->event || !ring->busy) return fail(HFF_E_MEMORY, "no memory for copies to the device");
    void *memory = NULL;
    TRY(cuda_calls.pinned_alloc((size_t)places * bytes, &memory));
    ring->memory = memory;
    for (int i = 0; i < places; i++) TRY(cuda_calls.event_create(&ring->event[i]));
    return HFF_OK;
}

hff_status cuda_staging_open(struct cuda_staging **out)
{
    *out = calloc(1, sizeof **out);
    if (!*out) return fail(HFF_E_MEMORY, "no memory for copies to the device");
    TRY(ring_open(&(*out)->small, SMALL_PLACES, SMALL_BYTES));
    return ring_open(&(*out)->large, LARGE_PLACES, LARGE_BYTES);
}

void cuda_staging_close(struct cuda_staging *staging)
{
    if (!staging) return;
    ring_close(&staging->small);
    ring_close(&staging->large);
    free(staging);
}

static hff_status send_piece(struct ring *ring, struct stream *stream, void *device, const void *host, size_t bytes)
{
    int place = ring->next;
    unsigned char *at = ring->memory + (size_t)place * ring->bytes;
    ring->next = (place + 1) % ring->places;
    if (ring->busy[place]) TRY(cuda_calls.event_wait(ring->event[place]));
    memcpy(at, host, bytes);
    TRY(cuda_calls.copy(device, at, bytes, stream->handle));
    TRY(cuda_calls.event_record(ring->event[place], stream->handle));
    ring->busy[place] = 1;
    return HFF_OK;
}

hff_status cuda_staging_send(struct cuda_staging *staging, struct stream *stream, void *device, const void *host,
                             size_t bytes)
{
    struct ring *ring = bytes <= SMALL_BYTES ? &staging->small : &staging->large;
    for (size_t at = 0; at < bytes; at += ring->bytes) {
        size_t piece = bytes - at < ring->bytes ? bytes - at : ring->bytes;
        TRY(send_piece(ring, stream, (unsigned char *)device + at, (const unsigned char *)host + at, piece));
    }
    return HFF_OK;
}
