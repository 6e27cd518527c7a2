/* Batch normalisation and activations. Included by ops.inc.h. */

static double act_value(enum act act, double v)
{
    switch (act) {
#define ROW(name, word, y, dy)                                                                                         \
    case ACT_##name: return y;
        ACTIVATIONS(ROW)
#undef ROW
    case ACT_COUNT: break;
    }
    return v;
}

static double act_slope(enum act act, double v)
{
    switch (act) {
#define ROW(name, word, y, dy)                                                                                         \
    case ACT_##name: return dy;
        ACTIVATIONS(ROW)
#undef ROW
    case ACT_COUNT: break;
    }
    return 1;
}

static void act(const struct op_desc *d, void *const *args, double *work)
{
    const REAL *x = args[0];
    REAL *y = args[1];
    (void)work;
    for (int64_t i = 0; i < tensor_count(&d->arg[0]); i++) y[i] = (REAL)act_value(d->attr.act.act, x[i]);
}

static void act_back(const struct op_desc *d, void *const *args, double *work)
{
    const REAL *x = args[0], *dy = args[1];
    REAL *dx = args[2];
    (void)work;
    for (int64_t i = 0; i < tensor_count(&d->arg[0]); i++) dx[i] = (REAL)(dy[i] * act_slope(d->attr.act.act, x[i]));
}

/* x (B, C, area): where channel c of sample b begins. */
struct norm_sizes {
    int64_t batch, channels, area;
};

static struct norm_sizes norm_sizes(const struct tensor *x)
{
    return (struct norm_sizes){x->dim[0], x->dim[1], tensor_row(x) / x->dim[1]};
}

/* y = act(gamma (x - mean) invstd + beta) for one channel. */
static void norm_apply(const struct op_desc *d, int64_t channel, const REAL *x, double gamma, double beta, double mean,
                       double invstd, REAL *y)
{
    struct norm_sizes s = norm_sizes(&d->arg[0]);
    for (int64_t b = 0; b < s.batch; b++)
        for (int64_t i = 0; i < s.area; i++) {
            int64_t at = (b * s.channels + channel) * s.area + i;
            y[at] = (REAL)act_value(d->attr.norm.act, gamma * (x[at] - mean) * invstd + beta);
        }
}

/* The mean of (x - shift)^power over a channel: (0, 1) gives the mean, (mean, 2) the biased variance. */
static double norm_moment(const struct norm_sizes *s, const REAL *x, int64_t channel, double shift, int power)
{
    double sum = 0;
    for (int64_t b = 0; b < s->batch; b++)
        for (int64_t i = 0; i < s->area; i++) {
            double v = x[(b * s->channels + channel) * s->area + i] - shift;
            sum += power == 2 ? v * v : v;
        }
    return sum / (double)(s->batch * s->area);
}

static void norm(const struct op_desc *d, void *const *args, double *work)
{
    struct norm_sizes s = norm_sizes(&d->arg[0]);
    const REAL *x = args[0], *gamma = args[1], *beta = args[2];
    REAL *mean_out = args[3], *invstd_out = args[4], *run_mean = args[5], *run_var = args[6];
    double n = (double)(s.batch * s.area), unbiased = n > 1 ? n / (n - 1) : 1, momentum = d->attr.norm.momentum;
    (void)work;
    for (int64_t c = 0; c < s.channels; c++) {
        double mean = norm_moment(&s, x, c, 0, 1), var = norm_moment(&s, x, c, mean, 2);
        double invstd = 1 / sqrt(var + d->attr.norm.eps);
        mean_out[c] = (REAL)mean;
        invstd_out[c] = (REAL)invstd;
        if (run_mean) run_mean[c] = (REAL)(run_mean[c] + momentum * (mean - run_mean[c]));
        if (run_var) run_var[c] = (REAL)(run_var[c] + momentum * (var * unbiased - run_var[c]));
        norm_apply(d, c, x, gamma[c], beta[c], mean, invstd, args[7]);
    }
}

static void norm_eval(const struct op_desc *d, void *const *args, double *work)
{
    const REAL *gamma = args[1], *beta = args[2], *run_mean = args[3], *run_var = args[4];
    (void)work;
    for (int64_t c = 0; c < d->arg[0].dim[1]; c++)
        norm_apply(d, c, args[0], gamma[c], beta[c], run_mean[c], 1 / sqrt(run_var[c] + d->attr.norm.eps), args[5]);
}

/* With v = (x - mean) invstd and g = dy act'(gamma v + beta), over the n values of a channel:
 * dbeta = sum g, dgamma = sum g v, dx = gamma invstd (g - dbeta / n - v dgamma / n). */
static void norm_back(const struct op_desc *d, void *const *args, double *work)
{
    struct norm_sizes s = norm_sizes(&d->arg[0]);
    const REAL *x = args[0], *gamma = args[1], *beta = args[2], *mean = args[3], *invstd = args[4], *dy = args[5];
    REAL *dx = args[6], *dgamma = args[7], *dbeta = args[8];
    double n = (double)(s.batch * s.area);
    (void)work;
    for (int64_t c = 0; c < s.channels; c++) {
        double sum_g = 0, sum_gv = 0;
        for (int pass = 0; pass < 2; pass++)
            for (int64_t b = 0; b < s.batch; b++)
                for (int64_t i = 0; i < s.area; i++) {
                    int64_t at = (b * s.channels + c) * s.area + i;
                    double v = ((double)x[at] - mean[c]) * invstd[c];
                    double g = dy[at] * act_slope(d->attr.norm.act, gamma[c] * v + beta[c]);
                    if (pass == 0) {
                        sum_g += g;
                        sum_gv += g * v;
                    } else {
                        dx[at] = (REAL)((double)gamma[c] * invstd[c] * (g - sum_g / n - v * sum_gv / n));
                    }
                }
        dbeta[c] = (REAL)sum_g;
        dgamma[c] = (REAL)sum_gv;
    }
}
