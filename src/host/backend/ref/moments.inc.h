/* Sums of two activations, the way back through unit length, and second moments: energy, deviation. Included by
 * ops.inc.h. */

static void add(const struct op_desc *d, void *const *args, double *work)
{
    const REAL *a = args[0], *b = args[1];
    REAL *y = args[2];
    (void)work;
    for (int64_t i = 0; i < tensor_count(&d->arg[0]); i++) y[i] = (REAL)((double)a[i] + b[i]);
}

/* y = f x with f = sqrt(n) / ||x||: dx = f (dy - x <x, dy> / ||x||^2); where f is constant dx = f dy. */
static void unit_back(const struct op_desc *d, void *const *args, double *work)
{
    const REAL *x = args[0], *dy = args[1];
    REAL *dx = args[2];
    int64_t n = tensor_row(&d->arg[0]);
    (void)work;
    for (int64_t b = 0; b < d->arg[0].dim[0]; b++, x += n, dy += n, dx += n) {
        double squares = 0, along = 0;
        for (int64_t i = 0; i < n; i++) {
            squares += (double)x[i] * x[i];
            along += (double)x[i] * dy[i];
        }
        double length = sqrt(squares), factor = sqrt((double)n) / fmax(length, 1e-6);
        double back = length > 1e-6 ? along / squares : 0;
        for (int64_t i = 0; i < n; i++) dx[i] = (REAL)(factor * (dy[i] - back * x[i]));
    }
}

/* Groups side by side: n elements each, in plain memory. */
static void energy(const struct op_desc *d, void *const *args, double *work)
{
    const REAL *x = args[0];
    REAL *y = args[1];
    int64_t groups = tensor_count(&d->arg[1]), n = tensor_count(&d->arg[0]) / groups;
    (void)work;
    for (int64_t g = 0; g < groups; g++) {
        double squares = 0;
        for (int64_t i = g * n; i < (g + 1) * n; i++) squares += (double)x[i] * x[i];
        y[g] = (REAL)(squares / (double)n);
    }
}

static void energy_back(const struct op_desc *d, void *const *args, double *work)
{
    const REAL *x = args[0], *dy = args[1];
    REAL *dx = args[2];
    int64_t n = tensor_count(&d->arg[0]) / tensor_count(&d->arg[1]);
    (void)work;
    for (int64_t i = 0; i < tensor_count(&d->arg[0]); i++) dx[i] = (REAL)(2 * (double)x[i] * dy[i / n] / (double)n);
}

/* Mean and standard deviation of n numbers. */
static double moments_of(const REAL *x, int64_t n, double *mean)
{
    double squares = 0;
    *mean = 0;
    for (int64_t i = 0; i < n; i++) *mean += x[i];
    *mean /= (double)n;
    for (int64_t i = 0; i < n; i++) squares += (x[i] - *mean) * (x[i] - *mean);
    return sqrt(squares / (double)(n - 1));
}

static void deviation(const struct op_desc *d, void *const *args, double *work)
{
    const REAL *x = args[0];
    REAL *y = args[1];
    int64_t n = tensor_area(&d->arg[0]);
    double mean;
    (void)work;
    for (int64_t plane = 0; plane < tensor_count(&d->arg[1]); plane++)
        y[plane] = (REAL)moments_of(x + plane * n, n, &mean);
}

static void deviation_back(const struct op_desc *d, void *const *args, double *work)
{
    const REAL *x = args[0], *dy = args[1];
    REAL *dx = args[2];
    int64_t n = tensor_area(&d->arg[0]);
    double mean;
    (void)work;
    for (int64_t plane = 0; plane < tensor_count(&d->arg[1]); plane++) {
        double deviation = moments_of(x + plane * n, n, &mean);
        double factor = deviation > 0 ? dy[plane] / (deviation * (double)(n - 1)) : 0;
        for (int64_t i = plane * n; i < (plane + 1) * n; i++) dx[i] = (REAL)(factor * (x[i] - mean));
    }
}
