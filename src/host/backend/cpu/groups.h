/* Channel groups: how ops that work channel by channel walk over an activation in any of its layouts.
 *
 * A group is a few channels (a block of LAYOUT_BLOCKED, else 16). A chunk is a run of positions (sample, row, column)
 * of one group, short enough for the first-level cache, as lines of `lanes` elements one after the other: in
 * LAYOUT_BLOCKED it is the memory itself, in other layouts a copy, in f32. Chunks are cut inside a slice and follow from the
 * shape and the slice alone. */
#ifndef HFF_BACKEND_CPU_GROUPS_H
#define HFF_BACKEND_CPU_GROUPS_H

#include "cpu.h"
#include "cut.h"
#include "element.h"

enum { CHUNK = 256 /* positions: 16 KiB with 16 lanes */ };

struct groups {
    int lanes, count; /* of a group; groups */
    int blocked;
    enum dtype type, line_type; /* of elements in memory and in lines */
    int64_t samples;            /* of a slice, or of the batch */
    int64_t channels, area;
    int64_t row;    /* elements of a sample in memory */
    int64_t chunks; /* of a slice and group */
    int64_t pieces; /* chunks of a sample, blocked */
};

struct chunk {
    int64_t sample, first,
        count; /* first position, counted from that sample's first; a copied one may go on to the next */
};

/* HFF_E_CONFIG for what the cpu backend has no kernels for: another type than f32 and bf16, other blocks than 8 and 16. */
hff_status groups_make(struct groups *out, const struct tensor *t, int slices);
/* HFF_E_CONFIG when two arguments do not lie alike. */
hff_status groups_same(const struct tensor *a, const struct tensor *b);

struct chunk chunk_at(const struct groups *groups, int slice, int64_t i);
/* Channels of a group; the other lanes are padding. */
int group_channels(const struct groups *groups, int group);
/* Where chunk i of a slice begins, to ask for it early, since chunks of a group lie far apart; NULL where it is a copy
 * or there is none. */
const void *chunk_ahead(const struct groups *groups, int group, int slice, int64_t i, const void *data);
/* The chunk's lines: in place, or copied to space (CHUNK lines). */
const void *chunk_get(const struct groups *groups, int group, const struct chunk *chunk, const void *data,
                      float *space);
/* Where to write a chunk's lines: in place or to space; then chunk_put, which also zeroes padding lanes. */
void *chunk_room(const struct groups *groups, int group, const struct chunk *chunk, void *data, float *space);
void chunk_put(const struct groups *groups, int group, const struct chunk *chunk, void *data, void *lines);
/* A group's part of a per-channel array, padded with 0. */
void group_channel_values(const struct groups *groups, int group, const float *values, float *lanes);

/* A function body for a CPU_SIMD function: CALL(lanes, type, ...) with lanes of a block and type as constants. */
#define EACH_LINE(lanes, type, CALL, ...)                                                                              \
    if ((lanes) == 16 && (type) == DTYPE_F32)                                                                          \
        CALL(16, DTYPE_F32, __VA_ARGS__);                                                                              \
    else if ((type) == DTYPE_F32)                                                                                      \
        CALL(8, DTYPE_F32, __VA_ARGS__);                                                                               \
    else if ((lanes) == 16)                                                                                            \
        CALL(16, DTYPE_BF16, __VA_ARGS__);                                                                             \
    else                                                                                                               \
        CALL(8, DTYPE_BF16, __VA_ARGS__);

#endif
