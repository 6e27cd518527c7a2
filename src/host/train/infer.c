/* Timing predictions. */
#include "infer.h"

#include "model.h"

#include "base/arena.h"
#include "base/philox.h"

#include <stdlib.h>
#include <string.h>

static hff_status make_batch(struct contender *c)
{
    const struct engine *engine = c->setup.engine;
    size_t size = (size_t)engine->batch, classes = (size_t)engine->classes, pixels = size * (size_t)engine->sample;
    c->batch = (struct batch){.size = engine->batch, .real = engine->batch};
    c->batch.images = malloc(pixels * sizeof(float));
    c->batch.y1 = c->batch.y2 = calloc(size, sizeof(int32_t));
    c->batch.weight = calloc(size, sizeof(float)); /* 0: no label is known, so there is no loss to compute */
    c->scores = calloc((size_t)engine->stages * size * classes, sizeof(float));
    c->labels = calloc(size, sizeof(int32_t));
    if (!c->batch.images || !c->batch.y1 || !c->batch.weight || !c->scores || !c->labels)
        return fail(HFF_E_MEMORY, "no memory for a batch of %zu images", size);
    struct rng rng;
    rng_open(&rng, 1, RNG_TEST, 0, 0);
    for (size_t i = 0; i < pixels; i++) c->batch.images[i] = rng_uniform(&rng) - 0.5f;
    return HFF_OK;
}

static hff_status predict(void *contender)
{
    return contender_predict(contender);
}

hff_status contender_start(struct contender *c, int rounds)
{
    TRY(setup_fits(&c->setup));
    TRY(engine_bind(c->setup.engine));
    TRY(rules_from_config(&c->rules, &c->rule, c->setup.config, c->setup.engine));
    if (!c->rules.known[c->rule]) c->rule = RULE_SUM;
    TRY(turns_open(&c->turns, predict, c, rounds));
    return make_batch(c);
}

void contender_close(struct contender *c)
{
    free(c->batch.images);
    free(c->batch.y1);
    free(c->batch.weight);
    free(c->scores);
    free(c->labels);
    turns_close(&c->turns);
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

hff_status contenders_time(struct contender *contenders, int count, int rounds, const volatile sig_atomic_t *stop)
{
    struct arena arena = {0};
    struct turns **turns = ARENA_NEW(&arena, struct turns *, count);
    for (int i = 0; i < count; i++) turns[i] = &contenders[i].turns;
    hff_status status = turns_time(turns, count, rounds, stop);
    arena_free(&arena);
    return status;
}

struct spread contender_latency(const struct contender *c, double *images_per_s)
{
    struct spread latency = spread_of(c->turns.seconds, c->turns.calls);
    *images_per_s = c->batch.size / latency.median;
    return latency;
}
