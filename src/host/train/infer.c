/* Timing predictions. */
#include "infer.h"

#include "model.h"

#include "base/clock.h"
#include "base/philox.h"

#include <stdlib.h>
#include <string.h>

/* A round's calls of one contender take about this long, or are one call. */
static const double round_seconds = 0.2;
enum { CALLS_MOST = 100 };

static hff_status make_batch(struct contender *c, int rounds)
{
    const struct engine *engine = c->setup.engine;
    size_t size = (size_t)engine->batch, classes = (size_t)engine->classes, pixels = size * (size_t)engine->sample;
    c->batch = (struct batch){.size = engine->batch, .real = engine->batch};
    c->batch.images = malloc(pixels * sizeof(float));
    c->batch.y1 = c->batch.y2 = calloc(size, sizeof(int32_t));
    c->batch.weight = calloc(size, sizeof(float)); /* 0: no label is known, so there is no loss to compute */
    c->scores = calloc((size_t)engine->stages * size * classes, sizeof(float));
    c->labels = calloc(size, sizeof(int32_t));
    c->room = rounds * CALLS_MOST;
    c->seconds = calloc((size_t)c->room, sizeof(double));
    c->round = calloc((size_t)rounds, sizeof(double));
    if (!c->batch.images || !c->batch.y1 || !c->batch.weight || !c->scores || !c->labels || !c->seconds || !c->round)
        return fail(HFF_E_MEMORY, "no memory for a batch of %zu images", size);
    struct rng rng;
    rng_open(&rng, 1, RNG_TEST, 0, 0);
    for (size_t i = 0; i < pixels; i++) c->batch.images[i] = rng_uniform(&rng) - 0.5f;
    return HFF_OK;
}

hff_status contender_start(struct contender *c, int rounds)
{
    TRY(setup_fits(&c->setup));
    TRY(engine_bind(c->setup.engine));
    TRY(rules_from_config(&c->rules, &c->rule, c->setup.config, c->setup.engine));
    if (!c->rules.known[c->rule]) c->rule = RULE_SUM;
    return make_batch(c, rounds);
}

void contender_close(struct contender *c)
{
    free(c->batch.images);
    free(c->batch.y1);
    free(c->batch.weight);
    free(c->scores);
    free(c->labels);
    free(c->seconds);
    free(c->round);
    rules_close(&c->rules);
    setup_close(&c->setup);
}

/* Log softmax takes the same from all classes of a stage, so the best class needs no logarithm. */
static int32_t best_class(const struct contender *c, int sample)
{
    const struct engine *engine = c->setup.engine;
    const double *weight = c->rules.weight[c->rule];
    size_t stride = (size_t)engine->batch * (size_t)engine->classes, at = (size_t)sample * (size_t)engine->classes;
    double best = 0;
    int32_t winner = -1;
    for (int k = 0; k < engine->classes; k++) {
        double sum = 0;
        for (int l = 0; l < engine->stages; l++)
            if (weight[l] != 0) sum += weight[l] * c->scores[(size_t)l * stride + at + (size_t)k];
        if (winner >= 0 && sum <= best) continue;
        best = sum;
        winner = k;
    }
    return winner;
}

hff_status contender_predict(struct contender *c)
{
    TRY(engine_evaluate(c->setup.engine, &c->batch, c->scores));
    for (int b = 0; b < c->batch.size; b++) c->labels[b] = best_class(c, b);
    return HFF_OK;
}

static hff_status timed(struct contender *c, double *seconds)
{
    double start = clock_seconds();
    TRY(contender_predict(c));
    *seconds = clock_seconds() - start;
    return HFF_OK;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *seconds, int count)
{
    qsort(seconds, (size_t)count, sizeof *seconds, ascending);
    return count % 2 ? seconds[count / 2] : 0.5 * (seconds[count / 2 - 1] + seconds[count / 2]);
}

hff_status contenders_time(struct contender *contenders, int count, int rounds, const volatile sig_atomic_t *stop)
{
    for (int i = 0; i < count; i++) { /* a warm-up, which also says how many calls make a round */
        double first;
        TRY(timed(&contenders[i], &first));
        if (first < round_seconds) TRY(timed(&contenders[i], &first));
        double calls = round_seconds / (first > 1e-6 ? first : 1e-6);
        contenders[i].each = calls < 1 ? 1 : calls > CALLS_MOST ? CALLS_MOST : (int)calls;
    }
    for (int r = 0; r < rounds; r++)
        for (int i = 0; i < count; i++) {
            struct contender *c = &contenders[i];
            double *seconds = c->seconds + c->calls;
            for (int k = 0; k < c->each; k++) {
                TRY(timed(c, &c->seconds[c->calls++]));
                TRY(stop_asked(stop, "a measurement"));
            }
            c->round[r] = median(seconds, c->each);
        }
    return HFF_OK;
}

struct latency contender_latency(const struct contender *c)
{
    qsort(c->seconds, (size_t)c->calls, sizeof *c->seconds, ascending);
    struct latency out = {.runs = c->calls, .min = c->seconds[0], .max = c->seconds[c->calls - 1]};
    out.p50 = c->seconds[c->calls / 2];
    out.p99 = c->seconds[(int)(0.99 * (c->calls - 1) + 0.5)];
    out.images_per_s = c->batch.size / out.p50;
    return out;
}

double contender_ratio(const struct contender *c, const struct contender *by, int rounds)
{
    double ratio[64];
    int count = rounds < 64 ? rounds : 64;
    for (int r = 0; r < count; r++) ratio[r] = c->round[r] / by->round[r];
    return median(ratio, count);
}
