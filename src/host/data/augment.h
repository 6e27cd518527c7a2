/* Private to the data room: from raw pixels to the floats of a batch, with random changes on the way. */
#ifndef HFF_DATA_AUGMENT_H
#define HFF_DATA_AUGMENT_H

#include "data.h"

#include "backend/augment.h"

struct augment {
    int channels, height, width;
    float table[4][256]; /* normalised value of a pixel, by channel */
    struct augment_rule rule;
    double mixup; /* alpha, 0 without */
};

/* One thread's memory for augment_sample. */
struct augment_scratch {
    struct augment_line *lines;
};

/* Reads data.augment; training 0 or data_node NULL: normalisation only. */
hff_status augment_open(struct augment *augment, const struct data *data, const struct config_node *data_node,
                        int training);
hff_status augment_scratch_open(struct augment_scratch *scratch, const struct augment *augment);
void augment_scratch_close(struct augment_scratch *scratch);

/* image (C, H, W) to out, changed as rng says; without changes neither rng nor scratch are used. */
void augment_sample(const struct augment *augment, struct augment_scratch *scratch, struct rng *rng,
                    const uint8_t *image, float *out);
/* Draws the mixing of a batch whose y1 are there: each sample's partner (its place in the batch), y2 and weight; rng is
 * the step's. */
void augment_mixup(const struct augment *augment, struct rng *rng, int count, uint32_t *partners, struct batch *out);

#endif
