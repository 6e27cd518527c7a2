/* Adding up samples' figures, and those of a softmax over scores. */
#include "figures.h"

#include <math.h>

static void add(struct sample_figures *into, const struct sample_figures *from)
{
    for (int i = 0; i < METRICS; i++) into->metric[i] += from->metric[i];
}

void figures_total(struct sample_figures *figures, int64_t count, int slices, double *metrics)
{
    int64_t samples = count / slices;
    for (int64_t b = 0; b < count; b++)
        if (b % samples) add(&figures[b - b % samples], &figures[b]);
    TREE (slices, into, from) add(&figures[into * samples], &figures[from * samples]);
    for (int i = 0; i < METRICS; i++) metrics[i] += figures[0].metric[i];
}

double figures_softmax(const float *scores, int64_t classes, int32_t label, double weight,
                       struct sample_figures *figures)
{
    double top = scores[0], sum = 0, other = -INFINITY;
    int64_t first = 0;
    for (int64_t c = 1; c < classes; c++)
        if (scores[c] > scores[first]) top = scores[first = c];
    for (int64_t c = 0; c < classes; c++) sum += exp(scores[c] - top);
    double shift = top + log(sum);
    if (!figures || weight == 0) return shift;
    for (int64_t c = 0; c < classes; c++)
        if (c != label && scores[c] > other) other = scores[c];
    figures->metric[METRIC_SAMPLES] = weight;
    figures->metric[METRIC_LOSS] = weight * (shift - scores[label]);
    figures->metric[METRIC_CORRECT] = first == label ? weight : 0;
    figures->metric[METRIC_OWN] = weight * scores[label];
    figures->metric[METRIC_OTHER] = classes > 1 ? weight * other : 0;
    return shift;
}
