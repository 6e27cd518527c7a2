/* Private to the data room: from raw pixels to the floats of a batch, with random changes on the way. */
#ifndef HFF_DATA_AUGMENT_H
#define HFF_DATA_AUGMENT_H

#include "data.h"

#include "base/philox.h"

enum { AUGMENT_MAX = 32 }; /* one bit each in augment_line.cut */

struct augment_kind;
struct augment {
    int channels, height, width;
    float table[4][256]; /* normalised value of a pixel, by channel */
    float mean_colour[4];
    int count; /* of op; 0: images go through unchanged */
    struct {
        const struct augment_kind *kind;
        int amount, reflect;
    } op[AUGMENT_MAX];
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

/* image (C, H, W) to out, changed as rng says (unused without changes). */
void augment_sample(const struct augment *augment, struct augment_scratch *scratch, struct rng *rng,
                    const uint8_t *image, float *out);
/* images (count, size) and labels to blended images and to y1, y2 and weight of y1; rng is the step's. partners: count
 * numbers of scratch. */
void augment_mixup(const struct augment *augment, struct rng *rng, const float *images, int count, size_t size,
                   uint32_t *partners, struct batch *out);

#endif
