/* Products: linear and convolution, forward, back to the data, back to the weights. Included by ops.inc.h. */

static void linear(const struct op_desc *d, void *const *args, double *work)
{
    const REAL *x = args[0], *w = args[1], *bias = args[2];
    REAL *y = args[3];
    int64_t batch = d->arg[0].dim[0], in = d->arg[1].dim[1], out = d->arg[1].dim[0];
    (void)work;
    for (int64_t b = 0; b < batch; b++)
        for (int64_t o = 0; o < out; o++) {
            double sum = bias ? bias[o] : 0;
            for (int64_t i = 0; i < in; i++) sum += (double)x[b * in + i] * w[o * in + i];
            y[b * out + o] = (REAL)sum;
        }
}

static void linear_data(const struct op_desc *d, void *const *args, double *work)
{
    const REAL *dy = args[0], *w = args[1];
    REAL *dx = args[2];
    int64_t batch = d->arg[0].dim[0], in = d->arg[1].dim[1], out = d->arg[1].dim[0];
    (void)work;
    for (int64_t b = 0; b < batch; b++)
        for (int64_t i = 0; i < in; i++) {
            double sum = 0;
            for (int64_t o = 0; o < out; o++) sum += (double)dy[b * out + o] * w[o * in + i];
            dx[b * in + i] = (REAL)sum;
        }
}

/* dbias of linear (area 1) and convolution: dy (B, O, area) summed over samples and positions. */
static void bias_weight(const REAL *dy, REAL *dbias, int64_t batch, int64_t out, int64_t area)
{
    for (int64_t o = 0; o < out; o++) {
        double sum = 0;
        for (int64_t b = 0; b < batch; b++)
            for (int64_t i = 0; i < area; i++) sum += dy[(b * out + o) * area + i];
        dbias[o] = (REAL)sum;
    }
}

static void linear_weight(const struct op_desc *d, void *const *args, double *work)
{
    const REAL *x = args[0], *dy = args[1];
    REAL *dw = args[2];
    int64_t batch = d->arg[0].dim[0], in = d->arg[2].dim[1], out = d->arg[2].dim[0];
    (void)work;
    for (int64_t o = 0; o < out; o++)
        for (int64_t i = 0; i < in; i++) {
            double sum = 0;
            for (int64_t b = 0; b < batch; b++) sum += (double)dy[b * out + o] * x[b * in + i];
            dw[o * in + i] = (REAL)sum;
        }
    if (args[3]) bias_weight(dy, args[3], batch, out, 1);
}

/* Sizes of a convolution, from x (B,I,H,W), w (O,I,k,k) and y (B,O,h,w). */
struct conv_sizes {
    int64_t batch, in, out, in_height, in_width, height, width;
    int kernel, stride, pad;
};

static struct conv_sizes conv_sizes(const struct op_desc *d, int x, int w, int y)
{
    return (struct conv_sizes){
        .batch = d->arg[x].dim[0],
        .in = d->arg[w].dim[1],
        .out = d->arg[w].dim[0],
        .in_height = d->arg[x].dim[2],
        .in_width = d->arg[x].dim[3],
        .height = d->arg[y].dim[2],
        .width = d->arg[y].dim[3],
        .kernel = d->attr.conv.kernel,
        .stride = d->attr.conv.stride,
        .pad = d->attr.conv.pad,
    };
}

/* The input row (or column) that tap of the window of output position out reads; -1 in the padding. */
static int64_t conv_at(const struct conv_sizes *s, int64_t out, int tap, int64_t size)
{
    int64_t at = out * s->stride - s->pad + tap;
    return at < size ? (at < 0 ? -1 : at) : -1;
}

/* The output position whose window's tap reads input position in; -1 when there is none. */
static int64_t conv_from(const struct conv_sizes *s, int64_t in, int tap, int64_t size)
{
    int64_t at = in + s->pad - tap;
    return at >= 0 && at % s->stride == 0 && at / s->stride < size ? at / s->stride : -1;
}

/* sum over channels and taps of x w, at one output position. */
static double conv_value(const struct conv_sizes *s, const REAL *x, const REAL *w, int64_t row, int64_t column)
{
    double sum = 0;
    for (int64_t i = 0; i < s->in; i++)
        for (int r = 0; r < s->kernel; r++)
            for (int c = 0; c < s->kernel; c++) {
                int64_t at = conv_at(s, row, r, s->in_height), beside = conv_at(s, column, c, s->in_width);
                if (at < 0 || beside < 0) continue;
                sum +=
                    (double)x[(i * s->in_height + at) * s->in_width + beside] * w[(i * s->kernel + r) * s->kernel + c];
            }
    return sum;
}

static void conv(const struct op_desc *d, void *const *args, double *work)
{
    struct conv_sizes s = conv_sizes(d, 0, 1, 3);
    const REAL *x = args[0], *w = args[1], *bias = args[2];
    REAL *y = args[3];
    int64_t image = s.in * s.in_height * s.in_width, filter = s.in * s.kernel * s.kernel;
    (void)work;
    for (int64_t b = 0; b < s.batch; b++)
        for (int64_t o = 0; o < s.out; o++)
            for (int64_t r = 0; r < s.height; r++)
                for (int64_t c = 0; c < s.width; c++)
                    *y++ = (REAL)((bias ? bias[o] : 0) + conv_value(&s, x + b * image, w + o * filter, r, c));
}

/* sum over output channels and taps of dy w, at one input position of channel i. */
static double conv_data_value(const struct conv_sizes *s, const REAL *dy, const REAL *w, int64_t i, int64_t row,
                              int64_t column)
{
    double sum = 0;
    for (int64_t o = 0; o < s->out; o++)
        for (int r = 0; r < s->kernel; r++)
            for (int c = 0; c < s->kernel; c++) {
                int64_t at = conv_from(s, row, r, s->height), beside = conv_from(s, column, c, s->width);
                if (at < 0 || beside < 0) continue;
                sum += (double)dy[(o * s->height + at) * s->width + beside] *
                       w[((o * s->in + i) * s->kernel + r) * s->kernel + c];
            }
    return sum;
}

static void conv_data(const struct op_desc *d, void *const *args, double *work)
{
    struct conv_sizes s = conv_sizes(d, 2, 1, 0);
    const REAL *dy = args[0], *w = args[1];
    REAL *dx = args[2];
    (void)work;
    for (int64_t b = 0; b < s.batch; b++)
        for (int64_t i = 0; i < s.in; i++)
            for (int64_t r = 0; r < s.in_height; r++)
                for (int64_t c = 0; c < s.in_width; c++)
                    *dx++ = (REAL)conv_data_value(&s, dy + b * s.out * s.height * s.width, w, i, r, c);
}

/* sum over samples and output positions of dy x, for output channel o, input channel i and one tap. */
static double conv_weight_value(const struct conv_sizes *s, const REAL *x, const REAL *dy, int64_t o, int64_t i, int r,
                                int c)
{
    double sum = 0;
    for (int64_t b = 0; b < s->batch; b++)
        for (int64_t row = 0; row < s->height; row++)
            for (int64_t column = 0; column < s->width; column++) {
                int64_t at = conv_at(s, row, r, s->in_height), beside = conv_at(s, column, c, s->in_width);
                if (at < 0 || beside < 0) continue;
                sum += (double)dy[((b * s->out + o) * s->height + row) * s->width + column] *
                       x[((b * s->in + i) * s->in_height + at) * s->in_width + beside];
            }
    return sum;
}

static void conv_weight(const struct op_desc *d, void *const *args, double *work)
{
    struct conv_sizes s = conv_sizes(d, 0, 2, 1);
    const REAL *x = args[0], *dy = args[1];
    REAL *dw = args[2];
    (void)work;
    for (int64_t o = 0; o < s.out; o++)
        for (int64_t i = 0; i < s.in; i++)
            for (int r = 0; r < s.kernel; r++)
                for (int c = 0; c < s.kernel; c++) *dw++ = (REAL)conv_weight_value(&s, x, dy, o, i, r, c);
    if (args[3]) bias_weight(dy, args[3], s.batch, s.out, s.height * s.width);
}
