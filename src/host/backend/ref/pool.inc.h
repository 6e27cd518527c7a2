/* Pooling, adaptive pooling, unit length, and reorder. Included by ops.inc.h. */

/* One layout, so the same bytes. */
static void reorder(const struct op_desc *d, void *const *args, double *work)
{
    (void)work;
    memcpy(args[1], args[0], tensor_bytes(&d->arg[0]));
}

static void reorders(const struct op_desc *d, void *const *args, double *work)
{
    (void)work;
    for (int i = 0; i < 2 * REORDERS; i += 2)
        if (args[i]) memcpy(args[i + 1], args[i], tensor_bytes(&d->arg[i]));
}

static void pool(const struct op_desc *d, void *const *args, double *work)
{
    const struct tensor *in = &d->arg[0], *out = &d->arg[1];
    int kernel = d->attr.pool.kernel, stride = d->attr.pool.stride, max = d->attr.pool.kind == POOL_MAX;
    const REAL *x = args[0];
    REAL *y = args[1];
    uint8_t *index = args[2];
    (void)work;
    for (int64_t plane = 0; plane < in->dim[0] * in->dim[1]; plane++, x += tensor_area(in))
        for (int64_t row = 0; row < out->dim[2]; row++)
            for (int64_t column = 0; column < out->dim[3]; column++) {
                const REAL *window = x + row * stride * in->dim[3] + column * stride;
                double sum = 0;
                REAL best = window[0];
                int place = 0;
                for (int k = 0; k < kernel * kernel; k++) {
                    REAL v = window[k / kernel * in->dim[3] + k % kernel];
                    sum += v;
                    if (!(v <= best)) best = v, place = k; /* not a number wins, and is noticed */
                }
                *y++ = max ? best : (REAL)(sum / (kernel * kernel));
                if (index) *index++ = (uint8_t)(max ? place : 0);
            }
}

/* Gathers rather than scatters, so that the sum over overlapping windows is a double. */
static void pool_back(const struct op_desc *d, void *const *args, double *work)
{
    const struct tensor *out = &d->arg[1], *in = &d->arg[2];
    int kernel = d->attr.pool.kernel, stride = d->attr.pool.stride, max = d->attr.pool.kind == POOL_MAX;
    const uint8_t *index = args[0];
    const REAL *dy = args[1];
    REAL *dx = args[2];
    int64_t area = tensor_area(out);
    (void)work;
    for (int64_t plane = 0; plane < in->dim[0] * in->dim[1]; plane++)
        for (int64_t row = 0; row < in->dim[2]; row++)
            for (int64_t column = 0; column < in->dim[3]; column++) {
                double sum = 0;
                for (int k = 0; k < kernel * kernel; k++) {
                    int64_t up = row - k / kernel, left = column - k % kernel;
                    if (up < 0 || left < 0 || up % stride || left % stride) continue;
                    if (up / stride >= out->dim[2] || left / stride >= out->dim[3]) continue;
                    int64_t at = plane * area + up / stride * out->dim[3] + left / stride;
                    if (max)
                        sum += index[at] == k ? dy[at] : 0;
                    else
                        sum += (double)dy[at] / (kernel * kernel);
                }
                *dx++ = (REAL)sum;
            }
}

/* The adaptive window of output i of a in an input of size: [from, to). */
static int64_t apool_from(int64_t i, int64_t size, int64_t a)
{
    return i * size / a;
}

static int64_t apool_to(int64_t i, int64_t size, int64_t a)
{
    return ((i + 1) * size + a - 1) / a;
}

static void apool(const struct op_desc *d, void *const *args, double *work)
{
    const struct tensor *in = &d->arg[0], *out = &d->arg[1];
    const REAL *x = args[0];
    REAL *y = args[1];
    (void)work;
    for (int64_t plane = 0; plane < in->dim[0] * in->dim[1]; plane++, x += tensor_area(in))
        for (int64_t i = 0; i < out->dim[2]; i++)
            for (int64_t j = 0; j < out->dim[3]; j++) {
                int64_t top = apool_from(i, in->dim[2], out->dim[2]), bottom = apool_to(i, in->dim[2], out->dim[2]);
                int64_t left = apool_from(j, in->dim[3], out->dim[3]), right = apool_to(j, in->dim[3], out->dim[3]);
                double sum = 0;
                for (int64_t r = top; r < bottom; r++)
                    for (int64_t c = left; c < right; c++) sum += x[r * in->dim[3] + c];
                *y++ = (REAL)(sum / (double)((bottom - top) * (right - left)));
            }
}

/* What output windows give back to one input position of a plane. */
static double apool_gather(const struct tensor *in, const struct tensor *out, const REAL *dy, int64_t r, int64_t c)
{
    double sum = 0;
    for (int64_t i = 0; i < out->dim[2]; i++)
        for (int64_t j = 0; j < out->dim[3]; j++) {
            int64_t top = apool_from(i, in->dim[2], out->dim[2]), bottom = apool_to(i, in->dim[2], out->dim[2]);
            int64_t left = apool_from(j, in->dim[3], out->dim[3]), right = apool_to(j, in->dim[3], out->dim[3]);
            if (r < top || r >= bottom || c < left || c >= right) continue;
            sum += dy[i * out->dim[3] + j] / (double)((bottom - top) * (right - left));
        }
    return sum;
}

static void apool_back(const struct op_desc *d, void *const *args, double *work)
{
    const struct tensor *out = &d->arg[0], *in = &d->arg[1];
    const REAL *dy = args[0];
    REAL *dx = args[1];
    (void)work;
    for (int64_t plane = 0; plane < in->dim[0] * in->dim[1]; plane++, dy += tensor_area(out))
        for (int64_t r = 0; r < in->dim[2]; r++)
            for (int64_t c = 0; c < in->dim[3]; c++) *dx++ = (REAL)apool_gather(in, out, dy, r, c);
}

/* act, then apool, in double. */
static void act_apool(const struct op_desc *d, void *const *args, double *work)
{
    const struct tensor *in = &d->arg[0];
    int64_t rows = d->attr.act_apool.rows, columns = d->attr.act_apool.columns;
    const REAL *x = args[0];
    REAL *y = args[1];
    (void)work;
    for (int64_t plane = 0; plane < in->dim[0] * in->dim[1]; plane++, x += tensor_area(in))
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < columns; j++) {
                int64_t top = apool_from(i, in->dim[2], rows), bottom = apool_to(i, in->dim[2], rows);
                int64_t left = apool_from(j, in->dim[3], columns), right = apool_to(j, in->dim[3], columns);
                double sum = 0;
                for (int64_t r = top; r < bottom; r++)
                    for (int64_t c = left; c < right; c++)
                        sum += act_value(d->attr.act_apool.act, x[r * in->dim[3] + c]);
                *y++ = (REAL)(sum / (double)((bottom - top) * (right - left)));
            }
}

static void act_apool_back(const struct op_desc *d, void *const *args, double *work)
{
    const struct tensor *in = &d->arg[2];
    struct tensor out =
        tensor_make4(in->dtype, in->dim[0], in->dim[1], d->attr.act_apool.rows, d->attr.act_apool.columns);
    const REAL *x = args[0], *dy = args[1];
    REAL *dx = args[2];
    (void)work;
    for (int64_t plane = 0; plane < in->dim[0] * in->dim[1]; plane++, dy += tensor_area(&out))
        for (int64_t r = 0; r < in->dim[2]; r++)
            for (int64_t c = 0; c < in->dim[3]; c++) {
                double slope = x ? act_slope(d->attr.act_apool.act, *x++) : 1;
                *dx++ = (REAL)(slope * apool_gather(in, &out, dy, r, c));
            }
}

static void unit(const struct op_desc *d, void *const *args, double *work)
{
    const REAL *x = args[0];
    REAL *y = args[1];
    int64_t n = tensor_row(&d->arg[0]);
    (void)work;
    for (int64_t b = 0; b < d->arg[0].dim[0]; b++, x += n, y += n) {
        double squares = 0;
        for (int64_t i = 0; i < n; i++) squares += (double)x[i] * x[i];
        double factor = sqrt((double)n) / fmax(sqrt(squares), 1e-6);
        for (int64_t i = 0; i < n; i++) y[i] = (REAL)(x[i] * factor);
    }
}
