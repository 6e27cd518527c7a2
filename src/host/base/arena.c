/* Arenas: a list of blocks, each filled from its start. */
#include "arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct arena_block {
    struct arena_block *next;
    size_t used, size;
    _Alignas(64) unsigned char data[];
};

enum { BLOCK = 64 << 10, ALIGN = 64 };

void *arena_alloc(struct arena *arena, size_t bytes)
{
    if (bytes > SIZE_MAX / 2) bytes = SIZE_MAX / 2; /* fails below */
    bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    struct arena_block *block = arena->blocks;
    if (!block || block->size - block->used < bytes) {
        size_t size = bytes > BLOCK ? bytes : BLOCK;
        block = aligned_alloc(ALIGN, (sizeof *block + size + ALIGN - 1) / ALIGN * ALIGN);
        if (!block) {
            fprintf(stderr, "hff: out of memory (%zu bytes)\n", bytes);
            exit(1);
        }
        *block = (struct arena_block){.next = arena->blocks, .size = size};
        arena->blocks = block;
    }
    void *result = block->data + block->used;
    block->used += bytes;
    return memset(result, 0, bytes);
}

char *arena_text(struct arena *arena, const char *text)
{
    size_t length = strlen(text) + 1;
    return memcpy(arena_alloc(arena, length), text, length);
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = arena_alloc(arena, (size_t)length + 1);
    va_start(args, format);
    vsnprintf(text, (size_t)length + 1, format, args);
    va_end(args);
    return text;
}

void arena_free(struct arena *arena)
{
    for (struct arena_block *block = arena->blocks, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    arena->blocks = NULL;
}
