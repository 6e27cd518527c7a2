/* Losses of scores and of similarities between samples. Included by ops.inc.h, behind hff.inc.h. */

/* Loss of one sample's scores; h->grad gets its derivative. Counts it, count times. */
static double scores_loss(struct head *h, const REAL *scores, const struct head_target *t, double count, double share,
                          double *metrics)
{
    double unused;
    int64_t first = 0, label = t->label[t->share[0] < t->share[1]];
    for (int64_t c = 0; c < h->classes; c++) h->score[c] = scores[c];
    for (int64_t c = 1; c < h->classes; c++)
        if (scores[c] > scores[first]) first = c;
    double loss = head_softmax(h, t, &unused);
    metrics[METRIC_SAMPLES] += count;
    metrics[METRIC_LOSS] += count * share * loss;
    metrics[METRIC_CORRECT] += first == label ? count : 0;
    return loss;
}

static void cross_entropy(const struct op_desc *d, void *const *args, double *work)
{
    struct head h = {.classes = d->arg[0].dim[1], .scale = 1, .score = work, .grad = work + d->arg[0].dim[1]};
    const int32_t *y1 = args[1], *y2 = args[2];
    const float *weight = args[3];
    double share = 1 - d->attr.cross_entropy.discount, all = (double)d->attr.cross_entropy.global_batch;
    for (int64_t b = 0; b < d->arg[0].dim[0]; b++) {
        struct head_target t = {
            HFF_LOSS_SOFTMAX, 0, d->attr.cross_entropy.smoothing, {y1[b], y2[b]}, {weight[b], 1 - (double)weight[b]}};
        REAL *dscores = (REAL *)args[4] + b * h.classes;
        scores_loss(&h, (const REAL *)args[0] + b * h.classes, &t, 1, share, args[5]);
        for (int64_t c = 0; c < h.classes; c++) dscores[c] = (REAL)(h.grad[c] * share / all);
    }
}

static void cross_entropy_eval(const struct op_desc *d, void *const *args, double *work)
{
    struct head h = {.classes = d->arg[0].dim[1], .scale = 1, .score = work, .grad = work + d->arg[0].dim[1]};
    const int32_t *y = args[1];
    const float *weight = args[2];
    for (int64_t b = 0; b < d->arg[0].dim[0]; b++) {
        if (weight[b] == 0) continue;
        struct head_target t = {HFF_LOSS_SOFTMAX, 0, 0, {y[b], y[b]}, {1, 0}};
        scores_loss(&h, (const REAL *)args[0] + b * h.classes, &t, weight[b], 1, args[3]);
    }
}

/* Samples' targets: shares of two labels. */
struct targets {
    const int32_t *y1, *y2;
    const float *weight;
    int64_t classes;
};

/* <t_i, t_j> of the targets less 1 / C, not yet at length 1. */
static double targets_product(const struct targets *t, int64_t i, int64_t j)
{
    const int32_t a[2] = {t->y1[i], t->y2[i]}, b[2] = {t->y1[j], t->y2[j]};
    const double v[2] = {t->weight[i], 1 - (double)t->weight[i]}, w[2] = {t->weight[j], 1 - (double)t->weight[j]};
    double sum = -1 / (double)t->classes;
    for (int k = 0; k < 2; k++)
        for (int l = 0; l < 2; l++) sum += a[k] == b[l] ? v[k] * w[l] : 0;
    return sum;
}

static double targets_cosine(const struct targets *t, int64_t i, int64_t j)
{
    double a = targets_product(t, i, i), b = targets_product(t, j, j);
    return a > 1e-12 && b > 1e-12 ? targets_product(t, i, j) / sqrt(a * b) : 0;
}

/* Sample i against its slice, [first, first + n): returns the sum of squared differences over n, and fills dx. */
static double similarity_sample(const struct op_desc *d, const struct targets *t, const double *u, double length,
                                int64_t i, int64_t first, int64_t n, REAL *dx, double *du)
{
    int64_t width = d->arg[0].dim[1];
    double loss = 0, along = 0;
    /* each pair is there twice */
    double factor = 4 * d->attr.similarity.share / ((double)n * (double)d->attr.similarity.global_batch);
    memset(du, 0, sizeof *du * (size_t)width);
    for (int64_t j = first; j < first + n; j++) {
        double cosine = 0;
        for (int64_t k = 0; k < width; k++) cosine += u[i * width + k] * u[j * width + k];
        double off = cosine - targets_cosine(t, i, j);
        loss += off * off / (double)n;
        for (int64_t k = 0; k < width; k++) du[k] += factor * off * u[j * width + k];
    }
    for (int64_t k = 0; k < width; k++) along += u[i * width + k] * du[k];
    for (int64_t k = 0; k < width; k++) /* du has mean 0, as every u */
        dx[k] = length <= 1e-6 ? 0 : (REAL)((du[k] - along * u[i * width + k]) / length);
    return loss;
}

static void similarity(const struct op_desc *d, void *const *args, double *work)
{
    int64_t batch = d->arg[0].dim[0], width = d->arg[0].dim[1], n = batch / d->slices;
    struct targets t = {args[1], args[2], args[3], d->attr.similarity.classes};
    const REAL *x = args[0];
    double *u = work, *length = work + batch * width, *du = length + batch, *metrics = args[5];
    for (int64_t i = 0; i < batch; i++) {
        double mean = 0, squares = 0;
        for (int64_t k = 0; k < width; k++) mean += x[i * width + k] / (double)width;
        for (int64_t k = 0; k < width; k++) squares += (x[i * width + k] - mean) * (x[i * width + k] - mean);
        length[i] = sqrt(squares);
        for (int64_t k = 0; k < width; k++)
            u[i * width + k] = length[i] <= 1e-6 ? 0 : (x[i * width + k] - mean) / length[i];
    }
    for (int64_t i = 0; i < batch; i++) {
        double loss = similarity_sample(d, &t, u, length[i], i, i / n * n, n, (REAL *)args[4] + i * width, du);
        metrics[METRIC_LOSS] += d->attr.similarity.share * loss;
        metrics[METRIC_SIMILARITY] += loss;
    }
}
