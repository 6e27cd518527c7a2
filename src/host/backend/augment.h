/* Op augment on the host, for backends and for the loader, so that a batch has the same bytes wherever it is made. */
#ifndef HFF_BACKEND_AUGMENT_H
#define HFF_BACKEND_AUGMENT_H

#include "op.h"

#include "base/philox.h"

/* Where a row or column comes from: source -1 for black. A pixel is cut out by change k where bit k is set in both the
 * cut of its row and the cut of its column. */
struct augment_line {
    int32_t source;
    uint32_t cut;
};

/* image (channels, height, width) to out, changed as rng says (unused without changes); table (channels, 256). lines:
 * 2 (height + width) of scratch. */
void augment_image(const struct augment_rule *rule, int channels, int height, int width, const float *table,
                   struct augment_line *lines, struct rng *rng, const uint8_t *image, float *out);

/* An image joined with another one, n numbers: out = share own + (1 - share) other; out may be own. */
void augment_blend(const float *own, const float *other, float share, int64_t n, float *out);

/* Row b of the op's x, as floats; scratch: augment_scratch bytes, aligned to 8. */
void augment_row(const struct op_desc *desc, void *const *args, int64_t b, void *scratch, float *out);
size_t augment_scratch(const struct op_desc *desc);

#endif
