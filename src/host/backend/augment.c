/* Random changes of images.
 *
 * Crop, flip and cutout all treat rows and columns apart: what a pixel shows depends on where its row and its column come
 * from. So each change only rewrites two short lists, and the pixels are touched once, whatever the list of changes. */
#include "augment.h"

#include <string.h>

struct lines {
    int count;
    struct augment_line *now, *next;
};

/* Line i becomes what line i + offset was; beyond the edges its mirror image, or black. */
static void move(struct lines *lines, int offset, int reflect)
{
    int n = lines->count;
    for (int i = 0; i < n; i++) {
        int from = i + offset;
        if (reflect) from = from < 0 ? -from : from >= n ? 2 * n - 2 - from : from;
        lines->next[i] = from >= 0 && from < n ? lines->now[from] : (struct augment_line){-1, 0};
    }
    struct augment_line *old = lines->now;
    lines->now = lines->next;
    lines->next = old;
}

static void flip(struct lines *lines)
{
    for (int i = 0, j = lines->count - 1; i < j; i++, j--) {
        struct augment_line held = lines->now[i];
        lines->now[i] = lines->now[j];
        lines->now[j] = held;
    }
}

static void cut(struct lines *lines, int size, uint32_t bit, struct rng *rng)
{
    int from = (int)rng_below(rng, (uint32_t)lines->count) - size / 2, to = from + size;
    for (int i = from < 0 ? 0 : from; i < to && i < lines->count; i++) lines->now[i].cut |= bit;
}

static void change_lines(const struct augment_change *change, uint32_t bit, struct rng *rng, struct lines *rows,
                         struct lines *columns)
{
    int amount = change->amount;
    switch (change->kind) {
    case AUGMENT_CROP:
        move(rows, (int)rng_below(rng, 2 * (uint32_t)amount + 1) - amount, change->reflect);
        move(columns, (int)rng_below(rng, 2 * (uint32_t)amount + 1) - amount, change->reflect);
        return;
    case AUGMENT_FLIP:
        if (rng_below(rng, 2)) flip(columns);
        return;
    case AUGMENT_CUTOUT:
        cut(rows, amount, bit, rng);
        cut(columns, amount, bit, rng);
        return;
    }
}

static struct lines lines_start(struct augment_line *memory, int count)
{
    struct lines lines = {count, memory, memory + count};
    for (int i = 0; i < count; i++) lines.now[i] = (struct augment_line){i, 0};
    return lines;
}

/* One plane through the two lists. */
static void gather(const struct lines *rows, const struct lines *columns, const float *table, float colour,
                   const uint8_t *plane, float *out)
{
    int width = columns->count;
    const struct augment_line *column = columns->now;
    for (int y = 0; y < rows->count; y++, out += width) {
        struct augment_line row = rows->now[y];
        if (row.source < 0) {
            for (int x = 0; x < width; x++) out[x] = table[0];
        } else {
            const uint8_t *from = plane + (size_t)row.source * (size_t)width;
            for (int x = 0; x < width; x++) out[x] = table[column[x].source < 0 ? 0 : from[column[x].source]];
        }
        if (!row.cut) continue;
        for (int x = 0; x < width; x++)
            if (row.cut & column[x].cut) out[x] = colour;
    }
}

void augment_image(const struct augment_rule *rule, int channels, int height, int width, const float *table,
                   struct augment_line *lines, struct rng *rng, const uint8_t *image, float *out)
{
    size_t plane = (size_t)height * (size_t)width;
    if (rule->changes == 0) {
        for (int c = 0; c < channels; c++)
            for (size_t p = 0; p < plane; p++) *out++ = table[c * 256 + *image++];
        return;
    }
    struct lines rows = lines_start(lines, height), columns = lines_start(lines + 2 * height, width);
    for (int i = 0; i < rule->changes; i++) change_lines(&rule->change[i], 1u << i, rng, &rows, &columns);
    for (int c = 0; c < channels; c++)
        gather(&rows, &columns, table + c * 256, rule->mean_colour[c], image + (size_t)c * plane,
               out + (size_t)c * plane);
}

void augment_blend(const float *own, const float *other, float share, int64_t n, float *out)
{
    float rest = 1.0f - share;
    for (int64_t i = 0; i < n; i++) out[i] = share * own[i] + rest * other[i];
}

enum { IMAGES, TABLE, SAMPLE, PARTNER, SHARE, EPOCH };

size_t augment_scratch(const struct op_desc *desc)
{
    const int64_t *dim = desc->arg[IMAGES].dim;
    return 2 * (size_t)(dim[2] + dim[3]) * sizeof(struct augment_line) +
           (size_t)(tensor_row(&desc->arg[IMAGES]) + 1) / 2 * sizeof(double); /* the partner's image */
}

void augment_row(const struct op_desc *desc, void *const *args, int64_t b, void *scratch, float *out)
{
    const struct augment_rule *rule = &desc->attr.augment;
    const int32_t *sample = args[SAMPLE], *partner = desc->arg[PARTNER].rank ? args[PARTNER] : NULL;
    uint64_t epoch = (uint64_t) * (const int64_t *)args[EPOCH];
    int channels = (int)desc->arg[IMAGES].dim[1], height = (int)desc->arg[IMAGES].dim[2],
        width = (int)desc->arg[IMAGES].dim[3];
    int64_t size = tensor_row(&desc->arg[IMAGES]);
    struct augment_line *lines = scratch;
    float *other = (float *)(lines + 2 * (height + width));
    if (sample[b] < 0) {
        memset(out, 0, (size_t)size * sizeof *out);
        return;
    }
    for (int side = 0; side < (partner ? 2 : 1); side++) {
        uint32_t number = (uint32_t)(side ? partner : sample)[b];
        struct rng rng;
        rng_open(&rng, rule->seed, RNG_AUGMENT, epoch, number);
        augment_image(rule, channels, height, width, args[TABLE], lines, &rng,
                      (const uint8_t *)args[IMAGES] + number * size, side ? other : out);
    }
    if (partner) augment_blend(out, other, ((const float *)args[SHARE])[b], size, out);
}
