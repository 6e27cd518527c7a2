/* From numbers to what is seen: colours and round ticks. */
#include "figure.h"

#include <math.h>
#include <stdio.h>

#define HEX(code)                                                                                                      \
    {                                                                                                                  \
        ((code) >> 16 & 255) / 255.0, ((code) >> 8 & 255) / 255.0, ((code)&255) / 255.0                                \
    }

const struct rgb color_ink = HEX(0x222222), color_muted = HEX(0x767676), color_grid = HEX(0xe4e4e4);
const struct rgb color_frame = HEX(0x555555), color_missing = HEX(0xc8c8c8);

struct rgb color_series(int i)
{
    static const struct rgb hues[HUES] = {HEX(0x0072b2), HEX(0xd55e00), HEX(0x009e73), HEX(0xcc79a7),
                                          HEX(0xe69f00), HEX(0x56b4e9), HEX(0x222222)};
    return hues[i % HUES];
}

/* Linear between neighbouring entries, at 0 .. 1. */
static struct rgb ramp(const struct rgb *colors, int count, double at)
{
    at = fmax(0, fmin(1, at)) * (count - 1);
    int i = (int)fmin(floor(at), count - 2);
    double part = at - i;
    const struct rgb *a = &colors[i], *b = &colors[i + 1];
    return (struct rgb){a->r + part * (b->r - a->r), a->g + part * (b->g - a->g), a->b + part * (b->b - a->b)};
}

struct rgb color_sequential(double share)
{
    static const struct rgb blues[] = {HEX(0xffffff), HEX(0xdeebf7), HEX(0xc6dbef), HEX(0x9ecae1), HEX(0x6baed6),
                                       HEX(0x4292c6), HEX(0x2171b5), HEX(0x08519c), HEX(0x08306b)};
    return isnan(share) ? color_missing : ramp(blues, sizeof blues / sizeof *blues, share);
}

struct rgb color_diverging(double value)
{
    static const struct rgb colors[] = {HEX(0x053061), HEX(0x2166ac), HEX(0x4393c3), HEX(0x92c5de),
                                        HEX(0xd1e5f0), HEX(0xf7f7f7), HEX(0xfddbc7), HEX(0xf4a582),
                                        HEX(0xd6604d), HEX(0xb2182b), HEX(0x67001f)};
    return isnan(value) ? color_missing : ramp(colors, sizeof colors / sizeof *colors, 0.5 + 0.5 * value);
}

struct rgb color_on(struct rgb background)
{
    double light = 0.299 * background.r + 0.587 * background.g + 0.114 * background.b;
    return light > 0.55 ? color_ink : (struct rgb){1, 1, 1};
}

struct axis axis_make(double low, double high, int ticks)
{
    static const double round_steps[] = {1, 2, 2.5, 5, 10};
    double rough = (high - low) / ticks, power = pow(10, floor(log10(rough)));
    int i = 0;
    while (i < 4 && round_steps[i] * power < rough * (1 - 1e-9)) i++;
    return (struct axis){low, high, round_steps[i] * power};
}

double axis_first(const struct axis *axis)
{
    return ceil(axis->low / axis->step - 1e-6) * axis->step;
}

void axis_label(const struct axis *axis, double value, char *out, size_t capacity)
{
    if (fabs(value) < 1e-6 * axis->step) value = 0;
    double largest = fmax(fabs(axis->low), fabs(axis->high));
    if (largest >= 1e6 || largest < 1e-3) {
        snprintf(out, capacity, "%.3g", value);
        return;
    }
    int digits = 0;
    for (double step = axis->step; digits < 9 && fabs(step - round(step)) > 1e-6 * step; step *= 10) digits++;
    snprintf(out, capacity, "%.*f", digits, value);
}
