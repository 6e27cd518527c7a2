/* FF predicts the same class by class as many classes a pass, and what it says does not depend on the label that a
 * batch bears. */
#include "support/small_net.h"

#include <math.h>

enum { STAGES = 3, CLASSES = 5 };

/* Scores of all stages for a batch, after two steps of training. */
static void scores_of(const char *text, const char *const *sets, int count, int relabel, float *scores)
{
    struct small_net *net = small_net_open(text, sets, count, 2, DTYPE_F32, 3);
    small_net_train(net, 2);
    for (int i = 0; relabel && i < net->batch.size; i++) net->batch.y1[i] = (net->batch.y1[i] + 1) % CLASSES;
    for (int i = 0; i < net->batch.size; i++) net->batch.weight[i] = 1;
    SMALL_OK(engine_evaluate(net->setup.engine, &net->batch, scores));
    struct stage_metrics metrics;
    SMALL_OK(engine_metrics(net->setup.engine, 2, 1, 1, &metrics));
    assert_true(metrics.samples == net->batch.size); /* once a sample, not once a pass */
    int right = 0, batch = net->batch.size;
    for (int b = 0; b < batch; b++) {
        const float *s = scores + (2 * batch + b) * CLASSES;
        int best = 0;
        for (int c = 1; c < CLASSES; c++)
            if (s[c] > s[best]) best = c;
        right += best == net->batch.y1[b];
    }
    assert_true(fabs(metrics.accuracy - (double)right / batch) < 1e-9);
    small_net_close(net);
}

static void compare(const char *text, const char *overlay, const char *dtype, double room)
{
    enum { COUNT = STAGES * 24 * CLASSES };
    float original[COUNT], batched[COUNT];
    double furthest = 0, spread = 0;
    scores_of(text, (const char *[]){overlay, dtype}, 2, 0, original);
    scores_of(text, (const char *[]){overlay, dtype, "objective.ff.predict=batched"}, 3, 0, batched);
    for (int i = 0; i < COUNT; i++) {
        furthest = fmax(furthest, fabs(original[i] - batched[i]) / (1 + fabs(original[i])));
        if (i % CLASSES) spread = fmax(spread, fabs(original[i] - original[i - 1]) / (1 + fabs(original[i])));
    }
    if (!(furthest < room)) fail_msg("%s, %s: scores differ by %g", overlay, dtype, furthest);
    assert_true(spread > 10 * room); /* labels say something */
}

static void batched_is_original(void **state)
{
    (void)state;
    static const char *const overlays[] = {"objective.ff.overlay=pixels", "objective.ff.overlay=plane",
                                           "objective.ff.overlay=planes"};
    for (int i = 0; i < 3; i++) {
        compare(SMALL_FF, overlays[i], "run.dtype=f32", 1e-5);
        compare(SMALL_FF_CNN, overlays[i], "run.dtype=f32", 1e-5);
    }
}

static void batched_is_original_bf16(void **state)
{
    (void)state;
    small_net_needs("cpu", DTYPE_BF16);
    compare(SMALL_FF, "objective.ff.overlay=planes", "run.dtype=bf16", 0.03);
}

/* Three classes a pass: the second pass has one class too many. (A batch of 680 leaves room for three.) */
static void uneven_passes(void **state)
{
    (void)state;
    enum { BATCH = 680, COUNT = STAGES * BATCH * CLASSES };
    float *scores[2];
    for (int i = 0; i < 2; i++) {
        const char *sets[] = {"run.batch=680", i ? "objective.ff.predict=batched" : "objective.ff.predict=original"};
        scores[i] = calloc(COUNT, sizeof(float));
        scores_of(SMALL_FF, sets, 2, 0, scores[i]);
    }
    for (int i = 0; i < COUNT; i++)
        if (!(fabs(scores[0][i] - scores[1][i]) < 1e-5 * (1 + fabs(scores[0][i]))))
            fail_msg("score %d is %g and %g", i, scores[0][i], scores[1][i]);
    free(scores[0]);
    free(scores[1]);
}

static void the_true_label_is_not_looked_at(void **state)
{
    (void)state;
    static const char *const predict[] = {"objective.ff.predict=original", "objective.ff.predict=batched",
                                          "objective.ff.predict=readout"};
    enum { COUNT = STAGES * 24 * CLASSES };
    for (int i = 0; i < 3; i++) {
        float own[COUNT], others[COUNT];
        scores_of(SMALL_FF, &predict[i], 1, 0, own);
        scores_of(SMALL_FF, &predict[i], 1, 1, others);
        assert_memory_equal(own, others, sizeof own);
    }
}

/* A label has to have a place; planes make one. */
static void small_images(void **state)
{
    (void)state;
    static const struct {
        const char *set;
        hff_status status;
        int64_t channels;
    } cases[] = {{"objective.ff.overlay=pixels", HFF_OK, 2},
                 {"objective.ff.overlay=plane", HFF_E_CONFIG, 0},
                 {"objective.ff.overlay=planes", HFF_OK, 7}};
    for (int i = 0; i < 3; i++) {
        struct config *config;
        struct shape image = {3, {2, 1, 4}};
        SMALL_OK(config_parse(&config, config_tables, "test", SMALL_FF, &cases[i].set, 1));
        assert_int_equal(objective_input(config, CLASSES, &image), cases[i].status);
        if (cases[i].status == HFF_OK)
            assert_int_equal(image.dim[0], cases[i].channels);
        else if (!strstr(hff_error_message(), "4 values for 5 classes; use planes"))
            fail_msg("%s", hff_error_message());
        config_free(config);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(batched_is_original),
                                       cmocka_unit_test(batched_is_original_bf16), cmocka_unit_test(uneven_passes),
                                       cmocka_unit_test(small_images),
                                       cmocka_unit_test(the_true_label_is_not_looked_at)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
