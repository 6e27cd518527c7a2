/* Cutting work into tasks. Cuts follow from an op's shapes and the samples of one slice only, so that neither the
 * number of threads nor the number of ranks that share the slices changes what a kernel computes. */
#ifndef HFF_BACKEND_CPU_CUT_H
#define HFF_BACKEND_CPU_CUT_H

#include "cpu.h"

/* A range in pieces of size, the last of which may be shorter. */
struct cut {
    int64_t total, size;
    int count;
};

static inline struct cut cut_exact(int64_t total, int64_t size)
{
    return (struct cut){.total = total, .size = size, .count = (int)((total + size - 1) / size)};
}

/* Even pieces of about want, a multiple of 16 (a vector, and a block of channels). */
static inline struct cut cut_even(int64_t total, int64_t want)
{
    int64_t pieces = (total + want - 1) / want, size = (total + pieces - 1) / pieces;
    size = (size + 15) / 16 * 16;
    return cut_exact(total, size < total ? size : total);
}

static inline int64_t cut_start(const struct cut *cut, int i)
{
    return i * cut->size;
}

static inline int64_t cut_length(const struct cut *cut, int i)
{
    int64_t left = cut->total - i * cut->size;
    return left < cut->size ? left : cut->size;
}

static inline int cut_is_short(const struct cut *cut, int i)
{
    return cut_length(cut, i) < cut->size;
}

/* Arrays that are cut one by one, an absent one into no pieces. */
struct cuts {
    struct cut cut[GRAD_GROUPS];
    int count;
};

static inline void cuts_add(struct cuts *cuts, int i, struct cut cut)
{
    cuts->cut[i] = cut;
    cuts->count += cut.count;
}

/* The array that a piece is of; piece becomes its number in there. */
static inline int cuts_find(const struct cuts *cuts, int *piece)
{
    int i = 0;
    for (; *piece >= cuts->cut[i].count; i++) *piece -= cuts->cut[i].count;
    return i;
}

/* The largest divisor of a slice's samples up to most. */
static inline int64_t slice_piece(int64_t samples, int64_t most)
{
    int64_t piece = samples < most ? samples : most;
    while (samples % piece) piece--;
    return piece;
}

static inline size_t align64(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

#endif
