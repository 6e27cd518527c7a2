/* Walking over an activation by groups of channels and chunks of positions. */
#include "groups.h"

hff_status groups_make(struct groups *out, const struct tensor *t, int slices)
{
    char text[128];
    int blocked = t->layout == LAYOUT_BLOCKED;
    int known = t->dtype == DTYPE_F32 || t->dtype == DTYPE_BF16;
    if (!known || (blocked ? t->block != 8 && t->block != 16 : t->layout != LAYOUT_PLAIN))
        return fail(HFF_E_CONFIG, "the cpu backend has no kernel for an activation %s",
                    tensor_text(t, text, sizeof text));
    int64_t channels = t->rank > 1 ? t->dim[1] : 1, area = tensor_row(t) / channels, samples = t->dim[0] / slices;
    int lanes = blocked ? t->block : LANES;
    *out = (struct groups){.lanes = lanes,
                           .count = (int)((channels + lanes - 1) / lanes),
                           .blocked = blocked,
                           .type = t->dtype,
                           .line_type = blocked ? t->dtype : DTYPE_F32,
                           .samples = samples,
                           .channels = channels,
                           .area = area,
                           .row = (int64_t)(tensor_row_bytes(t) / dtype_bytes(t->dtype)),
                           .pieces = (area + CHUNK - 1) / CHUNK};
    out->chunks = blocked ? samples * out->pieces : (samples * area + CHUNK - 1) / CHUNK;
    return HFF_OK;
}

hff_status groups_same(const struct tensor *a, const struct tensor *b)
{
    if (a->layout == b->layout && (a->layout != LAYOUT_BLOCKED || a->block == b->block)) return HFF_OK;
    return fail(HFF_E_CONFIG, "the cpu backend wants input and output in the same layout; put a reorder between");
}

struct chunk chunk_at(const struct groups *groups, int slice, int64_t i)
{
    struct chunk chunk;
    int64_t sample = slice * groups->samples, end;
    if (groups->blocked) {
        chunk.sample = sample + i / groups->pieces;
        chunk.first = i % groups->pieces * CHUNK;
        end = groups->area;
    } else {
        chunk.sample = sample + i * CHUNK / groups->area;
        chunk.first = i * CHUNK % groups->area;
        end = (sample + groups->samples - chunk.sample) * groups->area;
    }
    chunk.count = end - chunk.first < CHUNK ? end - chunk.first : CHUNK;
    return chunk;
}

int group_channels(const struct groups *groups, int group)
{
    int64_t left = groups->channels - (int64_t)group * groups->lanes;
    return left < groups->lanes ? (int)left : groups->lanes;
}

static int64_t first_in_place(const struct groups *groups, int group, const struct chunk *chunk)
{
    int64_t plane = chunk->sample * groups->row + (int64_t)group * groups->area * groups->lanes;
    return plane + chunk->first * groups->lanes;
}

/* Between n elements in memory and as many f32, step apart. */
INLINE void copy_run(enum dtype type, int put, void *data, int64_t at, float *lines, int64_t step, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (put)
            element_put(type, data, at + i, lines[i * step]);
        else
            lines[i * step] = element_get(type, data, at + i);
}

/* Copies between plain memory and lines: runs of each channel inside a sample, or, with an area of 1, whole lines. */
INLINE void copy_plain(enum dtype type, int put, const struct groups *groups, int group, const struct chunk *chunk,
                       void *data, float *lines)
{
    int channels = group_channels(groups, group);
    int64_t sample = chunk->sample, first = chunk->first, area = groups->area;
    for (int64_t done = 0; done < chunk->count;) {
        int64_t run = area - first < chunk->count - done ? area - first : chunk->count - done;
        int64_t at = sample * groups->row + (int64_t)group * groups->lanes * area + first;
        float *line = lines + done * LANES;
        if (area == 1)
            copy_run(type, put, data, at, line, 1, channels);
        else
            for (int c = 0; c < channels; c++) copy_run(type, put, data, at + c * area, line + c, LANES, run);
        done += run;
        sample++;
        first = 0;
    }
}

static void copy(int put, const struct groups *groups, int group, const struct chunk *chunk, void *data, float *lines)
{
    if (groups->type == DTYPE_BF16)
        copy_plain(DTYPE_BF16, put, groups, group, chunk, data, lines);
    else
        copy_plain(DTYPE_F32, put, groups, group, chunk, data, lines);
}

const void *chunk_ahead(const struct groups *groups, int group, int slice, int64_t i, const void *data)
{
    if (!groups->blocked || i < 0 || i >= groups->chunks) return NULL;
    struct chunk chunk = chunk_at(groups, slice, i);
    return element_at(groups->type, data, first_in_place(groups, group, &chunk));
}

const void *chunk_get(const struct groups *groups, int group, const struct chunk *chunk, const void *data, float *space)
{
    if (groups->blocked) return element_at(groups->type, data, first_in_place(groups, group, chunk));
    if (group_channels(groups, group) < LANES) memset(space, 0, sizeof(float) * LANES * CHUNK);
    copy(0, groups, group, chunk, (void *)data, space);
    return space;
}

void *chunk_room(const struct groups *groups, int group, const struct chunk *chunk, void *data, float *space)
{
    return groups->blocked ? element_to(groups->type, data, first_in_place(groups, group, chunk)) : space;
}

void chunk_put(const struct groups *groups, int group, const struct chunk *chunk, void *data, void *lines)
{
    int channels = group_channels(groups, group), lanes = groups->lanes;
    if (!groups->blocked)
        copy(1, groups, group, chunk, data, lines);
    else if (channels < lanes)
        for (int64_t i = 0; i < chunk->count; i++)
            for (int c = channels; c < lanes; c++) element_put(groups->type, lines, i * lanes + c, 0);
}

void group_channel_values(const struct groups *groups, int group, const float *values, float *lanes)
{
    int channels = group_channels(groups, group);
    for (int c = 0; c < groups->lanes; c++) lanes[c] = c < channels ? values[group * groups->lanes + c] : 0;
}
