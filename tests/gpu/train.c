/* Whole training on the cuda backend beside the reference backend: the same parameters within rounding, the same bytes when
 * repeated, in any number of lanes, and with steps op by op or replayed. On a GPU; and (HFF_FAKE_DEVICE) on the device that
 * tests/fake plays on the CPU, which then works in another order when repeated. */
#include "support/small_net.h"
#include "train/bench.h"
#ifdef HFF_FAKE_DEVICE
#include "fake/device.h"
#else
static void fake_order(uint64_t seed)
{
    (void)seed;
}
#endif

#include <jansson.h>
#include <math.h>
#include <unistd.h>

/* SGD, so that a difference stays in proportion (AdamW divides by gradients near 0). */
#define SGD "optimizer={kind: sgd, lr: 0.05, momentum: 0.9, clip: 1}"

/* more: a setting. */
static struct small_net *trained(const char *text, const char *more, const char *backend, const char *dtype, int steps,
                                 uint64_t order)
{
    char by[64], type[64];
    snprintf(by, sizeof by, "run.backend=%s", backend);
    snprintf(type, sizeof type, "run.dtype=%s", dtype);
    const char *const sets[] = {by, type, "run.batch=8", "run.slices=1", SGD, more};
    fake_order(order);
    struct small_net *net = small_net_open(text, sets, 6, 1, DTYPE_F32, 1);
    small_net_train(net, steps);
    return net;
}

/* The largest apart(tensor, p, q, n) over two nets' kept tensors of n numbers. */
static double largest_of(struct small_net *a, struct small_net *b, int moments,
                         double (*apart)(const struct tensor *tensor, const float *p, const float *q, int64_t n))
{
    struct kept *kept, *other;
    int count, count_b;
    size_t bytes, bytes_b;
    double worst = 0;
    unsigned char *x = small_net_tensors(a, moments, &kept, &count, &bytes), *at = x;
    unsigned char *y = small_net_tensors(b, moments, &other, &count_b, &bytes_b), *bt = y;
    assert_int_equal(count, count_b);
    assert_int_equal(bytes, bytes_b);
    for (int i = 0; i < count; i++) {
        const struct tensor *t = &kept[i].tensor;
        worst = fmax(worst, apart(t, (const float *)(void *)at, (const float *)(void *)bt, tensor_count(t)));
        at += tensor_bytes(t);
        bt += tensor_bytes(t);
    }
    free(x);
    free(y);
    free(kept);
    free(other);
    return worst;
}

static double by_largest(const struct tensor *tensor, const float *p, const float *q, int64_t n)
{
    double most = 1e-30, apart = 0;
    (void)tensor;
    for (int64_t k = 0; k < n; k++) {
        assert_true(isfinite(p[k]));
        most = fmax(most, fabs(q[k]));
        apart = fmax(apart, fabs((double)p[k] - q[k]));
    }
    return apart / most;
}

/* The largest difference of any kept number, over the largest number of its tensor. */
static double distance(struct small_net *a, struct small_net *b, int moments)
{
    return largest_of(a, b, moments, by_largest);
}

static void same_figures(struct small_net *a, struct small_net *b, double within)
{
    enum { BATCH = 8, CLASSES = 5, STAGES = 3 };
    struct stage_metrics x, y;
    float scores[2][BATCH * CLASSES * STAGES];
    int stages = a->setup.engine->stages, count = BATCH * CLASSES * stages;
    for (int i = 0; i < stages; i++) {
        SMALL_OK(engine_metrics(a->setup.engine, i, 0, 0, &x));
        SMALL_OK(engine_metrics(b->setup.engine, i, 0, 0, &y));
        assert_true(x.samples == y.samples && fabs(x.loss - y.loss) <= 100 * within * x.loss);
    }
    SMALL_OK(engine_evaluate(a->setup.engine, &a->batch, scores[0]));
    SMALL_OK(engine_evaluate(b->setup.engine, &b->batch, scores[1]));
    for (int i = 0; i < count; i++) assert_true(fabsf(scores[0][i] - scores[1][i]) <= 1000 * within);
}

static void beside_ref(const char *text, const char *more, const char *dtype, double within)
{
    struct small_net *ref = trained(text, more, "ref", "f32", 3, 1), *cuda = trained(text, more, "cuda", dtype, 3, 1);
    struct small_net *again = trained(text, more, "cuda", dtype, 3, 99);
    double params = distance(cuda, ref, 0), moments = distance(cuda, ref, 1);
    print_message("%s, %s: parameters within %.2g, moments within %.2g\n", dtype, more, params, moments);
    assert_true(params <= within);
    assert_true(moments <= 20 * within);
    assert_true(distance(again, cuda, 0) == 0 && distance(again, cuda, 1) == 0);
    same_figures(ref, cuda, within);
    small_net_close(ref);
    small_net_close(cuda);
    small_net_close(again);
}

/* Numbers of channels are left out: sums in which much may cancel. */
static double by_length(const struct tensor *tensor, const float *p, const float *q, int64_t n)
{
    double apart = 0, length = 1e-30;
    for (int64_t k = 0; k < n; k++) {
        apart += ((double)p[k] - q[k]) * ((double)p[k] - q[k]);
        length += (double)q[k] * q[k];
    }
    return tensor->rank > 1 ? sqrt(apart / length) : 0;
}

/* The largest relative error of a weight's moments, by their lengths: after one step of SGD they are the gradients. */
static double gradients_apart(struct small_net *a, struct small_net *b)
{
    return largest_of(a, b, 1, by_length);
}

/* Products in tf32 and activations in bf16. Rounding alone changes little, but where it carries a number across 0 relu gives
 * another gradient altogether: numbers of size 1, each 2^-9 off (bf16), change sides with probability 2 0.4 2^-9, which is
 * the root of that, 0.04, of a gradient's length, and as much again for each relu on its way, up to ten here: 0.13, of
 * which three times is allowed. A gradient of something else would be 1 off. */
static void narrow(void **state)
{
    (void)state;
    static const char deep[] =
        "run: {batch: 24, slices: 4, backend: cpu}\n"
        "net: {partition: whole, stages: [{conv: {channels: 5}}, {basic_block: {channels: 6, "
        "stride: 2}}, {basic_block: {channels: 6}}, {bottleneck: {channels: 4, expansion: 2}}]}\n"
        "objective: {head: {aux: 12, grid: 2}}\n";
    static const char *const nets[][2] = {{SMALL_MLP, "run.seed=1"},
                                          {SMALL_CNN, "run.seed=1"},
                                          {SMALL_FIVES, "objective={kind: cwc}"},
                                          {SMALL_FF_CNN, "objective.ff.predict=original"},
                                          {deep, "run.seed=1"}};
    static const char *const types[] = {"tf32", "bf16"};
    for (size_t t = 0; t < sizeof nets / sizeof nets[0]; t++)
        for (int k = 0; k < 2; k++) {
            if (k == 1) small_net_needs("cuda", DTYPE_BF16);
            struct small_net *ref = trained(nets[t][0], nets[t][1], "ref", "f32", 1, 1);
            struct small_net *cuda = trained(nets[t][0], nets[t][1], "cuda", types[k], 1, 1);
            double apart = gradients_apart(cuda, ref);
            print_message("%s, net %zu: gradients within %.2g of their lengths\n", types[k], t, apart);
            assert_true(apart <= (k ? 0.4 : 0.14)); /* tf32 has three bits more, each a root of 2 */
            small_net_close(ref);
            small_net_close(cuda);
        }
}

static void hff(void **state)
{
    (void)state;
    beside_ref(SMALL_MLP, "run.seed=1", "f32", 1e-5);
    beside_ref(SMALL_CNN, "run.seed=1", "f32", 1e-5);
    beside_ref(SMALL_FIVES, "objective={sim: {beta: 0.6}}", "f32", 1e-5);
}

static int count_kind(const struct program *program, enum section section, enum op_kind kind)
{
    int count = 0;
    for (int i = 0; i < program->count[section]; i++) count += program->section[section][i].op->desc.kind == kind;
    return count;
}

/* A stage's pool is done by the norm in front of it, and a head's activation, pooling and flattening by one op, in
 * training and in evaluation. */
static void pools_are_joined(void **state)
{
    (void)state;
    struct small_net *net = trained(SMALL_CNN, "run.seed=1", "cuda", "f32", 1, 1);
    const struct program *program = net->setup.engine->stage[0].program;
    assert_int_equal(count_kind(program, SECTION_FORWARD, OP_NORM_POOL), 1);
    assert_int_equal(count_kind(program, SECTION_EVAL, OP_NORM_POOL_EVAL), 1);
    assert_int_equal(count_kind(program, SECTION_BACKWARD, OP_NORM_POOL_BACK), 1);
    assert_int_equal(count_kind(program, SECTION_FORWARD, OP_POOL), 0);
    assert_int_equal(count_kind(program, SECTION_EVAL, OP_POOL), 0);
    assert_int_equal(count_kind(program, SECTION_BACKWARD, OP_POOL_BACK), 0);
    assert_int_equal(count_kind(program, SECTION_HEAD, OP_ACT_APOOL), 1);
    assert_int_equal(count_kind(program, SECTION_HEAD, OP_ACT_APOOL_BACK), 1);
    assert_int_equal(count_kind(program, SECTION_EVAL, OP_ACT_APOOL), 1);
    small_net_close(net);
}

/* Weights that are kept as ops want them follow what is set from outside: another net's parameters, which then predicts and
 * learns as that one does. */
static void set_from_outside(void **state)
{
    (void)state;
    static const char *const texts[] = {SMALL_MLP, SMALL_CNN, SMALL_RESIDUAL};
    for (int k = 0; k < 6; k++) { /* all nets, in both types */
        const char *type = k < 3 ? "f32" : "bf16";
        struct small_net *from = trained(texts[k % 3], "run.seed=1", "cuda", type, 3, 1);
        struct small_net *to = trained(texts[k % 3], "run.seed=1", "cuda", type, 2, 1);
        float scores[2][8 * 5 * 3];
        SMALL_OK(engine_evaluate(to->setup.engine, &to->batch, scores[1]));
        for (int moments = 0; moments < 2; moments++) {
            struct kept *kept;
            int count;
            size_t bytes;
            unsigned char *all = small_net_tensors(from, moments, &kept, &count, &bytes), *at = all;
            SMALL_OK(engine_drain(to->setup.engine));
            assert_int_equal(engine_kept(to->setup.engine, moments, kept), count);
            for (int i = 0; i < count; at += tensor_bytes(&kept[i++].tensor))
                SMALL_OK(engine_write(to->setup.engine, &kept[i], at));
            free(all);
            free(kept);
        }
        for (int i = 0; i < to->setup.engine->stages; i++) to->setup.engine->stage[i].step++;
        for (int turn = 0; turn < 2; turn++) {
            SMALL_OK(engine_evaluate(from->setup.engine, &from->batch, scores[0]));
            SMALL_OK(engine_evaluate(to->setup.engine, &from->batch, scores[1]));
            size_t count = (size_t)(8 * 5 * from->setup.engine->stages);
            assert_memory_equal(scores[0], scores[1], count * sizeof(float));
            SMALL_OK(engine_step(from->setup.engine, &from->batch));
            SMALL_OK(engine_step(to->setup.engine, &from->batch));
        }
        assert_true(distance(from, to, 0) == 0 && distance(from, to, 1) == 0);
        small_net_close(from);
        small_net_close(to);
    }
}

/* Joined ops once more in the backward pass, and summed over parts of a batch. */
static void recomputed(void **state)
{
    (void)state;
    static const char deep[] = "run: {batch: 24, slices: 4, backend: cpu}\n"
                               "net: {partition: whole, stages: [{conv: {channels: 12, pool: {max: 2}}}, {conv: "
                               "{channels: 10, pool: {average: 2}}}, {conv: {channels: 9}, repeat: 2}]}\n"
                               "objective: {head: {aux: 0, grid: 1}}\n";
    beside_ref(deep, "engine.recompute=3", "f32", 1e-5);
    beside_ref(deep, "engine.recompute=auto", "f32", 1e-5);
    beside_ref(deep, "run={micro_batch: 4}", "f32", 1e-5);
}

static void rivals(void **state)
{
    (void)state;
    beside_ref(SMALL_FIVES, "objective={kind: softmax, smoothing: 0.1, sim: {beta: 0.6}}", "f32", 1e-5);
    beside_ref(SMALL_FIVES, "objective={kind: cwc, smoothing: 0.1}", "f32", 1e-5);
    beside_ref(SMALL_FIVES, "net.partition=whole", "f32", 1e-5);
    beside_ref(SMALL_RESIDUAL, "net.partition=whole", "f32", 1e-5);
    beside_ref(SMALL_RESIDUAL, "net.partition=layer", "f32", 1e-5);
}

static void ff(void **state)
{
    (void)state;
    beside_ref(SMALL_FF, "objective.ff.predict=batched", "f32", 1e-5);
    beside_ref(SMALL_FF_HARD, "objective.ff.loss=symba", "f32", 1e-5);
    beside_ref(SMALL_FF_HARD, "objective.ff.predict=readout", "f32", 1e-5);
    beside_ref(SMALL_FF_CNN, "objective.ff.predict=original", "f32", 1e-5);
    beside_ref(SMALL_FF_CNN, "objective.ff.predict=batched", "f32", 1e-5);
}

/* Some steps in lanes, after the first one replayed or all op by op. */
static struct small_net *in_lanes(const char *text, const char *type, const char *pipeline, int replayed,
                                  uint64_t order)
{
    const char *const sets[] = {"run.backend=cuda", type,
                                pipeline,           "run.batch=8",
                                "run.slices=1",     replayed ? "engine.capture=auto" : "engine.capture=none"};
    fake_order(order);
    struct small_net *net = small_net_open(text, sets, 6, 1, DTYPE_F32, 1);
    assert_non_null(net->setup.engine->pipeline);
    small_net_train(net, 4);
    SMALL_OK(engine_drain(net->setup.engine));
    small_net_train(net, 5);
    SMALL_OK(engine_drain(net->setup.engine));
    return net;
}

static void lanes_and_replays(void **state)
{
    (void)state;
    static const char *const texts[] = {SMALL_MLP, SMALL_CNN};
    static const char *const pipelines[] = {"engine.pipeline=none", "engine.pipeline=2", "engine.pipeline=auto"};
    static const int lanes[] = {1, 2, 3};
    for (int k = 0; k < 4; k++) { /* both nets, in both types */
        const char *text = texts[k % 2], *type = k < 2 ? "run.dtype=f32" : "run.dtype=bf16";
        struct small_net *first = in_lanes(text, type, pipelines[0], 0, 5);
        for (int p = 0; p < 3; p++)
            for (int replayed = 0; replayed < 2; replayed++) {
                struct small_net *net = in_lanes(text, type, pipelines[p], replayed, (uint64_t)(10 * p + replayed));
                assert_int_equal(net->setup.engine->lanes, lanes[p]);
                assert_true(distance(net, first, 0) == 0 && distance(net, first, 1) == 0);
                small_net_close(net);
            }
        small_net_close(first);
    }
}

/* Batches that the device makes of its images, in lanes or not, are those that the host makes. */
static void images_on_the_device(void **state)
{
    (void)state;
    static const char *const texts[] = {SMALL_MLP, SMALL_CNN};
    static const char *const pipelines[] = {"engine.pipeline=none", "engine.pipeline=auto"};
    for (int t = 0; t < 2; t++) {
        struct small_net *net[3];
        for (int k = 0; k < 3; k++) {
            const char *const sets[] = {"run.backend=cuda", "run.batch=8", "run.slices=1", pipelines[k == 2],
                                        k ? "engine.images=device" : "engine.images=host"};
            fake_order((uint64_t)k + 3);
            net[k] = small_net_open(texts[t], sets, 5, 1, DTYPE_F32, 1);
            for (int s = 0; s < 6; s++) {
                small_net_draw_known(net[k], s);
                SMALL_OK(engine_step(net[k]->setup.engine, &net[k]->batch));
            }
        }
        for (int k = 1; k < 3; k++) assert_true(distance(net[k], net[0], 0) == 0 && distance(net[k], net[0], 1) == 0);
        for (int k = 0; k < 3; k++) small_net_close(net[k]);
    }
}

/* hff bench ops on a device replays each op: a time for every op of a training step. */
static void ops_are_replayed(void **state)
{
    (void)state;
    char path[64];
    snprintf(path, sizeof path, "/tmp/hff_bench_%d.yaml", (int)getpid());
    FILE *config = fopen(path, "w"), *out = tmpfile();
    assert_true(config && out);
    fputs("run: {batch: 8, backend: cuda}\ndata: {source: digits, digits: {train: 16, test: 8}}\n"
          "net: {stages: [{conv: {channels: 8, stride: 4}}, {linear: {units: 16}}]}\n",
          config);
    fclose(config);
    struct bench_request request = {.config_path = path, .runs = 1, .json = 1};
    SMALL_OK(bench_ops(&request, out));
    rewind(out);
    json_t *report = json_loadf(out, 0, NULL), *rows = json_object_get(report, "rows");
    assert_true(json_array_size(rows) > 15);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *ms = json_object_get(json_array_get(rows, i), "ms");
        assert_true(json_number_value(json_object_get(ms, "median")) > 0);
    }
    json_decref(report);
    fclose(out);
    unlink(path);
}

int main(void)
{
    if (backend_cuda.available() != HFF_OK) {
        print_message("skipped: %s\n", hff_error_message());
        return 77;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(hff),
                                       cmocka_unit_test(narrow),
                                       cmocka_unit_test(pools_are_joined),
                                       cmocka_unit_test(set_from_outside),
                                       cmocka_unit_test(recomputed),
                                       cmocka_unit_test(rivals),
                                       cmocka_unit_test(ff),
                                       cmocka_unit_test(lanes_and_replays),
                                       cmocka_unit_test(images_on_the_device),
                                       cmocka_unit_test(ops_are_replayed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
