/* A pass over a split, and what follows from its scores. */
#include "evaluate.h"

#include "base/clock.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROW(bar, name, word) word,
static const char *const rule_names[RULES] = {RULE_TABLE(ROW)};

const char *rule_name(enum rule rule)
{
    return rule_names[rule];
}

int rule_parse(const char *name)
{
    for (int r = 0; r < RULES; r++)
        if (strcmp(rule_names[r], name) == 0) return r;
    return -1;
}

void rules_open(struct rules *rules, int stages, int from)
{
    *rules = (struct rules){.stages = stages, .from = from};
    for (int r = 0; r < RULES; r++) rules->weight[r] = ARENA_NEW(&rules->arena, double, stages);
    rules_use(rules, stages);
    rules->known[RULE_LAST] = rules->known[RULE_SUM] = 1;
}

void rules_use(struct rules *rules, int stages)
{
    int summed = rules->from ? stages - rules->from + 1 : stages > 3 ? 3 : stages == 3 ? 2 : stages;
    if (summed < 1) summed = 1;
    for (int l = 0; l < rules->stages; l++) {
        rules->weight[RULE_LAST][l] = l == stages - 1;
        rules->weight[RULE_SUM][l] = l >= stages - summed && l < stages ? 1.0 / summed : 0;
    }
}

void rules_close(struct rules *rules)
{
    arena_free(&rules->arena);
}

/* out = log softmax(scores), classes of each. */
static void log_softmax(const float *scores, double *out, int classes)
{
    double top = scores[0], sum = 0;
    for (int c = 1; c < classes; c++) top = scores[c] > top ? scores[c] : top;
    for (int c = 0; c < classes; c++) sum += exp(scores[c] - top);
    double shift = top + log(sum);
    for (int c = 0; c < classes; c++) out[c] = scores[c] - shift;
}

static double log_sum_exp(const double *x, int n)
{
    double top = x[0], sum = 0;
    for (int i = 1; i < n; i++) top = x[i] > top ? x[i] : top;
    for (int i = 0; i < n; i++) sum += exp(x[i] - top);
    return top + log(sum);
}

/* Ties go to the lowest class. */
static int best_class(const double *x, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        if (x[i] > x[best]) best = i;
    return best;
}

static int in_top5(const double *x, int n, int label)
{
    int above = 0;
    for (int i = 0; i < n; i++) above += x[i] > x[label] || (x[i] == x[label] && i < label);
    return above < 5;
}

/* The joined log-probabilities (not normalised) of one sample: joined = sum_l weight_l lp_l. */
static void join(const double *weight, const double *lp, int stages, int classes, double *joined)
{
    memset(joined, 0, sizeof *joined * (size_t)classes);
    for (int l = 0; l < stages; l++)
        if (weight[l] != 0)
            for (int c = 0; c < classes; c++) joined[c] += weight[l] * lp[l * classes + c];
}

int rules_join(const struct rules *rules, enum rule rule, const float *scores, size_t stride, int classes,
               double *joined)
{
    double *lp = joined + classes;
    memset(joined, 0, sizeof *joined * (size_t)classes);
    for (int l = 0; l < rules->stages; l++) {
        if (rules->weight[rule][l] == 0) continue;
        log_softmax(scores + (size_t)l * stride, lp, classes);
        for (int c = 0; c < classes; c++) joined[c] += rules->weight[rule][l] * lp[c];
    }
    double shift = log_sum_exp(joined, classes);
    for (int c = 0; c < classes; c++) joined[c] -= shift;
    return best_class(joined, classes);
}

/* Adds one sample of every known rule to the evaluation's sums. lp: (stages, classes). */
static void add_sample(struct evaluation *out, const struct rules *rules, enum rule rule, const double *lp, int label,
                       double *joined)
{
    int classes = out->classes;
    for (int r = 0; r < RULES; r++) {
        if (!rules->known[r]) continue;
        join(rules->weight[r], lp, out->stages, classes, joined);
        int guess = best_class(joined, classes);
        out->accuracy[r] += guess == label;
        out->loss[r] += log_sum_exp(joined, classes) - joined[label];
        out->top5[r] += in_top5(joined, classes, label);
        if (r == (int)rule) out->confusion[label * classes + guess]++;
    }
}

static hff_status check_finite(const struct batch *batch, const float *scores, int stages, int classes)
{
    for (int l = 0; l < stages; l++)
        for (size_t i = 0; i < (size_t)batch->real * (size_t)classes; i++)
            if (!isfinite(scores[(size_t)l * (size_t)batch->size * (size_t)classes + i]))
                return fail(
                    HFF_E_NUMBERS,
                    "stage %d gives scores that are not finite; the model is damaged or its training went wrong",
                    l + 1);
    return HFF_OK;
}

static void add_batch(struct evaluation *out, const struct rules *rules, enum rule rule, const struct batch *batch,
                      const float *scores, double *lp)
{
    int classes = out->classes, stages = out->stages;
    double *joined = lp + (size_t)stages * (size_t)classes;
    for (int b = 0; b < batch->real; b++) {
        for (int l = 0; l < stages; l++) {
            log_softmax(scores + ((size_t)l * (size_t)batch->size + (size_t)b) * (size_t)classes,
                        lp + (size_t)l * (size_t)classes, classes);
            out->stage_accuracy[l] += best_class(lp + (size_t)l * (size_t)classes, classes) == batch->y1[b];
        }
        add_sample(out, rules, rule, lp, batch->y1[b], joined);
    }
}

static hff_status keep_open(struct evaluation *out, const struct engine *engine, int keep)
{
    size_t total = (size_t)out->total, classes = (size_t)out->classes, stages = (size_t)out->stages;
    if (keep) out->labels = malloc(total * sizeof *out->labels + 1);
    int complete = !keep || out->labels;
    if (keep & KEEP_SCORES) {
        out->scores = malloc(stages * total * classes * sizeof *out->scores + 1);
        complete = complete && out->scores;
    }
    if (keep & KEEP_FEATURES) out->features = ARENA_NEW(&out->arena, float *, stages);
    for (size_t l = 0; out->features && l < stages; l++) {
        /* the last batch's padding is written too */
        size_t rows = total + (size_t)engine->batch;
        out->features[l] = malloc(rows * (size_t)engine->stage[l].embedding * sizeof(float));
        complete = complete && out->features[l];
    }
    if (complete) return HFF_OK;
    return fail(HFF_E_MEMORY, "no memory to keep what %d stages give for %zu samples of %zu classes", out->stages,
                total, classes);
}

static void keep_batch(struct evaluation *out, const struct batch *batch, const float *scores)
{
    size_t classes = (size_t)out->classes, real = (size_t)batch->real, so_far = (size_t)out->samples;
    for (int l = 0; out->scores && l < out->stages; l++)
        memcpy(out->scores + ((size_t)l * (size_t)out->total + so_far) * classes,
               scores + (size_t)l * (size_t)batch->size * classes, real * classes * sizeof *scores);
    if (out->labels) memcpy(out->labels + so_far, batch->y1, real * sizeof *out->labels);
}

/* Features go where they are kept. to: (stages) scratch. */
static hff_status run_batch(struct engine *engine, const struct batch *batch, const struct evaluation *out, float **to,
                            float *scores)
{
    for (int l = 0; out->features && l < out->stages; l++)
        to[l] = out->features[l] + out->samples * engine->stage[l].embedding;
    TRY(engine_evaluate_features(engine, batch, scores, out->features ? to : NULL));
    return check_finite(batch, scores, out->stages, out->classes);
}

static void divide(struct evaluation *out)
{
    double n = out->samples > 0 ? (double)out->samples : 1;
    for (int l = 0; l < out->stages; l++) out->stage_accuracy[l] /= n;
    for (int r = 0; r < RULES; r++) {
        out->accuracy[r] /= n;
        out->loss[r] /= n;
        out->top5[r] /= n;
    }
}

hff_status stop_asked(const volatile sig_atomic_t *signal, const char *during)
{
    if (!signal || !*signal) return HFF_OK;
    return fail(*signal == SIGTERM ? HFF_E_TERMINATED : HFF_E_INTERRUPTED, "interrupted during %s", during);
}

/* The stages' own losses, which only their objectives know, are summed by the engine. */
static hff_status take_losses(struct engine *engine, double *loss)
{
    for (int i = 0; i < engine->evaluated; i++) {
        struct stage_metrics metrics;
        TRY(engine_metrics(engine, i, 1, 1, &metrics));
        loss[i] = metrics.loss;
    }
    return HFF_OK;
}

static hff_status pass(struct engine *engine, struct loader *loader, const struct rules *rules, enum rule rule,
                       const volatile sig_atomic_t *stop, struct evaluation *out)
{
    size_t stages = (size_t)out->stages, classes = (size_t)out->classes;
    float *scores = ARENA_NEW(&out->arena, float, stages *(size_t)engine->batch *classes);
    float **features = ARENA_NEW(&out->arena, float *, stages);
    double *lp = ARENA_NEW(&out->arena, double, (stages + 1) * classes);
    TRY(take_losses(engine, out->stage_loss)); /* what an interrupted pass left */
    for (;;) {
        const struct batch *batch;
        TRY(loader_next(loader, &batch));
        if (!batch) return take_losses(engine, out->stage_loss);
        TRY(run_batch(engine, batch, out, features, scores));
        add_batch(out, rules, rule, batch, scores, lp);
        keep_batch(out, batch, scores);
        out->samples += batch->real;
        TRY(stop_asked(stop, "an evaluation"));
    }
}

size_t evaluation_bytes(const struct engine *engine, int64_t samples, size_t *fit)
{
    size_t stages = (size_t)engine->stages, plane = (size_t)samples * (size_t)engine->classes;
    *fit = (stages + 1) * plane * sizeof(double);
    return stages * plane * sizeof(float) + (size_t)samples * sizeof(int32_t);
}

hff_status evaluate(struct engine *engine, const struct data *data, enum split split, int workers,
                    const struct rules *rules, enum rule rule, int keep, const volatile sig_atomic_t *stop,
                    struct evaluation *out)
{
    size_t stages = (size_t)engine->evaluated, classes = (size_t)engine->classes;
    *out = (struct evaluation){.stages = engine->evaluated, .classes = engine->classes};
    out->stage_accuracy = ARENA_NEW(&out->arena, double, stages);
    out->stage_loss = ARENA_NEW(&out->arena, double, stages);
    out->confusion = ARENA_NEW(&out->arena, int64_t, classes * classes);
    out->total = data->split[split].count;
    struct loader_options options = {
        .data = data, .split = split, .batch = engine->batch, .workers = workers, .trace = engine->trace};
    struct loader *loader = NULL;
    double start = clock_seconds();
    hff_status status = keep_open(out, engine, keep);
    if (status == HFF_OK) status = loader_open(&loader, &options, 0, 0);
    if (status == HFF_OK) status = pass(engine, loader, rules, rule, stop, out);
    loader_close(loader);
    divide(out);
    out->seconds = clock_seconds() - start;
    if (status != HFF_OK) evaluation_free(out);
    return status;
}

void evaluation_free(struct evaluation *evaluation)
{
    free(evaluation->scores);
    free(evaluation->labels);
    for (int l = 0; evaluation->features && l < evaluation->stages; l++) free(evaluation->features[l]);
    arena_free(&evaluation->arena);
    memset(evaluation, 0, sizeof *evaluation);
}

/* ---- fitting weights on the hold-out ---- */

/* One coordinate's Newton step on F(a) = mean(log sum_c exp(u_c) - u_y), u = sum_l a_l lp_l. Convex in a; u is kept
 * up to date. */
static double newton_step(double *u, const double *lp, const int32_t *labels, int64_t samples, int classes, double *a)
{
    double gradient = 0, curvature = 0;
    for (int64_t n = 0; n < samples; n++) {
        const double *un = u + n * classes, *x = lp + n * classes;
        double shift = log_sum_exp(un, classes), mean = 0, square = 0;
        for (int c = 0; c < classes; c++) {
            double p = exp(un[c] - shift);
            mean += p * x[c];
            square += p * x[c] * x[c];
        }
        gradient += mean - x[labels[n]];
        curvature += square - mean * mean;
    }
    if (!(curvature > 0)) return 0;
    double next = *a - gradient / curvature, change;
    if (next < 0) next = 0;
    if (next > *a + 1) next = *a + 1; /* far from the optimum a Newton step can be too long */
    change = next - *a;
    *a = next;
    for (int64_t i = 0; i < samples * classes; i++) u[i] += change * lp[i];
    return fabs(change);
}

static hff_status refill(struct evaluation *e, const struct rules *rules, enum rule rule, const double *lp)
{
    struct rules only = *rules;
    for (int r = 0; r < RULES; r++) only.known[r] = r == (int)rule;
    size_t classes = (size_t)e->classes, stages = (size_t)e->stages, samples = (size_t)e->samples;
    double *one = calloc((stages + 1) * classes, sizeof *one);
    if (!one) return fail(HFF_E_MEMORY, "no memory to evaluate the rule %s", rule_name(rule));
    e->accuracy[rule] = e->loss[rule] = e->top5[rule] = 0;
    for (size_t n = 0; n < samples; n++) {
        for (size_t l = 0; l < stages; l++)
            memcpy(one + l * classes, lp + (l * samples + n) * classes, classes * sizeof *one);
        add_sample(e, &only, RULES, one, e->labels[n], one + stages * classes);
    }
    e->accuracy[rule] /= (double)samples;
    e->loss[rule] /= (double)samples;
    e->top5[rule] /= (double)samples;
    free(one);
    return HFF_OK;
}

hff_status rules_fit(struct rules *rules, struct evaluation *e)
{
    size_t classes = (size_t)e->classes, stages = (size_t)e->stages, samples = (size_t)e->samples,
           plane = samples * classes;
    if (!e->scores || samples == 0) return fail(HFF_E_INTERNAL, "weights can only be fitted on kept scores");
    double *lp = calloc((stages + 1) * plane, sizeof *lp);
    if (!lp) return fail(HFF_E_MEMORY, "no memory to fit the stages' weights on %zu samples", samples);
    double *u = lp + stages * plane, *a = rules->weight[RULE_WEIGHTED];
    for (int l = 0; l < rules->stages; l++) a[l] = 0;
    for (size_t i = 0; i < stages * samples; i++) log_softmax(e->scores + i * classes, lp + i * classes, (int)classes);
    memset(u, 0, plane * sizeof *u);
    for (size_t l = 0; l < stages; l++) {
        a[l] = 1.0 / (double)stages;
        for (size_t i = 0; i < plane; i++) u[i] += a[l] * lp[l * plane + i];
    }
    for (int round = 0; round < 200; round++) {
        double largest = 0;
        for (size_t l = 0; l < stages; l++) {
            double change = newton_step(u, lp + l * plane, e->labels, (int64_t)samples, (int)classes, &a[l]);
            if (change > largest) largest = change;
        }
        if (largest < 1e-7) break;
    }
    double *best = rules->weight[RULE_BEST];
    size_t winner = 0;
    for (size_t l = 1; l < stages; l++)
        if (e->stage_accuracy[l] > e->stage_accuracy[winner]) winner = l;
    for (size_t l = 0; l < (size_t)rules->stages; l++) best[l] = l == winner;
    rules->known[RULE_WEIGHTED] = rules->known[RULE_BEST] = 1;
    hff_status status = refill(e, rules, RULE_WEIGHTED, lp);
    if (status == HFF_OK) status = refill(e, rules, RULE_BEST, lp);
    free(lp);
    return status;
}
