/* Random changes of images.
 *
 * Crop, flip, shift and cutout all treat rows and columns apart: what a pixel shows depends on where its row and its
 * column come from. So each change only rewrites two short lists, and the pixels are touched once, whatever the list of
 * changes. */
#include "augment.h"

#include <stdlib.h>
#include <string.h>

/* Where a row or column comes from: source -1 for black. A pixel is cut out by change k where bit k is set in both the
 * cut of its row and the cut of its column. */
struct augment_line {
    int32_t source;
    uint32_t cut;
};

struct lines {
    int count;
    struct augment_line *now, *next;
};

struct augment_kind {
    const char *name, *amount;
    void (*change)(int amount, int reflect, uint32_t bit, struct rng *rng, struct lines *rows, struct lines *columns);
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

static void crop(int pad, int reflect, uint32_t bit, struct rng *rng, struct lines *rows, struct lines *columns)
{
    (void)bit;
    move(rows, (int)rng_below(rng, 2 * (uint32_t)pad + 1) - pad, reflect);
    move(columns, (int)rng_below(rng, 2 * (uint32_t)pad + 1) - pad, reflect);
}

static void flip(int amount, int reflect, uint32_t bit, struct rng *rng, struct lines *rows, struct lines *columns)
{
    (void)amount, (void)reflect, (void)bit, (void)rows;
    if (rng_below(rng, 2) == 0) return;
    for (int i = 0, j = columns->count - 1; i < j; i++, j--) {
        struct augment_line held = columns->now[i];
        columns->now[i] = columns->now[j];
        columns->now[j] = held;
    }
}

static void mark(struct lines *lines, int size, uint32_t bit, struct rng *rng)
{
    int from = (int)rng_below(rng, (uint32_t)lines->count) - size / 2, to = from + size;
    for (int i = from < 0 ? 0 : from; i < to && i < lines->count; i++) lines->now[i].cut |= bit;
}

static void cutout(int size, int reflect, uint32_t bit, struct rng *rng, struct lines *rows, struct lines *columns)
{
    (void)reflect;
    mark(rows, size, bit, rng);
    mark(columns, size, bit, rng);
}

static const struct augment_kind kinds[] = {
    {"crop", "crop.pad", crop},        {"flip", NULL, flip},
    {"shift", "shift.max", crop}, /* a crop whose padding is black */
    {"cutout", "cutout.size", cutout}, {0},
};

static hff_status read_item(struct augment *augment, const struct config_node *item)
{
    if (augment->mixup > 0)
        return config_fail(item, "data.augment: mixup blends finished images; put it last, and only once");
    if (config_has(item, "mixup")) {
        augment->mixup = config_real(item, "mixup.alpha");
        return HFF_OK;
    }
    const struct augment_kind *kind = kinds;
    while (kind->name && !config_has(item, kind->name)) kind++;
    if (!kind->name) return config_fail(item, "data.augment: an item is one of crop, flip, shift, cutout, mixup");
    if (augment->count == AUGMENT_MAX) return config_fail(item, "data.augment: more than %d items", AUGMENT_MAX);
    int amount = kind->amount ? (int)config_int(item, kind->amount) : 0;
    int reflect = kind == &kinds[0] && strcmp(config_text(item, "crop.mode"), "reflect") == 0;
    if (reflect && (amount >= augment->height || amount >= augment->width))
        return config_fail(
            item, "data.augment: %d pixels cannot be mirrored in images of %d x %d; pad less, or use mode: zero",
            amount, augment->height, augment->width);
    augment->op[augment->count].kind = kind;
    augment->op[augment->count].amount = amount;
    augment->op[augment->count++].reflect = reflect;
    return HFF_OK;
}

hff_status augment_open(struct augment *augment, const struct data *data, const struct config_node *data_node,
                        int training)
{
    *augment = (struct augment){.channels = data->channels, .height = data->height, .width = data->width};
    for (int c = 0; c < data->channels; c++) {
        for (int v = 0; v < 256; v++) augment->table[c][v] = (float)((v / 255.0 - data->mean[c]) / data->std[c]);
        double mean = data->mean[c] * 255.0 + 0.5;
        augment->mean_colour[c] = augment->table[c][mean < 0 ? 0 : mean > 255 ? 255 : (int)mean];
    }
    if (!training || !data_node || !config_has(data_node, "augment")) return HFF_OK;
    const struct config_node *list = config_at(data_node, "augment");
    for (int i = 0; i < config_count(list); i++) TRY(read_item(augment, config_item(list, i)));
    return HFF_OK;
}

hff_status augment_scratch_open(struct augment_scratch *scratch, const struct augment *augment)
{
    size_t lines = 2 * ((size_t)augment->height + (size_t)augment->width);
    scratch->lines = malloc(lines * sizeof *scratch->lines);
    return scratch->lines ? HFF_OK : fail(HFF_E_MEMORY, "data.augment: out of memory");
}

void augment_scratch_close(struct augment_scratch *scratch)
{
    free(scratch->lines);
    scratch->lines = NULL;
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

void augment_sample(const struct augment *augment, struct augment_scratch *scratch, struct rng *rng,
                    const uint8_t *image, float *out)
{
    size_t plane = (size_t)augment->height * (size_t)augment->width;
    if (augment->count == 0) {
        for (int c = 0; c < augment->channels; c++)
            for (size_t p = 0; p < plane; p++) *out++ = augment->table[c][*image++];
        return;
    }
    struct lines rows = lines_start(scratch->lines, augment->height);
    struct lines columns = lines_start(scratch->lines + 2 * augment->height, augment->width);
    for (int i = 0; i < augment->count; i++)
        augment->op[i].kind->change(augment->op[i].amount, augment->op[i].reflect, 1u << i, rng, &rows, &columns);
    for (int c = 0; c < augment->channels; c++)
        gather(&rows, &columns, augment->table[c], augment->mean_colour[c], image + (size_t)c * plane,
               out + (size_t)c * plane);
}

void augment_mixup(const struct augment *augment, struct rng *rng, const float *images, int count, size_t size,
                   uint32_t *partners, struct batch *out)
{
    rng_permutation(rng, partners, (uint32_t)count);
    for (int b = 0; b < count; b++) {
        float weight = (float)rng_beta(rng, augment->mixup), rest = 1.0f - weight;
        const float *own = images + (size_t)b * size, *other = images + (size_t)partners[b] * size;
        float *to = out->images + (size_t)b * size;
        for (size_t p = 0; p < size; p++) to[p] = weight * own[p] + rest * other[p];
        out->y2[b] = out->y1[partners[b]];
        out->weight[b] = weight;
    }
}
