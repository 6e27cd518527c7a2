/* Logistic regression on pixels, in plain C. */
#include "probe.h"

#include "evaluate.h"

#include "base/philox.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PROBE_BATCH = 50 };

struct probe {
    int classes;
    size_t inputs;
    float *weight, *gradient, *m, *v; /* (classes, inputs + 1): the last column is the bias */
    float *x;                         /* (inputs + 1), the last is 1 */
    float *table[4];                  /* pixel to normalised value, 256 for each channel */
    uint32_t *order;
    size_t plane;
    int channels;
};

static void read_sample(struct probe *p, const struct dataset *set, size_t index)
{
    const uint8_t *pixels = set->images + index * p->inputs;
    for (int c = 0; c < p->channels; c++)
        for (size_t i = 0; i < p->plane; i++)
            p->x[(size_t)c * p->plane + i] = p->table[c][pixels[(size_t)c * p->plane + i]];
    p->x[p->inputs] = 1;
}

static float score(const struct probe *p, int class)
{
    const float *w = p->weight + (size_t) class * (p->inputs + 1);
    float lane[16] = {0}, sum = 0;
    size_t n = p->inputs + 1, i = 0;
    for (; i + 16 <= n; i += 16)
        for (int k = 0; k < 16; k++) lane[k] += w[i + (size_t)k] * p->x[i + (size_t)k];
    for (; i < n; i++) sum += w[i] * p->x[i];
    for (int k = 0; k < 16; k++) sum += lane[k];
    return sum;
}

/* Adds one sample's gradient of the mean loss of a batch. */
static void add_gradient(struct probe *p, int label, float *s)
{
    float top = -INFINITY, sum = 0;
    for (int c = 0; c < p->classes; c++) {
        s[c] = score(p, c);
        top = s[c] > top ? s[c] : top;
    }
    for (int c = 0; c < p->classes; c++) sum += s[c] = expf(s[c] - top);
    for (int c = 0; c < p->classes; c++) {
        float g = (s[c] / sum - (float)(c == label)) / PROBE_BATCH, *out = p->gradient + (size_t)c * (p->inputs + 1);
        for (size_t i = 0; i <= p->inputs; i++) out[i] += g * p->x[i];
    }
}

static void adam(struct probe *p, double rate, int64_t step)
{
    float lr = (float)(rate * sqrt(1 - pow(0.999, (double)step)) / (1 - pow(0.9, (double)step)));
    for (size_t i = 0; i < (size_t)p->classes * (p->inputs + 1); i++) {
        p->m[i] = 0.9f * p->m[i] + 0.1f * p->gradient[i];
        p->v[i] = 0.999f * p->v[i] + 0.001f * p->gradient[i] * p->gradient[i];
        p->weight[i] -= lr * p->m[i] / (sqrtf(p->v[i]) + 1e-8f);
    }
}

static hff_status fit(struct probe *p, const struct dataset *set, int epochs, uint64_t seed,
                      const volatile sig_atomic_t *stop, float *s)
{
    int64_t batches = set->count / PROBE_BATCH, total = batches * epochs, step = 0;
    for (int epoch = 0; epoch < epochs; epoch++) {
        struct rng rng;
        rng_open(&rng, seed, RNG_TEST, (uint64_t)epoch, 0);
        rng_permutation(&rng, p->order, (uint32_t)set->count);
        for (int64_t b = 0; b < batches; b++) {
            memset(p->gradient, 0, (size_t)p->classes * (p->inputs + 1) * sizeof *p->gradient);
            for (int i = 0; i < PROBE_BATCH; i++) {
                uint32_t index = p->order[b * PROBE_BATCH + i];
                read_sample(p, set, index);
                add_gradient(p, set->labels[index], s);
            }
            step++;
            adam(p, 0.001 * (1 - (double)(step - 1) / (double)total), step);
            TRY(stop_asked(stop, "the fit of a linear softmax"));
        }
    }
    return HFF_OK;
}

static double measure(struct probe *p, const struct dataset *set)
{
    int64_t right = 0;
    for (int64_t n = 0; n < set->count; n++) {
        int best = 0;
        float top = -INFINITY;
        read_sample(p, set, (size_t)n);
        for (int c = 0; c < p->classes; c++) {
            float s = score(p, c);
            if (s > top) {
                top = s;
                best = c;
            }
        }
        right += best == set->labels[n];
    }
    return set->count ? (double)right / (double)set->count : 0;
}

hff_status probe_linear(const struct data *data, enum split split, int epochs, uint64_t seed,
                        const volatile sig_atomic_t *stop, double *accuracy)
{
    struct probe p = {
        .classes = data->classes, .channels = data->channels, .plane = (size_t)data->height * (size_t)data->width};
    p.inputs = (size_t)p.channels * p.plane;
    size_t weights = (size_t)p.classes * (p.inputs + 1), samples = (size_t)data->split[SPLIT_TRAIN].count;
    float *memory = calloc(4 * weights + p.inputs + 1 + 4 * 256 + (size_t)p.classes, sizeof *memory);
    p.order = calloc(samples + 1, sizeof *p.order);
    hff_status status =
        memory && p.order ? HFF_OK : fail(HFF_E_MEMORY, "no memory for a linear probe of %zu weights", weights);
    if (status == HFF_OK) {
        p.weight = memory;
        p.gradient = memory + weights;
        p.m = memory + 2 * weights;
        p.v = memory + 3 * weights;
        p.x = memory + 4 * weights;
        for (int c = 0; c < p.channels && c < 4; c++) {
            p.table[c] = p.x + p.inputs + 1 + c * 256;
            for (int i = 0; i < 256; i++) p.table[c][i] = (float)((i / 255.0 - data->mean[c]) / data->std[c]);
        }
        status = fit(&p, &data->split[SPLIT_TRAIN], epochs, seed, stop, p.x + p.inputs + 1 + 4 * 256);
        if (status == HFF_OK) *accuracy = measure(&p, &data->split[split]);
    }
    free(memory);
    free(p.order);
    return status;
}
