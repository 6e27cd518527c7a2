/* FF: labels in images, goodness, the one-pass read-out (METHOD.md section 2). Included by ops.inc.h. */

#include "../wrong_label.h"

static void negatives(const struct op_desc *d, void *const *args, double *work)
{
    const int32_t *y = args[0];
    const int64_t *tick = args[1];
    const REAL *score = args[2];
    int32_t *labels = args[3];
    uint64_t seed = d->attr.negatives.seed;
    int classes = d->attr.negatives.classes, hard = score && tick[TICK_STEP] >= d->attr.negatives.from;
    for (int64_t b = 0; b < d->arg[0].dim[0]; b++) {
        for (int c = 0; hard && c < classes; c++) work[c] = score[b * classes + c];
        labels[2 * b] = y[b];
        labels[2 * b + 1] =
            wrong_label(seed, tick[TICK_STEP], tick[TICK_SAMPLE] + b, y[b], classes, hard ? work : NULL);
    }
}

static void overlay(const struct op_desc *d, void *const *args, double *work)
{
    const REAL *x = args[0], *on = args[1];
    const int32_t *labels = args[2];
    const int64_t *tick = args[3];
    REAL *y = args[4];
    int64_t rows = d->arg[4].dim[0], width = tensor_row(&d->arg[4]), image = x ? d->arg[0].dim[1] : width;
    int64_t each = x ? rows / d->arg[0].dim[0] : rows, classes = d->attr.overlay.classes, area = d->attr.overlay.area;
    enum overlay kind = d->attr.overlay.kind;
    int64_t span = kind == OVERLAY_PLANES ? area : 1;
    int64_t first = kind == OVERLAY_PIXELS ? 0 : width - (kind == OVERLAY_PLANE ? area : classes * area);
    (void)work;
    for (int64_t e = 0; e < rows; e++, y += width) {
        int64_t label = labels ? labels[e] : tick ? tick[TICK_PASS] * each + e % each : -1;
        for (int64_t i = 0; i < width; i++) y[i] = x && i < image ? x[e / each * image + i] : 0;
        for (int64_t c = 0; c < classes; c++)
            for (int64_t i = 0; i < span; i++)
                y[first + c * span + i] = (REAL)(c == label ? *on : *on * d->attr.overlay.rest);
    }
}

static void columns(const struct op_desc *d, void *const *args, double *work)
{
    const REAL *w = args[0], *on = args[1];
    const int64_t *tick = args[2];
    REAL *t = args[3];
    int64_t rows = d->arg[3].dim[0], out = d->arg[0].dim[0], in = d->arg[0].dim[1], span = d->attr.columns.span;
    (void)work;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t o = 0; o < out; o++) {
            int64_t label = tick[TICK_PASS] * rows + r;
            double sum = 0;
            for (int64_t i = 0; label < d->attr.columns.classes && i < span; i++)
                sum += w[o * in + d->attr.columns.first + label * span + i];
            t[r * out + o] = (REAL)(*on * sum);
        }
}

static void spread(const struct op_desc *d, void *const *args, double *work)
{
    const REAL *x = args[0], *t = args[1];
    REAL *y = args[2];
    int64_t batch = d->arg[0].dim[0], rows = d->arg[1].dim[0], width = tensor_row(&d->arg[0]);
    (void)work;
    for (int64_t b = 0; b < batch; b++)
        for (int64_t r = 0; r < rows; r++)
            for (int64_t i = 0; i < width; i++) y[(b * rows + r) * width + i] = x[b * width + i] + t[r * width + i];
}

static double goodness_row(const struct op_desc *d, const REAL *h, int64_t width)
{
    double squares = 0;
    for (int64_t i = 0; i < width; i++) squares += (double)h[i] * h[i];
    return d->attr.goodness.mean ? squares / (double)width : squares;
}

static double softplus(double v)
{
    return fmax(v, 0) + log1p(exp(-fabs(v)));
}

static void goodness(const struct op_desc *d, void *const *args, double *work)
{
    const REAL *h = args[0];
    REAL *dh = args[1];
    double *metrics = args[2], alpha = d->attr.goodness.alpha, theta = d->attr.goodness.theta;
    int64_t width = tensor_row(&d->arg[0]);
    double by_h = (d->attr.goodness.mean ? 2 / (double)width : 2) / (double)d->attr.goodness.global_batch;
    (void)work;
    for (int64_t b = 0; b < d->arg[0].dim[0]; b += 2, h += 2 * width, dh += 2 * width) {
        double pos = goodness_row(d, h, width), neg = goodness_row(d, h + width, width), along = alpha * (pos - neg);
        double by_pos = alpha > 0 ? -alpha / (1 + exp(along)) : -1 / (1 + exp(pos - theta));
        double by_neg = alpha > 0 ? -by_pos : 1 / (1 + exp(theta - neg));
        double length = sqrt(d->attr.goodness.mean ? pos * (double)width : pos);
        for (int64_t i = 0; i < width; i++) dh[i] = (REAL)(by_pos * by_h * h[i]);
        for (int64_t i = width; i < 2 * width; i++) dh[i] = (REAL)(by_neg * by_h * h[i]);
        metrics[METRIC_SAMPLES] += 1;
        metrics[METRIC_LOSS] += alpha > 0 ? softplus(-along) : softplus(theta - pos) + softplus(neg - theta);
        metrics[METRIC_CORRECT] += pos > neg;
        metrics[METRIC_OWN] += pos;
        metrics[METRIC_OTHER] += neg;
        metrics[METRIC_NORM] += length;
        metrics[METRIC_DEAD] += length <= 1e-6;
    }
}

/* Adds softmax's figures of one row of scores, count times. Returns log sum exp. */
static double softmax_count(const REAL *s, int64_t classes, int32_t label, double count, double *metrics)
{
    double top = -INFINITY, sum = 0, other = -INFINITY;
    int64_t first = 0;
    for (int64_t c = 0; c < classes; c++) {
        top = fmax(top, s[c]);
        if (s[c] > s[first]) first = c;
    }
    for (int64_t c = 0; c < classes; c++) sum += exp(s[c] - top);
    if (!metrics || count == 0) return top + log(sum); /* the label of padding means nothing */
    for (int64_t c = 0; c < classes; c++)
        if (c != label) other = fmax(other, s[c]);
    metrics[METRIC_SAMPLES] += count;
    metrics[METRIC_LOSS] += count * (top + log(sum) - s[label]);
    metrics[METRIC_CORRECT] += first == label ? count : 0;
    metrics[METRIC_OWN] += count * s[label];
    metrics[METRIC_OTHER] += classes > 1 ? count * other : 0;
    return top + log(sum);
}

static void goodness_eval(const struct op_desc *d, void *const *args, double *work)
{
    const REAL *h = args[0];
    const int32_t *y = args[1];
    const float *weight = args[2];
    const int64_t *tick = args[3];
    REAL *scores = args[4];
    int64_t batch = d->arg[1].dim[0], each = d->arg[0].dim[0] / batch, classes = d->arg[4].dim[1];
    int64_t width = tensor_row(&d->arg[0]), from = tick[TICK_PASS] * each;
    (void)work;
    for (int64_t b = 0; b < batch; b++) {
        for (int64_t r = 0; r < each; r++, h += width)
            if (from + r < classes) scores[b * classes + from + r] = (REAL)goodness_row(d, h, width);
        if (from + each >= classes) softmax_count(scores + b * classes, classes, y[b], weight[b], args[5]);
    }
}

static void readout(const struct op_desc *d, void *const *args, double *work)
{
    const REAL *logits = args[0];
    const int32_t *y = args[1];
    const float *weight = args[2];
    REAL *total = args[3], *dlogits = args[4];
    int64_t classes = d->arg[0].dim[1];
    (void)work;
    for (int64_t b = 0; b < d->arg[0].dim[0]; b++) {
        const REAL *s = logits + b * classes;
        double shift = softmax_count(s, classes, y[b], weight[b], args[5]);
        for (int64_t c = 0; c < classes; c++) {
            double log_p = s[c] - shift;
            int64_t at = b * classes + c;
            if (total) total[at] = (REAL)(d->attr.readout.first ? log_p : total[at] + log_p);
            if (dlogits) dlogits[at] = (REAL)((exp(log_p) - (c == y[b])) / (double)d->attr.readout.global_batch);
        }
    }
}
