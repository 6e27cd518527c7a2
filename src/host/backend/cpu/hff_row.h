/* The HFF head for one sample: from its cosines to scores, loss, their gradient and its figures (METHOD.md 1.2-1.4). */
#ifndef HFF_BACKEND_CPU_HFF_ROW_H
#define HFF_BACKEND_CPU_HFF_ROW_H

#include "cpu.h"

struct hff_head {
    int64_t classes, per_class;
    double scale;
    enum hff_loss loss;
    double margin, smoothing;
};

struct hff_sample {
    int64_t label[2];
    double share[2]; /* of the labels in the target; they add up to 1 */
    double length;   /* ||e|| */
    int dead;
};

/* What a sample adds to the op's sums. */
struct hff_figures {
    double metric[METRICS];
    double dscale;  /* derivative of its own loss by scale */
    int64_t winner; /* the best prototype of its label's class, counted over all classes; -1: dead */
};

/* cos (C K) -> scores s (C, f64) and, where pi is not NULL, the prototypes' shares in their class's score. */
void hff_scores(const struct hff_head *head, const float *cos, double *s, float *pi);

/* The loss of scores s (C). Fills grad (C): its derivative by s; *dmargin: by scale, through the margin alone. */
double hff_loss(const struct hff_head *head, const struct hff_sample *sample, const double *s, double *grad,
                double *dmargin);

/* Fills figures but for dscale. */
void hff_figures(const struct hff_head *head, const struct hff_sample *sample, const float *cos, const double *s,
                 double loss, struct hff_figures *figures);

/* to = (to - by <by, to>) scale: what is left of a gradient after the direction of the unit vector by. */
void hff_project(float *to, const float *by, int64_t width, double scale);

#endif
