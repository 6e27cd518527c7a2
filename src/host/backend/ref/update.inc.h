/* Gradient norms and parameter updates. Included by ops.inc.h. */

static void grad_norm(const struct op_desc *d, void *const *args, double *work)
{
    const double *hyper = args[GRAD_GROUPS];
    double *norm_out = args[GRAD_GROUPS + 1], squares[2] = {0, 0}, clip = d->attr.grad_norm.clip;
    (void)work;
    for (int g = 0; g < GRAD_GROUPS; g++) {
        const REAL *grad = args[g];
        for (int64_t i = 0; grad && i < tensor_count(&d->arg[g]); i++)
            squares[g >= GRAD_GROUPS_BODY] += (double)grad[i] * grad[i];
    }
    double whole = sqrt(squares[0] + squares[1]);
    norm_out[NORM_BODY] = sqrt(squares[0]);
    norm_out[NORM_HEAD] = sqrt(squares[1]);
    norm_out[NORM_FACTOR] = clip > 0 && isfinite(whole) && whole > clip ? clip / whole : 1;
    if (!isfinite(whole) && norm_out[NORM_LATCH] == 0) norm_out[NORM_LATCH] = hyper[HYPER_STEP];
}

static void adamw(const struct op_desc *d, void *const *args, double *work)
{
    REAL *p = args[0], *m = args[2], *v = args[3];
    const REAL *g = args[1];
    const double *hyper = args[4], *norm_in = args[5];
    double beta1 = d->attr.adamw.beta1, beta2 = d->attr.adamw.beta2;
    (void)work;
    if (norm_in[NORM_LATCH] != 0) return;
    for (int k = 0; k < d->attr.adamw.parts.count; k++) {
        const struct update_part *part = &d->attr.adamw.parts.part[k];
        double rate = hyper[HYPER_LR] * part->lr_factor;
        for (int64_t i = part->first; i < part->first + part->count; i++) {
            double grad = norm_in[NORM_FACTOR] * g[i];
            double m1 = beta1 * m[i] + (1 - beta1) * grad, v1 = beta2 * v[i] + (1 - beta2) * grad * grad;
            double step = (m1 / hyper[HYPER_BIAS1]) / (sqrt(v1 / hyper[HYPER_BIAS2]) + d->attr.adamw.eps);
            p[i] = (REAL)(p[i] - rate * (part->decay * p[i] + step));
            m[i] = (REAL)m1;
            v[i] = (REAL)v1;
        }
    }
}

static void sgd(const struct op_desc *d, void *const *args, double *work)
{
    REAL *p = args[0], *m = args[2];
    const REAL *g = args[1];
    const double *hyper = args[3], *norm_in = args[4];
    double momentum = d->attr.sgd.momentum;
    (void)work;
    if (norm_in[NORM_LATCH] != 0) return;
    for (int k = 0; k < d->attr.sgd.parts.count; k++) {
        const struct update_part *part = &d->attr.sgd.parts.part[k];
        double rate = hyper[HYPER_LR] * part->lr_factor;
        for (int64_t i = part->first; i < part->first + part->count; i++) {
            double step = norm_in[NORM_FACTOR] * g[i] + part->decay * p[i];
            if (m) {
                double m1 = momentum * m[i] + step;
                step = d->attr.sgd.nesterov ? step + momentum * m1 : m1;
                m[i] = (REAL)m1;
            }
            p[i] = (REAL)(p[i] - rate * step);
        }
    }
}

static void retract(const struct op_desc *d, void *const *args, double *work)
{
    REAL *p = args[0];
    const double *norm_in = args[1];
    int64_t width = d->arg[0].dim[d->arg[0].rank - 1], rows = tensor_count(&d->arg[0]) / width;
    (void)work;
    if (norm_in[NORM_LATCH] != 0) return;
    for (int64_t r = 0; r < rows; r++, p += width) {
        double squares = 0;
        for (int64_t i = 0; i < width; i++) squares += (double)p[i] * p[i];
        for (int64_t i = 0; squares > 0 && i < width; i++) p[i] = (REAL)(p[i] / sqrt(squares));
    }
}

static void clamp(const struct op_desc *d, void *const *args, double *work)
{
    REAL *p = args[0];
    const double *norm_in = args[1];
    (void)work;
    if (norm_in[NORM_LATCH] != 0) return;
    for (int64_t i = 0; i < tensor_count(&d->arg[0]); i++)
        p[i] = (REAL)fmin(fmax(p[i], d->attr.clamp.lo), d->attr.clamp.hi);
}
