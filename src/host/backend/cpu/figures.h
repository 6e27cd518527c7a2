/* Samples' figures: every sample leaves its own, and they are added up at the end, slice by slice, then by the tree. */
#ifndef HFF_BACKEND_CPU_FIGURES_H
#define HFF_BACKEND_CPU_FIGURES_H

#include "cpu.h"

struct sample_figures {
    double metric[METRICS];
};

/* Adds those of count samples in slices to metrics; they are overwritten. */
void figures_total(struct sample_figures *figures, int64_t count, int slices, double *metrics);

/* Cross-entropy of one row of scores: log sum exp. With figures (zeroed) also what the sample adds, weight times: loss,
 * whether the best class is label, its score and the best other one; nothing for weight 0, whose label may be anything. */
double figures_softmax(const float *scores, int64_t classes, int32_t label, double weight,
                       struct sample_figures *figures);

#endif
