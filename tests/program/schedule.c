/* Learning-rate schedules against their formulas, written out anew. */
#include "support/small_net.h"

#include <math.h>

/* cmocka's assert_float_equal compares as float. */
#define assert_near(a, b, tolerance)                                                                                   \
    do {                                                                                                               \
        double a_ = (a), b_ = (b);                                                                                     \
        if (!(fabs(a_ - b_) <= (tolerance))) fail_msg("%s is %.17g, not %.17g", #a, a_, b_);                           \
    } while (0)

static struct schedule make(const char *set, double total)
{
    struct config *config;
    const char *sets[] = {set};
    SMALL_OK(config_parse(&config, config_tables, "test", "net: {stages: [{linear: {units: 1}}]}", sets, 1));
    struct schedule schedule = schedule_make(config_at(config_root(config), "optimizer"), total);
    config_free(config);
    return schedule;
}

/* The rate of step (from 1): warm-up steps w, then share u of the n - w that follow. */
static double expected(const char *kind, double lr, double w, double final, double n, int64_t step)
{
    double done = (double)step - 1, u = (done - w) / (n - w), f;
    if (done < w) return lr * (done + 1) / (w + 1);
    if (u > 1) u = 1;
    if (strcmp(kind, "cosine") == 0)
        f = (1 + cos(acos(-1.0) * u)) / 2;
    else if (strcmp(kind, "linear") == 0)
        f = 1 - u;
    else if (strcmp(kind, "step") == 0)
        f = pow(10, -floor(fmin(3 * u + 1e-12, 2)));
    else
        f = 1;
    return lr * (final + (1 - final) * f);
}

/* Held: the full rate for a while after the warm-up, then the same shape over what is left. */
static void rates_are_held(void **state)
{
    (void)state;
    static const char *const sets[] = {"optimizer={lr: 1, schedule: {kind: linear, warmup: 4, hold: 0.5}}",
                                       "optimizer={lr: 1, schedule: {kind: linear, warmup: 4, hold: 50}}"};
    for (int i = 0; i < 2; i++) {
        struct schedule schedule = make(sets[i], 100);
        assert_near(schedule_rate(&schedule, 2), 0.4, 1e-12);
        for (int64_t step = 5; step <= 54; step++) assert_near(schedule_rate(&schedule, step), 1, 0);
        for (int64_t step = 55; step <= 100; step++)
            assert_near(schedule_rate(&schedule, step), 1 - ((double)step - 55) / 46, 1e-12);
    }
}

static void rates_follow_their_formulas(void **state)
{
    (void)state;
    static const char *const kinds[] = {"cosine", "linear", "step", "constant"};
    static const double warmups[] = {0, 0.1, 5}, finals[] = {0, 0.25, 1};
    for (int k = 0; k < 4; k++)
        for (int w = 0; w < 3; w++)
            for (int f = 0; f < 3; f++) {
                char set[160];
                snprintf(set, sizeof set, "optimizer={lr: 0.02, schedule: {kind: %s, warmup: %g, final: %g}}", kinds[k],
                         warmups[w], finals[f]);
                struct schedule schedule = make(set, 100);
                double warm = warmups[w] < 1 ? warmups[w] * 100 : warmups[w];
                for (int64_t step = 1; step <= 130; step++) {
                    if (k == 2 && fabs(fmod(((double)step - 1 - warm) / (100 - warm) * 3, 1)) < 1e-9)
                        continue; /* exactly on an edge either side is right */
                    assert_near(schedule_rate(&schedule, step), expected(kinds[k], 0.02, warm, finals[f], 100, step),
                                1e-12);
                }
            }
}

/* The first step moves, the warm-up meets the peak without a jump, rates fall from there and end near the final
 * share. */
static void the_shape_is_sound(void **state)
{
    (void)state;
    struct schedule schedule = make("optimizer={lr: 1, schedule: {kind: cosine, warmup: 10, final: 0.01}}", 200);
    double last = 0;
    for (int64_t step = 1; step <= 11; step++) {
        double rate = schedule_rate(&schedule, step);
        assert_near(rate, (double)step / 11, 1e-12);
        assert_true(rate > last);
        last = rate;
    }
    assert_near(last, 1, 1e-12);
    for (int64_t step = 12; step <= 200; step++) {
        double rate = schedule_rate(&schedule, step);
        assert_true(rate < last && rate > 0.01);
        last = rate;
    }
    assert_true(last < 0.011);
    assert_near(schedule_rate(&schedule, 1000000), 0.01, 1e-12);
}

/* A warm-up longer than the run, and a run of one step: finite, positive, at most the rate. */
static void short_runs_are_sound(void **state)
{
    (void)state;
    static const char *const sets[] = {"optimizer.schedule.warmup=1000", "optimizer.schedule.warmup=0.05",
                                       "optimizer.schedule.warmup=0.9"};
    for (int i = 0; i < 3; i++)
        for (int total = 1; total <= 3; total++) {
            struct schedule schedule = make(sets[i], total);
            for (int64_t step = 1; step <= total; step++) {
                double rate = schedule_rate(&schedule, step);
                assert_true(isfinite(rate) && rate > 0 && rate <= 0.001);
            }
        }
}

static void bias_corrections_are_adams(void **state)
{
    (void)state;
    struct schedule schedule = make("optimizer={beta1: 0.8, beta2: 0.99}", 50);
    double one = 1, two = 1;
    for (int64_t step = 1; step <= 50; step++) {
        double hyper[HYPERS] = {0};
        one *= 0.8;
        two *= 0.99;
        schedule_hyper(&schedule, step, hyper);
        assert_near(hyper[HYPER_LR], schedule_rate(&schedule, step), 0);
        assert_near(hyper[HYPER_BIAS1], 1 - one, 1e-12);
        assert_near(hyper[HYPER_BIAS2], 1 - two, 1e-12);
        assert_near(hyper[HYPER_STEP], (double)step, 0);
    }
}

/* A stage's override changes its own schedule only, and the engine takes the rate of each stage's own step. */
static void stages_have_their_own(void **state)
{
    (void)state;
    const char *set = "net.stages[1].optimizer={lr: 0.5, schedule: {kind: constant, warmup: 0}}";
    struct small_net *net = small_net_open(SMALL_MLP, &set, 1, 1, DTYPE_F32, 3);
    const struct stage_run *stage = net->setup.engine->stage;
    assert_near(schedule_rate(&stage[1].schedule, 1), 0.5, 1e-12);
    assert_near(schedule_rate(&stage[1].schedule, 20), 0.5, 1e-12);
    assert_near(schedule_rate(&stage[0].schedule, 1), schedule_rate(&stage[2].schedule, 1), 0);
    assert_true(schedule_rate(&stage[0].schedule, 20) < 0.001);
    small_net_train(net, 3);
    for (int i = 0; i < 3; i++) assert_int_equal(stage[i].step, 3);
    small_net_close(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_follow_their_formulas), cmocka_unit_test(rates_are_held),
        cmocka_unit_test(the_shape_is_sound),          cmocka_unit_test(short_runs_are_sound),
        cmocka_unit_test(bias_corrections_are_adams),  cmocka_unit_test(stages_have_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
