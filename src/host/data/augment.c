/* What the config says of random changes, and mixup. The changes themselves are backend/augment.c's. */
#include "augment.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *amount;
    enum augment_kind kind;
} kinds[] = {
    {"crop", "crop.pad", AUGMENT_CROP},
    {"flip", NULL, AUGMENT_FLIP},
    {"shift", "shift.max", AUGMENT_CROP}, /* whose padding is black */
    {"cutout", "cutout.size", AUGMENT_CUTOUT},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static hff_status read_item(struct augment *augment, const struct config_node *item)
{
    struct augment_rule *rule = &augment->rule;
    if (augment->mixup > 0)
        return config_fail(item, "data.augment: mixup blends finished images; put it last, and only once");
    if (config_has(item, "mixup")) {
        augment->mixup = config_real(item, "mixup.alpha");
        return HFF_OK;
    }
    int kind = 0;
    while (kind < KINDS && !config_has(item, kinds[kind].name)) kind++;
    if (kind == KINDS) return config_fail(item, "data.augment: an item is one of crop, flip, shift, cutout, mixup");
    if (rule->changes == AUGMENT_CHANGES) return config_fail(item, "data.augment: more than %d items", AUGMENT_CHANGES);
    int amount = kinds[kind].amount ? (int)config_int(item, kinds[kind].amount) : 0;
    int reflect = kind == 0 && strcmp(config_text(item, "crop.mode"), "reflect") == 0;
    if (reflect && (amount >= augment->height || amount >= augment->width))
        return config_fail(
            item, "data.augment: %d pixels cannot be mirrored in images of %d x %d; pad less, or use mode: zero",
            amount, augment->height, augment->width);
    rule->change[rule->changes++] = (struct augment_change){kinds[kind].kind, amount, reflect};
    return HFF_OK;
}

hff_status augment_open(struct augment *augment, const struct data *data, const struct config_node *data_node,
                        int training)
{
    *augment = (struct augment){.channels = data->channels, .height = data->height, .width = data->width};
    for (int c = 0; c < data->channels; c++) {
        for (int v = 0; v < 256; v++) augment->table[c][v] = (float)((v / 255.0 - data->mean[c]) / data->std[c]);
        double mean = data->mean[c] * 255.0 + 0.5;
        augment->rule.mean_colour[c] = augment->table[c][mean < 0 ? 0 : mean > 255 ? 255 : (int)mean];
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

void augment_sample(const struct augment *augment, struct augment_scratch *scratch, struct rng *rng,
                    const uint8_t *image, float *out)
{
    augment_image(&augment->rule, augment->channels, augment->height, augment->width, augment->table[0],
                  scratch ? scratch->lines : NULL,
                  rng, image, out);
}

void augment_mixup(const struct augment *augment, struct rng *rng, int count, uint32_t *partners, struct batch *out)
{
    rng_permutation(rng, partners, (uint32_t)count);
    for (int b = 0; b < count; b++) {
        out->weight[b] = (float)rng_beta(rng, augment->mixup);
        out->y2[b] = out->y1[partners[b]];
    }
}

hff_status data_recipe(struct recipe *out, const struct data *data, const struct config_node *data_node, uint64_t seed)
{
    struct augment augment;
    TRY(augment_open(&augment, data, data_node, 1));
    *out = (struct recipe){.set = &data->split[SPLIT_TRAIN], .rule = augment.rule, .mixes = augment.mixup > 0};
    out->rule.seed = seed;
    memcpy(out->table, augment.table, sizeof out->table);
    return HFF_OK;
}
