/* Memory that lives as long as its owner: allocate piece by piece, free all at once. */
#ifndef HFF_BASE_ARENA_H
#define HFF_BASE_ARENA_H

#include <stddef.h>

struct arena_block;
struct arena {
    struct arena_block *blocks;
};

/* A fresh arena is {0}. Zeroed memory, 64-byte aligned; ends the process with a message only when the host has no
 * memory for these few bytes of bookkeeping (large buffers are allocated by backends, which return a status). */
void *arena_alloc(struct arena *arena, size_t bytes);
char *arena_text(struct arena *arena, const char *text);
char *arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
void arena_free(struct arena *arena);

/* A typed array of count items. */
#define ARENA_NEW(arena, type, count) ((type *)arena_alloc((arena), sizeof(type) * (size_t)(count)))

#endif
