/* Joining stages into one prediction: every rule, the fit of its weights and an evaluation's figures, each against a
 * computation written out anew. */
#include "train/evaluate.h"

#include "support/small_net.h"

#include <math.h>

/* cmocka's assert_float_equal compares as float. */
#define assert_near(a, b, tolerance)                                                                                   \
    do {                                                                                                               \
        double a_ = (a), b_ = (b);                                                                                     \
        if (!(fabs(a_ - b_) <= (tolerance))) fail_msg("%s is %.17g, not %.17g", #a, a_, b_);                           \
    } while (0)

/* A made-up evaluation that kept its scores: stage l knows the label with strength skill[l] beside unit noise. */
static struct evaluation make(int stages, int samples, int classes, const double *skill, uint64_t seed)
{
    struct evaluation e = {.samples = samples, .total = samples, .stages = stages, .classes = classes};
    struct rng rng;
    rng_open(&rng, seed, RNG_TEST, 0, 0);
    e.stage_accuracy = ARENA_NEW(&e.arena, double, stages);
    e.stage_loss = ARENA_NEW(&e.arena, double, stages);
    e.confusion = ARENA_NEW(&e.arena, int64_t, classes * classes);
    e.scores = malloc((size_t)(stages * samples * classes) * sizeof *e.scores);
    e.labels = malloc((size_t)samples * sizeof *e.labels);
    for (int n = 0; n < samples; n++) e.labels[n] = (int32_t)rng_below(&rng, (uint32_t)classes);
    for (int l = 0; l < stages; l++)
        for (int n = 0; n < samples; n++) {
            float *s = e.scores + (l * samples + n) * classes;
            int best = 0;
            for (int c = 0; c < classes; c++) {
                s[c] = (float)(rng_normal(&rng) + (c == e.labels[n] ? skill[l] : 0));
                if (s[c] > s[best]) best = c;
            }
            e.stage_accuracy[l] += (best == e.labels[n]) / (double)samples;
        }
    return e;
}

/* log softmax of one stage's scores, as the formula says. */
static double log_p(const float *s, int classes, int c)
{
    double sum = 0;
    for (int k = 0; k < classes; k++) sum += exp((double)s[k]);
    return s[c] - log(sum);
}

/* sum_l a_l lp_l of one sample and class. */
static double joined(const struct evaluation *e, const double *a, int64_t n, int c)
{
    double sum = 0;
    for (int l = 0; l < e->stages; l++)
        sum += a[l] * log_p(e->scores + (l * e->samples + n) * e->classes, e->classes, c);
    return sum;
}

/* What METHOD.md 1.7 minimises: - mean log softmax_c(sum_l a_l lp_l)[y]. */
static double loss_of(const struct evaluation *e, const double *a)
{
    double total = 0;
    for (int64_t n = 0; n < e->samples; n++) {
        double sum = 0;
        for (int c = 0; c < e->classes; c++) sum += exp(joined(e, a, n, c));
        total += log(sum) - joined(e, a, n, e->labels[n]);
    }
    return total / (double)e->samples;
}

/* Share of samples with fewer than places classes before the label; equal ones count when they are lower. */
static double share_within(const struct evaluation *e, const double *a, int places)
{
    double hits = 0;
    for (int64_t n = 0; n < e->samples; n++) {
        double own = joined(e, a, n, e->labels[n]);
        int before = 0;
        for (int c = 0; c < e->classes; c++) {
            double x = joined(e, a, n, c);
            before += x > own || (x == own && c < e->labels[n]);
        }
        hits += before < places;
    }
    return hits / (double)e->samples;
}

static void simple_rules_have_their_weights(void **state)
{
    (void)state;
    static const struct {
        int stages, from, first; /* first: the sum's first stage, from 1 */
    } rows[] = {{1, 0, 1}, {2, 0, 1}, {3, 0, 2}, {4, 0, 2}, {9, 0, 7}, {9, 1, 1}, {9, 9, 9}, {3, 1, 1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rules rules;
        rules_open(&rules, rows[i].stages, rows[i].from);
        for (int l = 1; l <= rows[i].stages; l++) {
            assert_near(rules.weight[RULE_LAST][l - 1], l == rows[i].stages, 0);
            double share = 1.0 / (rows[i].stages - rows[i].first + 1);
            assert_near(rules.weight[RULE_SUM][l - 1], l >= rows[i].first ? share : 0, 1e-15);
        }
        assert_true(rules.known[RULE_LAST] && rules.known[RULE_SUM]);
        assert_false(rules.known[RULE_WEIGHTED] || rules.known[RULE_BEST]);
        rules_close(&rules);
    }
    for (int r = 0; r < RULES; r++) assert_int_equal(rule_parse(rule_name((enum rule)r)), r);
    assert_int_equal(rule_parse("mean"), -1);
}

static void joining_follows_the_formula(void **state)
{
    (void)state;
    static const double skill[] = {0.5, 1, 2, 1.5};
    struct evaluation e = make(4, 60, 7, skill, 1);
    struct rules rules;
    rules_open(&rules, 4, 0);
    SMALL_OK(rules_fit(&rules, &e));
    for (int r = 0; r < RULES; r++)
        for (int64_t n = 0; n < e.samples; n++) {
            double out[2 * 7], sum = 0, total = 0;
            int guess = rules_join(&rules, (enum rule)r, e.scores + n * 7, (size_t)e.samples * 7, 7, out), best = 0;
            for (int c = 0; c < 7; c++) sum += exp(joined(&e, rules.weight[r], n, c));
            for (int c = 0; c < 7; c++) {
                assert_near(out[c], joined(&e, rules.weight[r], n, c) - log(sum), 1e-9);
                if (joined(&e, rules.weight[r], n, c) > joined(&e, rules.weight[r], n, best)) best = c;
                total += exp(out[c]);
            }
            assert_int_equal(guess, best);
            assert_near(total, 1, 1e-12);
        }
    rules_close(&rules);
    evaluation_free(&e);
}

/* Ties go to the lowest class; scores far from 0 neither overflow nor vanish. */
static void ties_and_large_scores(void **state)
{
    (void)state;
    static const float rows[][4] = {{1, 1, 1, 1}, {0, 2, 2, -1}, {-1e4f, 1e4f, 0, 1e4f}, {-9e4f, -9e4f, -8e4f, -9e4f}};
    static const int best[] = {0, 1, 1, 2};
    struct rules rules;
    rules_open(&rules, 1, 0);
    for (int i = 0; i < 4; i++) {
        double out[8], sum = 0;
        assert_int_equal(rules_join(&rules, RULE_LAST, rows[i], 4, 4, out), best[i]);
        for (int c = 0; c < 4; c++) sum += exp(out[c]);
        assert_near(sum, 1, 1e-12);
    }
    rules_close(&rules);
}

/* The weights are the minimum: by the conditions of Karush, Kuhn and Tucker, and against many other points. */
static void check_minimum(const struct evaluation *e, const double *a)
{
    double least = loss_of(e, a), other[8];
    struct rng rng;
    for (int l = 0; l < e->stages; l++) {
        assert_true(a[l] >= 0);
        memcpy(other, a, sizeof *a * (size_t)e->stages);
        other[l] = a[l] + 1e-4;
        double right = loss_of(e, other);
        other[l] = a[l] - 1e-4; /* may be below 0: the function is defined there too */
        double slope = (right - loss_of(e, other)) / 2e-4;
        if (a[l] > 0)
            assert_near(slope, 0, 1e-5);
        else
            assert_true(slope > -1e-5);
    }
    rng_open(&rng, 9, RNG_TEST, 1, 0);
    for (int i = 0; i < 40; i++) {
        for (int l = 0; l < e->stages; l++)
            other[l] = i < 20 ? 2 * rng_uniform(&rng) : fmax(0, a[l] + 0.05 * rng_normal(&rng));
        assert_true(loss_of(e, other) >= least - 1e-10);
    }
}

static void fitted_weights_are_the_minimum(void **state)
{
    (void)state;
    static const double skills[][4] = {{1, 1, 1, 1}, {0, 0.5, 1, 3}, {2, 0, 0, 0}, {3, -1, 0.2, 2.5}, {0, 0, 0, 0}};
    static const int stages[] = {4, 4, 3, 4, 2}, classes[] = {5, 10, 2, 12, 3};
    for (int i = 0; i < 5; i++) {
        struct evaluation e = make(stages[i], 150, classes[i], skills[i], 20 + (uint64_t)i);
        struct rules rules;
        rules_open(&rules, stages[i], 0);
        SMALL_OK(rules_fit(&rules, &e));
        assert_true(rules.known[RULE_WEIGHTED] && rules.known[RULE_BEST]);
        check_minimum(&e, rules.weight[RULE_WEIGHTED]);
        for (int r = RULE_WEIGHTED; r <= RULE_BEST; r++) {
            assert_near(e.loss[r], loss_of(&e, rules.weight[r]), 1e-9);
            assert_near(e.accuracy[r], share_within(&e, rules.weight[r], 1), 1e-12);
            assert_near(e.top5[r], share_within(&e, rules.weight[r], 5), 1e-12);
        }
        rules_close(&rules);
        evaluation_free(&e);
    }
}

/* Equal stages share their weight or one of them has it; both describe the same function, so the loss is that of one
 * stage alone. A stage that is always wrong gets none. */
static void alike_and_harmful_stages(void **state)
{
    (void)state;
    static const double skill[] = {1.5, 1.5, -2};
    struct evaluation e = make(3, 200, 6, skill, 5);
    memcpy(e.scores + 200 * 6, e.scores, sizeof *e.scores * 200 * 6);
    e.stage_accuracy[1] = e.stage_accuracy[0];
    struct rules rules;
    rules_open(&rules, 3, 0);
    SMALL_OK(rules_fit(&rules, &e));
    check_minimum(&e, rules.weight[RULE_WEIGHTED]);
    assert_near(rules.weight[RULE_WEIGHTED][2], 0, 0);
    for (int l = 0; l < 3; l++) assert_near(rules.weight[RULE_BEST][l], l == 0, 0); /* ties: the first */
    rules_close(&rules);
    evaluation_free(&e);
}

static void a_fit_without_scores_is_refused(void **state)
{
    (void)state;
    struct evaluation e = {.samples = 3, .stages = 2, .classes = 2};
    struct rules rules;
    rules_open(&rules, 2, 0);
    assert_int_equal(rules_fit(&rules, &e), HFF_E_INTERNAL);
    assert_false(rules.known[RULE_WEIGHTED]);
    rules_close(&rules);
}

/* ---- a whole pass ---- */

enum { IMAGES = 53, PIXELS = 144 }; /* 53: the last batch of 24 is mostly padding */

static struct data make_data(uint8_t *images, int32_t *labels)
{
    struct rng rng;
    rng_open(&rng, 3, RNG_TEST, 2, 0);
    for (int i = 0; i < IMAGES * PIXELS; i++) images[i] = (uint8_t)rng_below(&rng, 256);
    for (int i = 0; i < IMAGES; i++) labels[i] = (int32_t)rng_below(&rng, 5);
    struct data data = {.name = "test", .classes = 5, .channels = 1, .height = 12, .width = 12};
    data.mean[0] = 0.4;
    data.std[0] = 0.3;
    data.split[SPLIT_TEST] =
        (struct dataset){.count = IMAGES, .channels = 1, .height = 12, .width = 12, .images = images, .labels = labels};
    return data;
}

/* Scores of one image that fills a whole batch by itself, straight from the engine. */
static void score_alone(struct small_net *net, const struct data *data, int image, float *scores)
{
    for (int b = 0; b < net->batch.size; b++) {
        for (int i = 0; i < PIXELS; i++) {
            double pixel = data->split[SPLIT_TEST].images[image * PIXELS + i] / 255.0;
            net->batch.images[b * PIXELS + i] = (float)((pixel - data->mean[0]) / data->std[0]);
        }
        net->batch.y1[b] = net->batch.y2[b] = 0;
        net->batch.weight[b] = 1;
    }
    SMALL_OK(engine_evaluate(net->setup.engine, &net->batch, scores));
}

/* What stage l's pairwise loss is, from the scores (METHOD.md 1.3, without margin). */
static double pairwise_loss(const struct evaluation *e, int l)
{
    double sum = 0;
    for (int64_t n = 0; n < e->samples; n++) {
        const float *s = e->scores + (l * e->samples + n) * e->classes;
        for (int c = 0; c < e->classes; c++)
            if (c != e->labels[n]) sum += log1p(exp((double)s[c] - s[e->labels[n]]));
    }
    return sum / (double)e->samples;
}

static void check_figures(const struct evaluation *e, const struct rules *rules, enum rule rule, int pairwise_stage)
{
    for (int r = 0; r <= RULE_SUM; r++) {
        assert_near(e->loss[r], loss_of(e, rules->weight[r]), 1e-9);
        assert_near(e->accuracy[r], share_within(e, rules->weight[r], 1), 1e-12);
    }
    for (int l = 0; l < e->stages; l++) {
        double one[8] = {0};
        one[l] = 1;
        assert_near(e->stage_accuracy[l], share_within(e, one, 1), 1e-12);
        /* the scores that are kept are rounded to floats, those behind the loss are not */
        assert_near(e->stage_loss[l], l == pairwise_stage ? pairwise_loss(e, l) : loss_of(e, one), 1e-5);
    }
    int64_t counts[25] = {0};
    for (int64_t n = 0; n < e->samples; n++) {
        int best = 0;
        for (int c = 1; c < 5; c++)
            if (joined(e, rules->weight[rule], n, c) > joined(e, rules->weight[rule], n, best)) best = c;
        counts[e->labels[n] * 5 + best]++;
    }
    assert_memory_equal(counts, e->confusion, sizeof counts);
}

/* The figures follow from the scores; each image's scores are those that it gets alone, so padding, neighbours and the
 * number of loader threads leave them alone. */
static void a_pass_gives_exact_figures(void **state)
{
    (void)state;
    static const char *const texts[] = {SMALL_MLP, SMALL_CNN};
    uint8_t *images = malloc(IMAGES * PIXELS);
    int32_t labels[IMAGES];
    struct data data = make_data(images, labels);
    /* a stage's loss is its own, and no evaluation counts margin or smoothing */
    static const char *const sets[] = {"net.stages[1].objective={loss: pairwise, margin: 0.2}",
                                       "net.stages[2].objective={margin: 0.3, smoothing: 0.1}"};
    for (int t = 0; t < 2; t++) {
        struct small_net *net = small_net_open(texts[t], sets, 2, 2, DTYPE_F32, 3);
        small_net_train(net, 5); /* running statistics that are not their start */
        struct engine *engine = net->setup.engine;
        struct rules rules;
        rules_open(&rules, engine->stages, 0);
        for (int workers = 1; workers <= 3; workers += 2) {
            struct evaluation e;
            enum rule rule = workers == 1 ? RULE_SUM : RULE_LAST;
            SMALL_OK(evaluate(engine, &data, SPLIT_TEST, workers, &rules, rule, KEEP_SCORES, NULL, &e));
            assert_int_equal(e.samples, IMAGES);
            assert_memory_equal(e.labels, labels, sizeof labels);
            check_figures(&e, &rules, rule, 1);
            float *alone = malloc((size_t)engine->stages * 24 * 5 * sizeof *alone);
            for (int n = 0; n < IMAGES; n += 13) {
                score_alone(net, &data, n, alone);
                for (int l = 0; l < engine->stages; l++)
                    assert_memory_equal(alone + l * 24 * 5, e.scores + (l * IMAGES + n) * 5, 5 * sizeof *alone);
            }
            free(alone);
            evaluation_free(&e);
        }
        rules_close(&rules);
        small_net_close(net);
    }
    free(images);
}

static double stage_scale(struct small_net *net, int stage)
{
    struct kept *kept;
    int count;
    size_t bytes, at = 0;
    char name[64];
    double scale = 0;
    unsigned char *all = small_net_tensors(net, 0, &kept, &count, &bytes);
    sprintf(name, "stage.%d.head.log_scale", stage + 1);
    for (int i = 0; i < count; at += tensor_bytes(&kept[i++].tensor))
        if (strcmp(kept[i].name, name) == 0) scale = exp((double)*(float *)(all + at));
    free(all);
    free(kept);
    assert_true(scale > 0);
    return scale;
}

/* Features are what the scores are made of: with the prototypes they give them (METHOD.md 1.1, 1.2). */
static void features_give_the_scores(void **state)
{
    (void)state;
    static const char *const texts[] = {SMALL_MLP, SMALL_CNN};
    uint8_t *images = malloc(IMAGES * PIXELS);
    int32_t labels[IMAGES];
    struct data data = make_data(images, labels);
    for (int t = 0; t < 2; t++) {
        struct small_net *net = small_net_open(texts[t], NULL, 0, 2, DTYPE_F32, 3);
        small_net_train(net, 5);
        struct engine *engine = net->setup.engine;
        struct rules rules;
        struct evaluation e;
        rules_open(&rules, engine->stages, 0);
        SMALL_OK(evaluate(engine, &data, SPLIT_TEST, 1, &rules, RULE_SUM, KEEP_SCORES | KEEP_FEATURES, NULL, &e));
        for (int l = 0; l < engine->stages; l++) {
            double *p, scale = stage_scale(net, l);
            int64_t rows, width;
            int per_class = engine->stage[l].per_class;
            SMALL_OK(engine_prototypes(engine, l, &p, &rows, &width));
            assert_int_equal(width, engine->stage[l].embedding);
            for (int n = 0; n < IMAGES; n++) {
                const float *f = e.features[l] + n * width;
                double length = 0;
                for (int d = 0; d < width; d++) length += (double)f[d] * f[d];
                for (int c = 0; c < 5; c++) {
                    double sum = 0;
                    for (int k = 0; k < per_class; k++) {
                        double cosine = 0;
                        for (int d = 0; d < width; d++) cosine += f[d] * p[(c * per_class + k) * width + d];
                        sum += exp(scale * cosine / sqrt(length)) / per_class;
                    }
                    assert_near(e.scores[(l * IMAGES + n) * 5 + c], log(sum), 1e-4);
                }
            }
            free(p);
        }
        evaluation_free(&e);
        rules_close(&rules);
        small_net_close(net);
    }
    free(images);
}

static void a_signal_ends_a_pass(void **state)
{
    (void)state;
    uint8_t *images = malloc(IMAGES * PIXELS);
    int32_t labels[IMAGES];
    struct data data = make_data(images, labels);
    struct small_net *net = small_net_open(SMALL_MLP, NULL, 0, 1, DTYPE_F32, 3);
    struct rules rules;
    struct evaluation e;
    rules_open(&rules, net->setup.engine->stages, 0);
    static const struct {
        sig_atomic_t signal;
        hff_status status;
    } rows[] = {{SIGINT, HFF_E_INTERRUPTED}, {SIGTERM, HFF_E_TERMINATED}};
    for (int i = 0; i < 2; i++) {
        volatile sig_atomic_t stop = rows[i].signal;
        assert_int_equal(evaluate(net->setup.engine, &data, SPLIT_TEST, 1, &rules, RULE_SUM, 1, &stop, &e),
                         rows[i].status);
        assert_null(e.scores);
    }
    rules_close(&rules);
    small_net_close(net);
    free(images);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(simple_rules_have_their_weights), cmocka_unit_test(joining_follows_the_formula),
        cmocka_unit_test(ties_and_large_scores),           cmocka_unit_test(fitted_weights_are_the_minimum),
        cmocka_unit_test(alike_and_harmful_stages),        cmocka_unit_test(a_fit_without_scores_is_refused),
        cmocka_unit_test(a_pass_gives_exact_figures),      cmocka_unit_test(a_signal_ends_a_pass),
        cmocka_unit_test(features_give_the_scores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
