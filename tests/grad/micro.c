/* Gradient accumulation: a step in micro-batches is the step of the whole batch, to rounding, in double on the reference
 * backend; with batch norm it is what the micro-batches' own statistics make of it. */
#include "support/small_net.h"

#include <math.h>

/* No batch norm; every other kind of layer. */
#define PLAIN_CNN                                                                                                      \
    "run: {batch: 24, slices: 2, backend: ref}\n"                                                                      \
    "net: {stages: [{conv: {channels: 5, norm: none, pool: {max: 2}}}, {conv: {channels: 10, norm: none, stride: "     \
    "2}}, "                                                                                                            \
    "{linear: {units: 15}}]}\n"                                                                                        \
    "objective: {prototypes: {per_class: 2}, learn_scale: true, head: {aux: 6, aux_act: relu, grid: 2}}\n"             \
    "optimizer: {kind: sgd, lr: 0.1, momentum: 0, nesterov: false}\n"
#define PLAIN_FF                                                                                                       \
    "run: {batch: 24, slices: 2, backend: ref}\n"                                                                      \
    "net: {stages: [{linear: {units: 20}}, {linear: {units: 15}}, {linear: {units: 10}}]}\n"                           \
    "objective: {kind: ff, ff: {negatives: hard, hard_after: 0}}\n"                                                    \
    "optimizer: {kind: sgd, lr: 0.01, momentum: 0, nesterov: false}\n"
#define PLAIN_CLASSES                                                                                                  \
    "run: {batch: 24, slices: 2, backend: ref}\n"                                                                      \
    "net: {stages: [{conv: {channels: 5, norm: none}}, {conv: {channels: 10, norm: none, stride: 2}}]}\n"              \
    "objective: {kind: cwc}\n"                                                                                         \
    "optimizer: {kind: sgd, lr: 0.1, momentum: 0, nesterov: false, clip: 0.5}\n"

/* What a few steps leave: kept tensors, then each stage's metrics and gradient norms. */
struct trained {
    double *number;
    size_t count;
};

static struct trained train(const char *text, const char *const *sets, int count, int start)
{
    struct small_net *net = small_net_open(text, sets, count, 1, DTYPE_F64, 5);
    struct kept *kept;
    int tensors, stages = net->setup.engine->stages;
    size_t bytes;
    if (!start) small_net_train(net, 2);
    unsigned char *all = small_net_tensors(net, 0, &kept, &tensors, &bytes);
    struct trained t = {.count = bytes / sizeof(double) + 6 * (size_t)stages};
    t.number = calloc(t.count, sizeof(double));
    memcpy(t.number, all, bytes);
    for (int i = 0; i < stages; i++) {
        struct stage_metrics m;
        SMALL_OK(engine_metrics(net->setup.engine, i, 0, 1, &m));
        const double said[6] = {m.samples, m.loss, m.accuracy, m.own, m.grad_body, m.grad_head};
        memcpy(t.number + bytes / sizeof(double) + 6 * (size_t)i, said, sizeof said);
    }
    free(all);
    free(kept);
    small_net_close(net);
    return t;
}

static double largest_difference(const struct trained *a, const struct trained *b)
{
    double largest = 0;
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        assert_true(isfinite(a->number[i]) && isfinite(b->number[i]));
        double scale = fmax(1, fabs(a->number[i]));
        largest = fmax(largest, fabs(a->number[i] - b->number[i]) / scale);
    }
    return largest;
}

static void check(const char *text, const char *one, const char *two)
{
    static const char *const micros[] = {"run.micro_batch=12", "run.micro_batch=6", "run.micro_batch=2"};
    const char *sets[] = {one, two, "run.micro_batch=0"};
    struct trained start = train(text, sets, 3, 1), whole = train(text, sets, 3, 0);
    assert_true(largest_difference(&start, &whole) > 1e-4); /* it learns, so that the comparison says something */
    for (int i = 0; i < 3; i++) {
        sets[2] = micros[i];
        struct trained parts = train(text, sets, 3, 0);
        double off = largest_difference(&whole, &parts);
        if (!(off <= 1e-12)) fail_msg("%s, %s, %s: off by %g", one, two, micros[i], off);
        free(parts.number);
    }
    free(start.number);
    free(whole.number);
}

static void layered(void **state)
{
    (void)state;
    check(PLAIN_CNN, "run.seed=1", "run.seed=1");
    check(PLAIN_CNN, "objective={loss: pairwise, margin: 0.1}", "optimizer.weight_decay=0.01");
    check(PLAIN_CNN, "objective.kind=softmax", "objective.smoothing=0.1");
    check(PLAIN_CLASSES, "run.seed=1", "run.seed=1");
}

static void joined(void **state)
{
    (void)state;
    check(PLAIN_CNN, "net.partition=whole", "engine.recompute=2");
    check(PLAIN_CNN, "net={partition: whole, between: none}", "objective.kind=softmax");
    check(PLAIN_CLASSES, "net.partition=block", "run.seed=1");
}

/* Negatives belong to the sample, whichever part it comes in; hard ones are drawn from the same read-outs. */
static void ff(void **state)
{
    (void)state;
    check(PLAIN_FF, "objective.ff.negatives=uniform", "run.seed=1");
    check(PLAIN_FF, "objective.ff.negatives=hard", "run.seed=1");
    check(PLAIN_FF, "objective.ff.predict=readout", "objective.ff.overlay=planes");
}

/* Similarity compares the samples of a slice: the same ones where a part has as many fewer slices. */
static void similarity(void **state)
{
    (void)state;
    static const char *const sets[][3] = {
        {"objective={kind: softmax, sim: {beta: 0.6}}", "run.slices=4", "run.micro_batch=0"},
        {"objective={kind: softmax, sim: {beta: 0.6}}", "run.slices=2", "run.micro_batch=12"},
        {"objective={kind: softmax, sim: {beta: 0.6}}", "run.slices=1", "run.micro_batch=6"}};
    struct trained whole = train(PLAIN_CNN, sets[0], 3, 0);
    for (int i = 1; i < 3; i++) {
        struct trained parts = train(PLAIN_CNN, sets[i], 3, 0);
        assert_true(largest_difference(&whole, &parts) <= 1e-12);
        free(parts.number);
    }
    free(whole.number);
}

/* With batch norm: the running statistics of a step in parts are those of as many steps of that size that learn
 * nothing. */
static void running_statistics(void **state)
{
    (void)state;
    static const char *const once[] = {"run.micro_batch=8", "optimizer={kind: sgd, lr: 0}", "net.partition=whole",
                                       "run.backend=ref"},
                             *const often[] = {"run.batch=8", "optimizer={kind: sgd, lr: 0}", "net.partition=whole",
                                               "run.backend=ref"};
    struct small_net *parts = small_net_open(SMALL_RESIDUAL, once, 4, 1, DTYPE_F64, 5);
    struct small_net *steps = small_net_open(SMALL_RESIDUAL, often, 4, 1, DTYPE_F64, 5);
    small_net_draw(parts, 1);
    SMALL_OK(engine_step(parts->setup.engine, &parts->batch));
    for (int i = 0; i < 3; i++) {
        struct batch third = {.size = 8,
                              .real = 8,
                              .images = parts->batch.images + 8 * i * parts->sample,
                              .y1 = parts->batch.y1 + 8 * i,
                              .y2 = parts->batch.y2 + 8 * i,
                              .weight = parts->batch.weight + 8 * i};
        SMALL_OK(engine_step(steps->setup.engine, &third));
    }
    struct kept *kept[2];
    int count[2], compared = 0;
    size_t bytes[2];
    unsigned char *all[2] = {small_net_tensors(parts, 0, &kept[0], &count[0], &bytes[0]),
                             small_net_tensors(steps, 0, &kept[1], &count[1], &bytes[1])};
    assert_int_equal(bytes[0], bytes[1]);
    for (size_t i = 0, at = 0; i < (size_t)count[0]; at += tensor_bytes(&kept[0][i++].tensor)) {
        if (kept[0][i].role != ROLE_STATE) continue;
        assert_memory_equal(all[0] + at, all[1] + at, tensor_bytes(&kept[0][i].tensor));
        compared++;
    }
    assert_true(compared >= 10);
    for (int i = 0; i < 2; i++) {
        free(all[i]);
        free(kept[i]);
    }
    small_net_close(parts);
    small_net_close(steps);
}

/* An evaluation takes its batch in parts too: each sample's scores and features, and the sums over all. */
static void evaluation(void **state)
{
    (void)state;
    float *scores[2], *features[2];
    struct stage_metrics metrics[2];
    size_t count = 0, width = 0;
    for (int i = 0; i < 2; i++) {
        const char *sets[] = {i ? "run.micro_batch=6" : "run.micro_batch=0", "net.partition=whole"};
        struct small_net *net = small_net_open(PLAIN_CNN, sets, 2, 1, DTYPE_F64, 5);
        struct engine *engine = net->setup.engine;
        small_net_draw(net, 3);
        for (int b = 20; b < 24; b++) net->batch.weight[b] = 0; /* padding */
        width = (size_t)engine->stage[0].embedding;
        count = (size_t)engine->batch;
        scores[i] = calloc(count * 5, sizeof(float));
        features[i] = calloc(count * width, sizeof(float));
        SMALL_OK(engine_evaluate_features(engine, &net->batch, scores[i], &features[i]));
        SMALL_OK(engine_metrics(engine, 0, 1, 1, &metrics[i]));
        small_net_close(net);
    }
    assert_memory_equal(scores[0], scores[1], count * 5 * sizeof(float));
    assert_memory_equal(features[0], features[1], count * width * sizeof(float));
    assert_true(fabs(metrics[0].samples - metrics[1].samples) < 1e-9 && metrics[0].samples > 10);
    assert_true(fabs(metrics[0].loss - metrics[1].loss) < 1e-12);
    for (int i = 0; i < 2; i++) {
        free(scores[i]);
        free(features[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(layered),
                                       cmocka_unit_test(joined),
                                       cmocka_unit_test(ff),
                                       cmocka_unit_test(similarity),
                                       cmocka_unit_test(running_statistics),
                                       cmocka_unit_test(evaluation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
