/* Drawing a class that is not the true one. */
#include "wrong_label.h"

#include "base/philox.h"

#include <math.h>

/* Weights exp(score) of the wrong classes in place of the scores, 0 for the true one; returns their sum. */
static double weigh(int32_t label, int classes, double *scores)
{
    double top = -INFINITY, sum = 0;
    for (int c = 0; c < classes; c++)
        if (c != label && scores[c] > top) top = scores[c];
    for (int c = 0; c < classes; c++) sum += scores[c] = c == label ? 0 : exp(scores[c] - top);
    return sum;
}

int32_t wrong_label(uint64_t seed, int64_t step, int64_t sample, int32_t label, int classes, double *scores)
{
    struct rng rng;
    rng_open(&rng, seed, RNG_NEGATIVES, (uint64_t)step, (uint32_t)sample);
    double left = scores ? weigh(label, classes, scores) : 0;
    if (!(left > 0) || !isfinite(left)) { /* no scores, or none that says anything */
        int32_t wrong = (int32_t)rng_below(&rng, (uint32_t)classes - 1);
        return wrong + (wrong >= label);
    }
    int32_t chosen = -1;
    left *= rng_uniform(&rng);
    for (int c = 0; c < classes && (chosen < 0 || left >= 0); c++)
        if (scores[c] > 0) {
            chosen = c;
            left -= scores[c];
        }
    return chosen;
}
