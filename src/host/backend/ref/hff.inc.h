/* The HFF head, METHOD.md 1.1-1.4, one sample after the other. Included by ops.inc.h. */

struct head {
    int64_t classes, per_class, width;
    double scale;
    double *z, *dz;       /* (D) */
    double *cos, *dcos;   /* (C, K) */
    double *score, *grad; /* (C): s and dL/ds of one sample's own loss */
    double *dp;           /* (C, K, D), before projection */
};

static struct head head_make(const struct op_desc *d, void *const *args, double *work)
{
    const struct tensor *p = &d->arg[1];
    struct head h = {p->dim[0], p->dim[1], p->dim[2], exp(*(const REAL *)args[2]), NULL, NULL, NULL, NULL,
                     NULL,      NULL,      NULL};
    int64_t rows = h.classes * h.per_class;
    h.z = work;
    h.dz = h.z + h.width;
    h.cos = h.dz + h.width;
    h.dcos = h.cos + rows;
    h.score = h.dcos + rows;
    h.grad = h.score + h.classes;
    h.dp = h.grad + h.classes;
    return h;
}

/* z = e / ||e||, 0 when dead. Returns ||e||. */
static double head_embed(const struct head *h, const REAL *e)
{
    double squares = 0;
    for (int64_t i = 0; i < h->width; i++) squares += (double)e[i] * e[i];
    double length = sqrt(squares);
    for (int64_t i = 0; i < h->width; i++) h->z[i] = length <= 1e-6 ? 0 : e[i] / length; /* NaN stays NaN */
    return length;
}

/* cos = <z, p>; s = logsumexp over a class's prototypes of scale cos, less log K. */
static void head_scores(const struct head *h, const REAL *p, REAL *scores)
{
    for (int64_t c = 0; c < h->classes; c++) {
        double *cos = h->cos + c * h->per_class, best = -2, sum = 0;
        for (int64_t k = 0; k < h->per_class; k++) {
            cos[k] = 0;
            for (int64_t i = 0; i < h->width; i++) cos[k] += h->z[i] * p[(c * h->per_class + k) * h->width + i];
            best = fmax(best, cos[k]);
        }
        for (int64_t k = 0; k < h->per_class; k++) sum += exp(h->scale * (cos[k] - best));
        h->score[c] = h->scale * best + log(sum) - log((double)h->per_class);
        scores[c] = (REAL)h->score[c];
    }
}

/* A sample's targets and loss. */
struct head_target {
    enum hff_loss loss;
    double margin, smoothing;
    int32_t label[2];
    double share[2];
};

/* - sum_c t_c log softmax(s')_c. Fills grad; *dmargin is the loss's derivative by scale through M = scale m alone. */
static double head_softmax(const struct head *h, const struct head_target *t, double *dmargin)
{
    double *s = h->grad, best = -INFINITY, sum = 0, loss = 0;
    memcpy(s, h->score, sizeof *s * (size_t)h->classes);
    for (int i = 0; i < 2; i++) s[t->label[i]] -= h->scale * t->margin * t->share[i];
    for (int64_t c = 0; c < h->classes; c++) best = fmax(best, s[c]);
    for (int64_t c = 0; c < h->classes; c++) sum += exp(s[c] - best);
    for (int64_t c = 0; c < h->classes; c++) {
        double target = t->smoothing / (double)h->classes;
        for (int i = 0; i < 2; i++) target += (1 - t->smoothing) * (t->label[i] == c ? t->share[i] : 0);
        double log_p = s[c] - best - log(sum);
        loss -= target * log_p;
        s[c] = exp(log_p) - target;
    }
    *dmargin = 0;
    for (int i = 0; i < 2; i++) *dmargin -= t->margin * t->share[i] * h->grad[t->label[i]];
    return loss;
}

/* sum over labels of share times sum_{c != y} softplus(s_c - s_y + M). Fills grad and *dmargin likewise. */
static double head_pairwise(const struct head *h, const struct head_target *t, double *dmargin)
{
    double loss = 0;
    memset(h->grad, 0, sizeof *h->grad * (size_t)h->classes);
    *dmargin = 0;
    for (int i = 0; i < 2; i++)
        for (int64_t c = 0; c < h->classes; c++) {
            if (c == t->label[i]) continue;
            double v = h->score[c] - h->score[t->label[i]] + h->scale * t->margin;
            double slope = t->share[i] / (1 + exp(-v));
            loss += t->share[i] * (fmax(v, 0) + log1p(exp(-fabs(v))));
            h->grad[c] += slope;
            h->grad[t->label[i]] -= slope;
            *dmargin += t->margin * slope;
        }
    return loss;
}

static double head_loss(const struct head *h, const struct head_target *t, double *dmargin)
{
    switch (t->loss) {
    case HFF_LOSS_SOFTMAX: return head_softmax(h, t, dmargin);
    case HFF_LOSS_PAIRWISE: return head_pairwise(h, t, dmargin);
    }
    return 0;
}

/* The first prototype of class c with the greatest cosine. */
static int64_t head_winner(const struct head *h, int64_t c)
{
    int64_t best = c * h->per_class;
    for (int64_t k = 1; k < h->per_class; k++)
        if (h->cos[c * h->per_class + k] > h->cos[best]) best = c * h->per_class + k;
    return best;
}

/* Adds one sample's figures, count times. */
static void head_count(const struct head *h, int64_t label, double count, double loss, double length, double *metrics)
{
    int64_t first = 0;
    double other = -2;
    for (int64_t c = 1; c < h->classes; c++)
        if (h->score[c] > h->score[first]) first = c;
    for (int64_t c = 0; c < h->classes; c++)
        if (c != label) other = fmax(other, h->cos[head_winner(h, c)]);
    metrics[METRIC_SAMPLES] += count;
    metrics[METRIC_LOSS] += count * loss;
    metrics[METRIC_CORRECT] += first == label ? count : 0;
    metrics[METRIC_OWN] += count * h->cos[head_winner(h, label)];
    metrics[METRIC_OTHER] += h->classes > 1 ? count * other : 0;
    metrics[METRIC_NORM] += count * length;
    metrics[METRIC_DEAD] += length <= 1e-6 ? count : 0;
}

/* From grad (already divided by the global batch) to de and dp; returns sum_c grad ds/dscale. */
static double head_back(const struct head *h, const REAL *p, double length, REAL *de)
{
    double dscale = 0, along = 0;
    memset(h->dz, 0, sizeof *h->dz * (size_t)h->width);
    for (int64_t row = 0; row < h->classes * h->per_class; row++) {
        int64_t c = row / h->per_class;
        double pi = exp(h->scale * h->cos[row] - h->score[c] - log((double)h->per_class));
        h->dcos[row] = h->scale * h->grad[c] * pi;
        dscale += h->grad[c] * pi * h->cos[row];
        for (int64_t i = 0; i < h->width; i++) {
            h->dz[i] += h->dcos[row] * p[row * h->width + i];
            h->dp[row * h->width + i] += h->dcos[row] * h->z[i];
        }
    }
    for (int64_t i = 0; i < h->width; i++) along += h->z[i] * h->dz[i];
    for (int64_t i = 0; i < h->width; i++) de[i] = (REAL)((h->dz[i] - h->z[i] * along) / length);
    return dscale;
}

/* dP = dP_raw - p <p, dP_raw>, row by row. */
static void head_project(const struct head *h, const REAL *p, REAL *dp)
{
    for (int64_t row = 0; row < h->classes * h->per_class; row++, p += h->width, dp += h->width) {
        const double *raw = h->dp + row * h->width;
        double along = 0;
        for (int64_t i = 0; i < h->width; i++) along += p[i] * raw[i];
        for (int64_t i = 0; i < h->width; i++) dp[i] = (REAL)(raw[i] - p[i] * along);
    }
}

static void hff(const struct op_desc *d, void *const *args, double *work)
{
    struct head h = head_make(d, args, work);
    const int32_t *y1 = args[3], *y2 = args[4];
    const float *weight = args[5];
    int64_t *wins = args[11];
    double dscale = 0, all = (double)d->attr.hff.global_batch, share = 1 - d->attr.hff.discount;
    memset(h.dp, 0, sizeof *h.dp * (size_t)tensor_count(&d->arg[1]));
    for (int64_t b = 0; b < d->arg[0].dim[0]; b++) {
        struct head_target t = {d->attr.hff.loss,
                                d->attr.hff.margin,
                                d->attr.hff.smoothing,
                                {y1[b], y2[b]},
                                {weight[b], 1 - (double)weight[b]}};
        REAL *de = (REAL *)args[7] + b * h.width;
        int64_t label = t.share[0] >= t.share[1] ? y1[b] : y2[b];
        double dmargin, length = head_embed(&h, (const REAL *)args[0] + b * h.width);
        head_scores(&h, args[1], (REAL *)args[6] + b * h.classes);
        double loss = head_loss(&h, &t, &dmargin);
        head_count(&h, label, 1, share * loss, length, args[10]);
        memset(de, 0, sizeof *de * (size_t)h.width);
        if (length <= 1e-6) continue;
        for (int64_t c = 0; c < h.classes; c++) h.grad[c] *= share / all;
        dscale += head_back(&h, args[1], length, de) + dmargin * share / all;
        if (wins) wins[head_winner(&h, label)]++;
    }
    if (args[8]) head_project(&h, args[1], args[8]);
    if (args[9]) *(REAL *)args[9] = (REAL)(h.scale * dscale);
}

static void hff_eval(const struct op_desc *d, void *const *args, double *work)
{
    struct head h = head_make(d, args, work);
    const int32_t *y = args[3];
    const float *weight = args[4];
    for (int64_t b = 0; b < d->arg[0].dim[0]; b++) {
        double unused, length = head_embed(&h, (const REAL *)args[0] + b * h.width);
        head_scores(&h, args[1], (REAL *)args[5] + b * h.classes);
        if (weight[b] == 0) continue;
        struct head_target t = {d->attr.hff.loss, 0, 0, {y[b], y[b]}, {1, 0}};
        head_count(&h, y[b], weight[b], head_loss(&h, &t, &unused), length, args[6]);
    }
}
