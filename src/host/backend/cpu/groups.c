/* Walking over an activation by groups of channels and chunks of positions. */
#include "groups.h"

hff_status groups_make(struct groups *out, const struct tensor *t, int slices)
{
    char text[128];
    int blocked = t->layout == LAYOUT_BLOCKED;
    if (t->dtype != DTYPE_F32 || (blocked ? t->block != 8 && t->block != 16 : t->layout != LAYOUT_PLAIN))
        return fail(HFF_E_CONFIG, "the cpu backend has no kernel for an activation %s",
                    tensor_text(t, text, sizeof text));
    int64_t channels = t->rank > 1 ? t->dim[1] : 1, area = tensor_row(t) / channels, samples = t->dim[0] / slices;
    int lanes = blocked ? t->block : LANES;
    *out = (struct groups){.lanes = lanes,
                           .count = (int)((channels + lanes - 1) / lanes),
                           .blocked = blocked,
                           .samples = samples,
                           .channels = channels,
                           .area = area,
                           .row = (int64_t)(tensor_row_bytes(t) / sizeof(float)),
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

static float *lines_in_place(const struct groups *groups, int group, const struct chunk *chunk, const void *data)
{
    float *plane = (float *)data + chunk->sample * groups->row + (int64_t)group * groups->area * groups->lanes;
    return plane + chunk->first * groups->lanes;
}

/* Copies between plain memory and lines: runs of each channel inside a sample, or, with an area of 1, whole lines. */
static void copy_plain(const struct groups *groups, int group, const struct chunk *chunk, float *data, float *lines,
                       int put)
{
    int channels = group_channels(groups, group);
    int64_t sample = chunk->sample, at = chunk->first, area = groups->area;
    for (int64_t done = 0; done < chunk->count;) {
        int64_t run = area - at < chunk->count - done ? area - at : chunk->count - done;
        float *plane = data + sample * groups->row + (int64_t)group * groups->lanes * area + at,
              *line = lines + done * LANES;
        if (area == 1)
            memcpy(put ? plane : line, put ? line : plane, sizeof(float) * (size_t)channels);
        else if (put)
            for (int c = 0; c < channels; c++)
                for (int64_t i = 0; i < run; i++) plane[c * area + i] = line[i * LANES + c];
        else
            for (int c = 0; c < channels; c++)
                for (int64_t i = 0; i < run; i++) line[i * LANES + c] = plane[c * area + i];
        done += run;
        sample++;
        at = 0;
    }
}

const float *chunk_ahead(const struct groups *groups, int group, int slice, int64_t i, const void *data)
{
    if (!groups->blocked || i < 0 || i >= groups->chunks) return NULL;
    struct chunk chunk = chunk_at(groups, slice, i);
    return lines_in_place(groups, group, &chunk, data);
}

float *chunk_get(const struct groups *groups, int group, const struct chunk *chunk, const void *data, float *space)
{
    if (groups->blocked) return lines_in_place(groups, group, chunk, data);
    if (group_channels(groups, group) < LANES) memset(space, 0, sizeof(float) * LANES * CHUNK);
    copy_plain(groups, group, chunk, (float *)data, space, 0);
    return space;
}

float *chunk_room(const struct groups *groups, int group, const struct chunk *chunk, void *data, float *space)
{
    return groups->blocked ? lines_in_place(groups, group, chunk, data) : space;
}

void chunk_put(const struct groups *groups, int group, const struct chunk *chunk, void *data, float *lines)
{
    int channels = group_channels(groups, group);
    if (!groups->blocked)
        copy_plain(groups, group, chunk, data, lines, 1);
    else if (channels < groups->lanes)
        for (int64_t i = 0; i < chunk->count; i++)
            for (int c = channels; c < groups->lanes; c++) lines[i * groups->lanes + c] = 0;
}

void group_channel_values(const struct groups *groups, int group, const float *values, float *lanes)
{
    int channels = group_channels(groups, group);
    for (int c = 0; c < groups->lanes; c++) lanes[c] = c < channels ? values[group * groups->lanes + c] : 0;
}
