/* The HFF head for one sample. What goes through all C K cosines is f32, what goes through C scores is f64: there are
 * few of them, and differences of large logarithms. */
#include "hff_row.h"

#include "lanes.h"

#include <math.h>
#include <string.h>

static float class_max(const float *cos, int64_t count)
{
    float best = cos[0];
    for (int64_t k = 1; k < count; k++) best = cos[k] > best ? cos[k] : best;
    return best;
}

void hff_scores(const struct hff_head *head, const float *cos, double *s, float *pi)
{
    int64_t per_class = head->per_class;
    float scale = (float)head->scale;
    if (per_class == 1) {
        for (int64_t c = 0; c < head->classes; c++) s[c] = head->scale * cos[c];
        for (int64_t c = 0; pi && c < head->classes; c++) pi[c] = 1;
        return;
    }
    for (int64_t c = 0; c < head->classes; c++, cos += per_class) {
        float best = class_max(cos, per_class);
        double sum = 0;
        for (int64_t k = 0; k < per_class; k++) {
            float power = expf(scale * (cos[k] - best));
            if (pi) pi[c * per_class + k] = power;
            sum += power;
        }
        s[c] = head->scale * best + log(sum / (double)per_class);
        float share = (float)(1 / sum);
        for (int64_t k = 0; pi && k < per_class; k++) pi[c * per_class + k] *= share;
    }
}

/* - sum_c t_c log softmax(s')_c. */
static double softmax_loss(const struct hff_head *head, const struct hff_sample *sample, const double *s, double *grad,
                           double *dmargin)
{
    double best = -INFINITY, sum = 0, even = head->smoothing / (double)head->classes, loss = 0,
           own = 1 - head->smoothing;
    memcpy(grad, s, sizeof *s * (size_t)head->classes);
    for (int i = 0; i < 2; i++) grad[sample->label[i]] -= head->scale * head->margin * sample->share[i];
    for (int64_t c = 0; c < head->classes; c++) best = fmax(best, grad[c]);
    double at_label[2] = {grad[sample->label[0]] - best, grad[sample->label[1]] - best};
    for (int64_t c = 0; c < head->classes; c++) {
        double below = grad[c] - best;
        loss -= even * below;
        grad[c] = exp(below);
        sum += grad[c];
    }
    loss += log(sum); /* the targets add up to 1 */
    for (int64_t c = 0; c < head->classes; c++) grad[c] = grad[c] / sum - even;
    for (int i = 0; i < 2; i++) {
        loss -= own * sample->share[i] * at_label[i];
        grad[sample->label[i]] -= own * sample->share[i];
    }
    *dmargin = 0;
    for (int i = 0; i < 2; i++) *dmargin -= head->margin * sample->share[i] * grad[sample->label[i]];
    return loss;
}

/* sum over labels of share times sum_{c != y} softplus(s_c - s_y + M). */
static double pairwise_loss(const struct hff_head *head, const struct hff_sample *sample, const double *s, double *grad,
                            double *dmargin)
{
    double loss = 0;
    memset(grad, 0, sizeof *grad * (size_t)head->classes);
    *dmargin = 0;
    for (int i = 0; i < 2; i++) {
        double own = s[sample->label[i]] - head->scale * head->margin, share = sample->share[i], slopes = 0;
        for (int64_t c = 0; share != 0 && c < head->classes; c++) {
            if (c == sample->label[i]) continue;
            double v = s[c] - own, power = exp(-fabs(v));
            double slope = share * (v > 0 ? 1 : power) / (1 + power);
            loss += share * (fmax(v, 0) + log1p(power));
            grad[c] += slope;
            slopes += slope;
        }
        grad[sample->label[i]] -= slopes;
        *dmargin += head->margin * slopes;
    }
    return loss;
}

double hff_loss(const struct hff_head *head, const struct hff_sample *sample, const double *s, double *grad,
                double *dmargin)
{
    static double (*const losses[])(const struct hff_head *, const struct hff_sample *, const double *, double *,
                                    double *) = {
        [HFF_LOSS_SOFTMAX] = softmax_loss, [HFF_LOSS_PAIRWISE] = pairwise_loss};
    return losses[head->loss](head, sample, s, grad, dmargin);
}

void hff_figures(const struct hff_head *head, const struct hff_sample *sample, const float *cos, const double *s,
                 double loss, struct hff_figures *figures)
{
    int64_t label = sample->label[sample->share[1] > sample->share[0]], rows = head->classes * head->per_class,
            first = 0;
    int64_t own = label * head->per_class, after = own + head->per_class, winner = own;
    float other = -2;
    for (int64_t c = 1; c < head->classes; c++)
        if (s[c] > s[first]) first = c;
    for (int64_t r = 0; r < own; r++) other = cos[r] > other ? cos[r] : other;
    for (int64_t r = after; r < rows; r++) other = cos[r] > other ? cos[r] : other;
    for (int64_t r = own + 1; r < after; r++)
        if (cos[r] > cos[winner]) winner = r;
    *figures = (struct hff_figures){.winner = sample->dead ? -1 : winner};
    figures->metric[METRIC_SAMPLES] = 1;
    figures->metric[METRIC_LOSS] = loss;
    figures->metric[METRIC_CORRECT] = first == label;
    figures->metric[METRIC_OWN] = cos[winner];
    figures->metric[METRIC_OTHER] = head->classes > 1 ? other : 0;
    figures->metric[METRIC_NORM] = sample->length;
    figures->metric[METRIC_DEAD] = sample->dead;
}

CPU_SIMD void hff_project(float *to, const float *by, int64_t width, double scale)
{
    float along = (float)sum_products(by, to, width), factor = (float)scale;
#pragma omp simd
    for (int64_t i = 0; i < width; i++) to[i] = (to[i] - by[i] * along) * factor;
}
